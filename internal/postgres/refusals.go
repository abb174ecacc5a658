package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Refuse records refused calls.
func (s *Store) Refuse(ctx context.Context, list ...store.Refusal) error {
	if len(list) == 0 {
		return nil
	}
	at := make([]time.Time, len(list))
	columns := make([][]string, 6)
	for i, r := range list {
		at[i] = r.At.Time
		for c, v := range []string{r.Actor, r.Action, r.Key, r.Reason, r.RequestID, r.Peer} {
			columns[c] = append(columns[c], v)
		}
	}
	return s.exec(ctx, "refusals.add", `INSERT INTO refusals (at, actor, action, key, reason, request_id, peer)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])`,
		at, columns[0], columns[1], columns[2], columns[3], columns[4], columns[5])
}

// Refusals returns the refused calls before a time, newest first, of one actor unless that is empty. The zero time
// means all.
func (s *Store) Refusals(ctx context.Context, before knowledge.Time, actor string, limit int) ([]store.Refusal, error) {
	list := []store.Refusal{}
	err := s.query(ctx, "refusals", `SELECT at, actor, action, key, reason, request_id, peer FROM refusals
WHERE ($1::timestamptz IS NULL OR at < $1) AND ($2 = '' OR actor = $2) ORDER BY at DESC, refusal_id DESC LIMIT $3`, []any{null(before), actor, limit}, func(r pgx.Rows) error {
		var f store.Refusal
		var at pgtype.Timestamptz
		err := r.Scan(&at, &f.Actor, &f.Action, &f.Key, &f.Reason, &f.RequestID, &f.Peer)
		f.At = timeOf(at)
		list = append(list, f)
		return err
	})
	return list, err
}
