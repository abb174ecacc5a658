package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// exec runs a statement that may be repeated or lost: counts and refusals.
func (s *Store) exec(ctx context.Context, name, sql string, args ...any) error {
	return s.query(ctx, name, sql, args, func(pgx.Rows) error { return nil })
}

// AddUses adds to the render counts of templates, in one statement. It ignores deleted templates. The count is not part
// of a template's version.
func (s *Store) AddUses(ctx context.Context, counts map[string]int64) error {
	if len(counts) == 0 {
		return nil
	}
	ids, numbers := make([]string, 0, len(counts)), make([]int64, 0, len(counts))
	for id, n := range counts {
		ids, numbers = append(ids, id), append(numbers, n)
	}
	return s.exec(ctx, "uses.add", `UPDATE templates t SET usage_count = t.usage_count + u.n
FROM unnest($1::text[], $2::bigint[]) u (id, n) WHERE t.template_id = u.id`, ids, numbers)
}

// Uses returns the render counts of templates. It omits deleted ones.
func (s *Store) Uses(ctx context.Context, ids []string) (map[string]int64, error) {
	counts := make(map[string]int64, len(ids))
	err := s.query(ctx, "uses", "SELECT template_id, usage_count FROM templates WHERE template_id = ANY ($1)",
		[]any{ids}, func(r pgx.Rows) error {
			var id string
			var n int64
			err := r.Scan(&id, &n)
			counts[id] = n
			return err
		})
	return counts, err
}
