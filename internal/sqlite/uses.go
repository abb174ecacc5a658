package sqlite

import (
	"context"
	"database/sql"
)

// AddUses adds to the number of times that templates were rendered, in one transaction. Deleted templates are skipped.
// The count is not part of a template's version.
func (s *Store) AddUses(ctx context.Context, counts map[string]int64) error {
	if len(counts) == 0 {
		return nil
	}
	return s.do(ctx, "uses.add", func(ctx context.Context, t *tx) error {
		for id, n := range counts {
			if err := t.exec(ctx, "UPDATE templates SET usage_count = usage_count + ? WHERE template_id = ?", n,
				id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Uses returns how often each of some templates was rendered. Deleted templates are left out.
func (s *Store) Uses(ctx context.Context, ids []string) (map[string]int64, error) {
	counts := make(map[string]int64, len(ids))
	err := s.read(ctx, "uses", "SELECT template_id, usage_count FROM templates WHERE template_id IN (SELECT value "+
		"FROM json_each(?))",
		[]any{asJSON(ids)}, func(r *sql.Rows) error {
			var id string
			var n int64
			err := r.Scan(&id, &n)
			counts[id] = n
			return err
		})
	return counts, err
}
