package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// EachStored calls each for up to limit documents of a kind with ids above after, in the order of ids, with the row as
// JSON, even if the row can't be decoded as a document. It returns how many there were.
func EachStored(ctx context.Context, s *Store, kind knowledge.Kind, after string, limit int,
	each func(id string, row []byte),
) (n int, err error) {
	t := tableOf(kind)
	where, args := "", []any(nil)
	if after != "" {
		where, args = " WHERE t."+t.id+" > $1"+t.cast(""), []any{after}
	}
	sql := fmt.Sprintf("SELECT t.%s::text, to_jsonb(t)::text FROM %s t%s ORDER BY t.%s LIMIT %d", t.id, t.name, where,
		t.id, limit)
	err = s.query(ctx, "stored."+t.name, sql, args, func(r pgx.Rows) error {
		var id, row string
		if err := r.Scan(&id, &row); err != nil {
			return err
		}
		n++
		each(id, []byte(row))
		return nil
	})
	return n, err
}
