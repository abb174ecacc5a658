package failover

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Primary is the authoritative store, with the calls that a mirror needs beyond the contract.
type Primary interface {
	store.Store
	// Position returns the current end of the primary's history.
	Position(ctx context.Context) (knowledge.Position, error)
	// Newest returns the seq of the newest change, 0 if there is none, by one cheap query.
	Newest(ctx context.Context) (knowledge.Seq, error)
	// Snapshot writes the state at one position to sink: the documents ordered by kind and id, and the last versions of
	// each document's history.
	Snapshot(ctx context.Context, versions int, sink store.Sink) error
}

// A Mirror is a local copy of the primary. Besides the changes of the feed it takes what this instance knows earlier:
// acknowledged writes, and writes that wait in the journal.
type Mirror interface {
	store.Reader
	Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error)
	// Position returns the mirror's position in the log; [store.ErrNotFound] until it is complete for the first time.
	Position(ctx context.Context) (knowledge.Position, error)
	// SetIdentity notes the cluster and the timeline of the primary whose history the mirror follows.
	SetIdentity(ctx context.Context, system string, timeline int64) error
	// Replicate applies changes of the feed and moves the position, in one transaction. A document with an overlay
	// keeps the overlay until Settle, unless the change belongs to the overlay's own batch.
	Replicate(ctx context.Context, changes []knowledge.Change) error
	// Foresee writes documents that the primary has acknowledged and the feed has not yet brought. Older versions are
	// ignored.
	Foresee(ctx context.Context, left []store.Left) error
	// Overlay lays the documents of waiting batches over the mirror, each batch over the earlier ones; the documents
	// below are kept. A batch that is already laid, or that the feed has brought, changes nothing.
	Overlay(ctx context.Context, waiting ...store.Entry) error
	// Settle removes the overlays of a batch. The documents that it left at the primary take their place; if applied is
	// nil, the documents below show again.
	Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key, applied []store.Left) error
	// Rebuild makes a new mirror from what fill writes to the sink, and swaps it in when it is complete. Overlays are
	// carried over, and so are the documents of newer, which is called when no other write of the mirror is under way:
	// those that were foreseen after fill had read them.
	Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error
	// Compare calls fn for every document of the mirror, without overlays, ordered by kind and id.
	Compare(ctx context.Context, fn func(*knowledge.Record) error) error
	// Documents returns at most n documents of the mirror after a key, without overlays, ordered by kind and id.
	Documents(ctx context.Context, after knowledge.Key, n int) ([]*knowledge.Record, error)
	// Check looks for damage.
	Check(ctx context.Context) error
	// Present returns an error when the file is no longer in its place: the open file would be missing after a restart.
	Present() error
	// Overlaid returns the batches that are laid over the mirror, each with the documents it covers.
	Overlaid(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error)
}

// A Journal keeps batches on disk until the primary has taken them. Acknowledged entries survive a crash.
type Journal interface {
	// Append makes an entry durable. A batch that is already there changes nothing. A full journal is an
	// [*store.UnavailableError] with NotDone.
	Append(ctx context.Context, e store.Entry) error
	// Find returns a batch that was ever in the journal, with its state; [store.ErrNotFound] otherwise.
	Find(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// Oldest returns at most n waiting entries after a seq, the oldest first; fewer where they are large. An empty
	// result means that none wait.
	Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error)
	// Applied notes the versions that a batch has at the primary, and ends its waiting.
	Applied(ctx context.Context, id knowledge.BatchID, seq knowledge.Seq, versions map[knowledge.Key]int64) error
	// Park sets a batch aside for a person. It also takes a batch that was never in the journal.
	Park(ctx context.Context, p store.Parked) error
	// Parked returns parked batches that match the query, the newest first.
	Parked(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	// Resolve notes a person's decision.
	Resolve(ctx context.Context, p store.Parked) error
	// Forget removes batches that were applied, or resolved, before a time, and returns how many.
	Forget(ctx context.Context, before knowledge.Time) (int64, error)
	Depth(ctx context.Context) (store.JournalDepth, error)
}

// A Replica is a standby of the primary, opened to build one mirror from it.
type Replica interface {
	// Newest returns the seq of the newest change that the standby has, 0 if there is none.
	Newest(ctx context.Context) (knowledge.Seq, error)
	// Snapshot is that of a [Primary].
	Snapshot(ctx context.Context, versions int, sink store.Sink) error
	Close() error
}

// A Lookup reads a document at the end of the primary's log, which the mirror may not have reached yet.
type Lookup func(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)
