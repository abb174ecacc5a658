package server

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// primaryArchive is the archive at the primary. While that is down there is none: the mirror does not hold archived
// documents.
type primaryArchive struct{ d *dual }

// Archived implements [store.Archive]. It waits for the primary no longer than primaryPatience.
func (a primaryArchive) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	p, mode := a.d.primary.Load(), a.d.Level().Mode
	if p == nil || mode != knowledge.ModeNormal && mode != knowledge.ModeRecovering {
		return nil, a.d.errAway()
	}
	own, cancel := context.WithTimeout(ctx, primaryPatience)
	defer cancel()
	list, err := p.archive().Archived(own, q)
	if own.Err() != nil && ctx.Err() == nil {
		return nil, a.d.errAway()
	}
	return list, err
}

func (d *dual) archive() store.Archive { return primaryArchive{d} }
