// Package store is the contract between everything that keeps documents and everything that asks for them.
package store

import (
	"context"

	"tenet/internal/knowledge"
)

// A Reader answers questions about the documents as they are now.
type Reader interface {
	// Get returns the document that key names, in use or retired. A missing one is [ErrNotFound].
	Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)
	// List returns a page of documents of one kind. An empty page is no error. A bad query is a [*knowledge.InvalidError].
	// Following the cursor returns every document that stays where it is once, whatever else is written meanwhile.
	List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error)
	// Search returns the documents in use that match a text, the best first.
	Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error)
}

// A Writer changes documents.
type Writer interface {
	// Apply does every op of a batch, or none. When it returns without an error the batch is durable, and every read of
	// this store that begins later sees it. The same batch again is not done again and gets the same receipt; its id with
	// another content is [ErrReused]. A condition that does not hold is [ErrConflict], an op on a document that is not
	// there [ErrNotFound], a fault in the batch a [*knowledge.InvalidError]: nothing was done, then. [ErrUnavailable]
	// and a context's error leave open whether the batch was done: ask again with the same id.
	Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error)
}

// A Feed is the log of changes, in the order in which they became visible.
type Feed interface {
	// Changes returns a part of the log, oldest first unless the query says otherwise. The numbers have no gaps, and no
	// smaller one becomes visible after a larger one was seen. Unless filtered, an answer never ends within a transaction.
	// A start before the oldest change kept is [ErrGone].
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Wait returns when there may be changes after seq. It may return for nothing.
	Wait(ctx context.Context, after knowledge.Seq) error
}

// A Store keeps documents. Its methods may be called from many goroutines. They return the errors of this package,
// [*knowledge.InvalidError] and those of the context, and nothing else; records handed out never change.
type Store interface {
	Reader
	Writer
	Feed
	// Ping returns nil when the store can answer. It returns within the deadline of its context.
	Ping(ctx context.Context) error
	// Close ends the store; every later call of any method is [ErrClosed].
	Close() error
}
