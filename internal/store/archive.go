package store

import (
	"context"

	"tenet/internal/knowledge"
)

// An Archive holds documents that were retired long ago. No list and no search finds them, and no mirror has them; a
// batch with [knowledge.VerbRestore] brings one back.
type Archive interface {
	// Archived returns a page of the archive, in the order of kinds and ids.
	Archived(ctx context.Context, q ArchiveQuery) ([]Archived, error)
}

// MaxArchived is the largest page of an archive.
const MaxArchived = 500

// An ArchiveQuery asks for a page of an archive.
type ArchiveQuery struct {
	Kind  knowledge.Kind // "" for every kind
	ID    string         // of one document; "" for all
	After knowledge.Key  // where the page before has ended
	Limit int            // 1 to MaxArchived
}

// An Archived document is as it was before it was archived.
type Archived struct {
	Key     knowledge.Key
	Version int64 // of the change that archived it
	At      knowledge.Time
	Record  *knowledge.Record
}
