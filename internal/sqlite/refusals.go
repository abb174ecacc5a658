package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
)

// A Refusal is a call that was refused.
type Refusal struct {
	At        knowledge.Time `json:"at"`
	Actor     string         `json:"actor"`
	Action    string         `json:"action"` // what was wanted
	Key       string         `json:"key"`    // of what; "" when of nothing in particular
	Reason    string         `json:"reason"`
	RequestID string         `json:"request_id"`
}

// Refuse notes calls that were refused.
func (s *Store) Refuse(ctx context.Context, list ...Refusal) error {
	if len(list) == 0 {
		return nil
	}
	return s.do(ctx, "refusals.add", func(ctx context.Context, t *tx) error {
		for _, r := range list {
			err := t.exec(ctx, "INSERT INTO refusals (at, actor, action, key, reason, request_id) VALUES (?, ?, ?, ?, ?, ?)",
				micros(r.At), r.Actor, r.Action, r.Key, r.Reason, r.RequestID)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Refusals returns what was refused before a time, the newest first; before the zero time means all.
func (s *Store) Refusals(ctx context.Context, before knowledge.Time, limit int) ([]Refusal, error) {
	end := int64(1<<63 - 1)
	if !before.IsZero() {
		end = micros(before)
	}
	list := []Refusal{}
	err := s.read(ctx, "refusals", "SELECT at, actor, action, key, reason, request_id FROM refusals WHERE at < ? ORDER BY at DESC LIMIT ?",
		[]any{end, limit}, func(r *sql.Rows) error {
			var f Refusal
			var at int64
			err := r.Scan(&at, &f.Actor, &f.Action, &f.Key, &f.Reason, &f.RequestID)
			f.At = moment(at)
			list = append(list, f)
			return err
		})
	return list, err
}
