package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A FleetBook keeps the standings of repositories in a store's database, for all instances that share it.
type FleetBook struct{ s *Store }

// NewFleetBook returns the fleet book of a store.
func NewFleetBook(s *Store) *FleetBook { return &FleetBook{s} }

var _ store.FleetBook = (*FleetBook)(nil)

// PutStandings implements [store.FleetBook]. It is idempotent.
func (b *FleetBook) PutStandings(ctx context.Context, list ...store.Standing) error {
	if len(list) == 0 {
		return nil
	}
	var ids, states, texts []string
	var since, at, touched []time.Time
	for i := range list {
		s := &list[i]
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		ids, states, texts = append(ids, s.Repository), append(states, string(s.State)), append(texts, string(text))
		since, at, touched = append(since, s.Since.Time), append(at, s.At.Time), append(touched, s.Touched.Time)
	}
	return b.s.exec(ctx, "fleet.put", `INSERT INTO standings AS s (repository, state, since, at, touched, standing)
SELECT DISTINCT ON (repository) * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[],
$5::timestamptz[], $6::text[])
  AS n (repository, state, since, at, touched, standing) ORDER BY repository, at DESC, touched DESC
ON CONFLICT (repository) DO UPDATE SET state = excluded.state, since = excluded.since, at = excluded.at, touched =
excluded.touched,
  standing = excluded.standing
WHERE (s.at, s.touched) <= (excluded.at, excluded.touched)`, ids, states, since, at, touched, texts)
}

// standingsSQL returns the statement of a page.
func standingsSQL(q store.FleetQuery) (query string, args []any) {
	if q.Limit == 0 {
		q.Limit = store.FleetLimit
	}
	query, args = "SELECT standing FROM standings WHERE repository > $1 ORDER BY repository LIMIT $2",
		[]any{q.After, q.Limit}
	switch {
	case !q.Touched.IsZero():
		query, args = "SELECT standing FROM standings WHERE touched >= $1 ORDER BY touched LIMIT $2",
			[]any{q.Touched.Time, q.Limit}
	case len(q.IDs) > 0:
		query, args = "SELECT standing FROM standings WHERE repository = ANY ($1) ORDER BY repository LIMIT $2",
			[]any{q.IDs, q.Limit}
	case q.State != "":
		query, args = "SELECT standing FROM standings WHERE state = $1 AND repository > $2 ORDER BY repository "+
			"LIMIT $3",
			[]any{string(q.State), q.After, q.Limit}
	}
	return query, args
}

// Standings implements [store.FleetBook].
func (b *FleetBook) Standings(ctx context.Context, q store.FleetQuery) ([]store.Standing, error) {
	query, args := standingsSQL(q)
	list := []store.Standing{}
	err := b.s.query(ctx, "fleet", query, args, func(r pgx.Rows) error {
		var text []byte
		if err := r.Scan(&text); err != nil {
			return err
		}
		var s store.Standing
		err := json.Unmarshal(text, &s)
		list = append(list, s)
		return err
	})
	return list, err
}

// CountStandings implements [store.FleetBook].
func (b *FleetBook) CountStandings(ctx context.Context) ([]store.FleetCount, error) {
	list := []store.FleetCount{}
	err := b.s.query(ctx, "fleet.count", "SELECT state, count(*), min(since) FROM standings GROUP BY state ORDER "+
		"BY state", nil, func(r pgx.Rows) error {
		var c store.FleetCount
		var since time.Time
		err := r.Scan(&c.State, &c.Repositories, &since)
		c.Since = knowledge.At(since)
		list = append(list, c)
		return err
	})
	return list, err
}

// DropStandings implements [store.FleetBook].
func (b *FleetBook) DropStandings(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return b.s.exec(ctx, "fleet.drop", "DELETE FROM standings WHERE repository = ANY ($1)", ids)
}
