package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	archivedColumns = "SELECT p.kind, p.id, p.version, p.at, p.document::text FROM purges p WHERE p.document IS NOT " +
		"NULL AND "
	archivedOnesSQL = archivedColumns + "p.kind = $1 AND p.id = ANY ($2)"
	archivedSQL     = archivedColumns + `(p.kind, p.id) > ($1, $2) AND ($3 = '' OR p.kind = $3) AND ($4 = '' OR ` +
		`p.id = $4) ORDER BY p.kind, p.id LIMIT $5`
)

// An Archive reads the archive of a store.
type Archive struct{ s *Store }

// NewArchive returns the archive of a store.
func NewArchive(s *Store) Archive { return Archive{s} }

var _ store.Archive = Archive{}

// Archived implements [store.Archive].
func (a Archive) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	list := []store.Archived{}
	args := []any{string(q.After.Kind), q.After.ID, string(q.Kind), q.ID, q.Limit}
	err := a.s.query(ctx, "archive", archivedSQL, args, func(r pgx.Rows) error {
		d, err := archivedRow(r)
		list = append(list, d)
		return err
	})
	return list, err
}

// scanArchived reads all rows of archived documents.
func scanArchived(rows pgx.Rows, each func(store.Archived)) error {
	for rows.Next() {
		d, err := archivedRow(rows)
		if err != nil {
			return err
		}
		each(d)
	}
	return rows.Err()
}

func archivedRow(r pgx.Rows) (store.Archived, error) {
	var d store.Archived
	var at knowledge.Time
	var text []byte
	if err := r.Scan(&d.Key.Kind, &d.Key.ID, &d.Version, &at.Time, &text); err != nil {
		return d, err
	}
	d.At = knowledge.At(at.Time)
	rec, err := knowledge.RecordOf(d.Key.Kind, text)
	if err != nil {
		return d, &scanError{err}
	}
	d.Record = rec
	return d, nil
}
