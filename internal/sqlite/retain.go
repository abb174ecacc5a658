package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
)

// retainStep is the number of rows that one transaction removes, so that other writers do not wait long.
const retainStep = 2000

// Retain trims the log: it removes the changes before a time with their batches, except for the newest keep changes.
// The last change always stays, since the next seq comes from it. Entries of the audit before the time are removed too.
// Retain returns the number of removed changes.
func (s *Store) Retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	var first, last knowledge.Seq
	err := s.read(ctx, "retain.bounds", "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM changes",
		nil, func(r *sql.Rows) error {
			return r.Scan(&first, &last)
		})
	if err != nil {
		return 0, err
	}
	cut := last - knowledge.Seq(max(keep, 1))
	gone := int64(0)
	for from := first; from <= cut; {
		to := min(from+retainStep-1, cut) // a batch is not longer than a step, so each step removes at least one batch
		var n int64
		err := s.do(ctx, "retain", func(ctx context.Context, t *tx) error {
			var err error
			n, err = t.cut(ctx, from, to, before)
			return err
		})
		gone += n
		if err != nil {
			return gone, err
		}
		if n == 0 {
			break
		}
		from += knowledge.Seq(n)
	}
	return gone, s.do(ctx, "retain.audit", func(ctx context.Context, t *tx) error {
		return trimAudit(ctx, t, before, knowledge.At(s.now()))
	})
}

// cut removes the changes from one seq to another, in whole transactions. It stops at the first one that was made after
// the time.
func (t *tx) cut(ctx context.Context, from, to knowledge.Seq, before knowledge.Time) (int64, error) {
	end := to
	_, err := t.one(ctx, "SELECT coalesce(min(seq) - 1, ?) FROM changes WHERE seq BETWEEN ? AND ? AND at >= ?",
		[]any{int64(to), int64(from), int64(to), micros(before)}, &end)
	if err != nil {
		return 0, err
	}
	_, err = t.one(ctx, "SELECT coalesce(max(seq), ?) FROM changes WHERE seq BETWEEN ? AND ? AND more = 0",
		[]any{int64(from) - 1, int64(from), int64(end)}, &end)
	if err != nil || end < from {
		return 0, err
	}
	n, err := t.execCount(ctx, "DELETE FROM changes WHERE seq BETWEEN ? AND ?", int64(from), int64(end))
	if err != nil {
		return 0, err
	}
	if err := t.exec(ctx, "DELETE FROM batches WHERE seq <= ?", int64(end)); err != nil {
		return 0, err
	}
	return n, t.setMeta(ctx, "log_start", int64(end))
}

func (t *tx) setMeta(ctx context.Context, key string, value any) error {
	return t.exec(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
		key, value)
}
