package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	at := make([]time.Time, len(list))
	columns := make([][]string, 5)
	for i, r := range list {
		at[i] = r.At.Time
		for c, v := range []string{r.Actor, r.Action, r.Key, r.Reason, r.RequestID} {
			columns[c] = append(columns[c], v)
		}
	}
	return s.exec(ctx, "refusals.add", `INSERT INTO refusals (at, actor, action, key, reason, request_id)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])`,
		at, columns[0], columns[1], columns[2], columns[3], columns[4])
}

// Refusals returns what was refused before a time, the newest first; before the zero time means all.
func (s *Store) Refusals(ctx context.Context, before knowledge.Time, limit int) ([]Refusal, error) {
	list := []Refusal{}
	err := s.query(ctx, "refusals", `SELECT at, actor, action, key, reason, request_id FROM refusals
WHERE $1::timestamptz IS NULL OR at < $1 ORDER BY at DESC LIMIT $2`, []any{null(before), limit}, func(r pgx.Rows) error {
		var f Refusal
		var at pgtype.Timestamptz
		err := r.Scan(&at, &f.Actor, &f.Action, &f.Key, &f.Reason, &f.RequestID)
		f.At = timeOf(at)
		list = append(list, f)
		return err
	})
	return list, err
}
