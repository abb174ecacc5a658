// Package store is the contract between the packages that keep documents and those that read and write them.
package store

import (
	"context"

	"tenet/internal/knowledge"
)

// A Reader reads the current documents.
type Reader interface {
	// Get returns the document that key names, active or retired. A missing one is [ErrNotFound].
	Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)
	// List returns a page of documents of one kind. An empty page is no error. A bad query is a
	// [*knowledge.InvalidError]. Following the cursor returns every document that keeps its place exactly once,
	// whatever else is written meanwhile.
	List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error)
	// Search returns the active documents that match a text, the best first.
	Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error)
}

// A Writer changes documents.
type Writer interface {
	// Apply applies every op of a batch, or none. When it returns without an error the batch is durable, and every
	// later read of this store sees it. Sending the same batch again changes nothing and returns the same receipt; the
	// same id with other content is [ErrReused]. An unmet condition is [ErrConflict], an op on a missing document
	// [ErrNotFound], a fault in the batch a [*knowledge.InvalidError]: then nothing was applied. After [ErrUnavailable]
	// or a context's error the outcome is unknown: send the batch again with the same id.
	Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error)
}

// A Feed is the log of changes, in the order in which they became visible.
type Feed interface {
	// Changes returns a part of the log, oldest first unless the query says otherwise. The numbers have no gaps, and no
	// smaller one becomes visible after a larger one was seen. Unless filtered, an answer never ends within a
	// transaction. A start before the oldest change kept is [ErrGone].
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Wait returns when there may be changes after seq. It may also return without any.
	Wait(ctx context.Context, after knowledge.Seq) error
}

// A Store keeps documents. Its methods may be called from many goroutines. They return only the errors of this package,
// [*knowledge.InvalidError] and the context's errors; records handed out never change.
type Store interface {
	Reader
	Writer
	Feed
	// Ping returns nil if the store can answer. It returns within the deadline of its context.
	Ping(ctx context.Context) error
	// Close closes the store; every later call of any method returns [ErrClosed].
	Close() error
}
