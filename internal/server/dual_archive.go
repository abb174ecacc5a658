package server

import (
	"context"

	"tenet/internal/store"
)

// primaryArchive is the archive at the primary, which may be away: the copy on this machine has none.
type primaryArchive struct{ d *dual }

// Archived implements [store.Archive].
func (a primaryArchive) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	p := a.d.primary.Load()
	if p == nil {
		return nil, a.d.errAway()
	}
	return p.archive().Archived(ctx, q)
}

func (d *dual) archive() store.Archive { return primaryArchive{d} }
