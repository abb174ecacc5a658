package failover

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A view is how readers and writers of this instance see one document: as the mirror has it, and where the mirror lacks
// a write that waits here or that the primary has acknowledged here, as that write left it. The mirror may lack one
// because its disk is full, because it is damaged, or because it has not got to it yet.
type view struct {
	mirror *mirror
	waits  *waitlist
	acks   *acks
}

// get reads a document. What was acknowledged is read before the mirror: it is forgotten when the mirror has it.
func (v *view) get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	l, seq, there := v.acks.left(key)
	r, err := v.mirror.get(ctx, key)
	failed := errors.Is(err, store.ErrUnavailable)
	hidden := v.waits.hides(key)
	// A damaged mirror may answer from SQLite's page cache and still lack the waiting batches.
	if failed || hidden || (r == nil || r.Pending == knowledge.BatchID{}) && v.mirror.suspect.Load() {
		if r, waits, err := v.waits.journalled(ctx, key); waits || err != nil && hidden {
			return r, err
		}
	}
	if there && (failed || v.lacks(key, r, &l, seq)) {
		if l.Record == nil {
			return nil, &store.NotFoundError{Key: key, Source: knowledge.SourceMirror}
		}
		return l.Record.From(knowledge.SourceMirror), nil
	}
	return r, err
}

// lacks reports whether what the mirror has of a document, nil for none, is older than what an acknowledged batch left
// of it. What waits is newer.
func (v *view) lacks(key knowledge.Key, r *knowledge.Record, l *store.Left, seq knowledge.Seq) bool {
	switch {
	case !v.mirror.complete(), r != nil && r.Pending != knowledge.BatchID{} && v.waits.last(key, r.Pending):
		return false
	case r != nil && l.Record != nil: // versions go on when a document was removed for good
		return l.Record.Version > r.Version
	}
	return seq > knowledge.Seq(v.mirror.coming.Load()) // so the feed has brought nothing newer
}
