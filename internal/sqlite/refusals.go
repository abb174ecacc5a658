package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Refuse records refused calls.
func (s *Store) Refuse(ctx context.Context, list ...store.Refusal) error {
	if len(list) == 0 {
		return nil
	}
	return s.do(ctx, "refusals.add", func(ctx context.Context, t *tx) error {
		for _, r := range list {
			err := t.exec(ctx, "INSERT INTO refusals (at, actor, action, key, reason, request_id, peer) VALUES (?, ?, ?, ?, ?, ?, ?)",
				micros(r.At), r.Actor, r.Action, r.Key, r.Reason, r.RequestID, r.Peer)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Refusals returns the calls that were refused before a time, the newest first; all if the time is zero. If actor is
// not empty, it returns only those of the actor.
func (s *Store) Refusals(ctx context.Context, before knowledge.Time, actor string, limit int) ([]store.Refusal, error) {
	end := int64(1<<63 - 1)
	if !before.IsZero() {
		end = micros(before)
	}
	list := []store.Refusal{}
	err := s.read(ctx, "refusals", "SELECT at, actor, action, key, reason, request_id, peer FROM refusals WHERE at < ? AND (? = '' OR actor = ?) ORDER BY at DESC, refusal_id DESC LIMIT ?",
		[]any{end, actor, actor, limit}, func(r *sql.Rows) error {
			var f store.Refusal
			var at int64
			err := r.Scan(&at, &f.Actor, &f.Action, &f.Key, &f.Reason, &f.RequestID, &f.Peer)
			f.At = moment(at)
			list = append(list, f)
			return err
		})
	return list, err
}
