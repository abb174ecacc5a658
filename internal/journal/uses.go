package journal

import (
	"context"
	"database/sql"

	"tenet/internal/sqlite"
)

// AddUses stores uses of templates that can't be counted at the primary now.
func (j *Journal) AddUses(ctx context.Context, counts map[string]int64) error {
	if len(counts) == 0 {
		return nil
	}
	return j.file.Write(ctx, "journal.uses", func(ctx context.Context, t *sqlite.Tx) error {
		for id, n := range counts {
			if err := t.Exec(ctx, "INSERT INTO uses (template_id, count) VALUES (?, ?) ON CONFLICT DO UPDATE SET "+
				"count = count + excluded.count", id, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeUses passes the stored uses to add, and deletes them when add has succeeded.
func (j *Journal) TakeUses(ctx context.Context, add func(context.Context, map[string]int64) error) error {
	counts, err := j.waitingUses(ctx)
	if err != nil || len(counts) == 0 {
		return err
	}
	if err := add(ctx, counts); err != nil {
		return err
	}
	return j.file.Write(context.WithoutCancel(ctx), "journal.uses", func(ctx context.Context, t *sqlite.Tx) error {
		for id, n := range counts {
			if err := t.Exec(ctx, "UPDATE uses SET count = count - ? WHERE template_id = ?", n, id); err != nil {
				return err
			}
		}
		return t.Exec(ctx, "DELETE FROM uses WHERE count <= 0")
	})
}

func (j *Journal) waitingUses(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := j.file.Read(ctx, "journal.uses", "SELECT template_id, count FROM uses", nil, func(r *sql.Rows) error {
		var id string
		var n int64
		err := r.Scan(&id, &n)
		counts[id] = n
		return err
	})
	return counts, err
}
