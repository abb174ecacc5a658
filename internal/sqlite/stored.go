package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"tenet/internal/knowledge"
)

// EachStored calls each for up to limit documents of a kind with ids above after, in the order of ids, with the stored
// JSON, even if it can't be decoded as a document. It returns how many there were.
func EachStored(ctx context.Context, s *Store, kind knowledge.Kind, after string, limit int,
	each func(id string, row []byte),
) (n int, err error) {
	t := tableOf(kind)
	query := fmt.Sprintf("SELECT %s, document FROM %s WHERE %s > ? ORDER BY %s LIMIT %d", t.id, t.name, t.id, t.id,
		limit)
	err = s.read(ctx, "stored."+t.name, query, []any{after}, func(r *sql.Rows) error {
		var id string
		var row []byte
		if err := r.Scan(&id, &row); err != nil {
			return err
		}
		n++
		each(id, row)
		return nil
	})
	return n, err
}
