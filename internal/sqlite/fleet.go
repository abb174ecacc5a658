package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"tenet/internal/store"
)

// A FleetBook keeps the state of repositories in a store's file.
type FleetBook struct{ s *Store }

// NewFleetBook returns the fleet book of a store.
func NewFleetBook(s *Store) *FleetBook { return &FleetBook{s} }

var _ store.FleetBook = (*FleetBook)(nil)

// PutStandings implements [store.FleetBook].
func (b *FleetBook) PutStandings(ctx context.Context, list ...store.Standing) error {
	if len(list) == 0 {
		return nil
	}
	return b.s.do(ctx, "fleet.put", func(ctx context.Context, t *tx) error {
		for i := range list {
			s := &list[i]
			text, err := json.Marshal(s)
			if err != nil {
				return err
			}
			err = t.exec(ctx, `INSERT INTO standings (repository, state, since, at, touched, standing)
				VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since, at = excluded.at, touched = excluded.touched,
standing = excluded.standing
WHERE (at, touched) <= (excluded.at, excluded.touched)`,
				s.Repository, string(s.State), micros(s.Since), micros(s.At), micros(s.Touched), string(text))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// standingsSQL returns the statement of a page.
func standingsSQL(q store.FleetQuery) (query string, args []any) {
	if q.Limit == 0 {
		q.Limit = store.FleetLimit
	}
	query, args = "SELECT standing FROM standings WHERE repository > ? ORDER BY repository LIMIT ?",
		[]any{q.After, q.Limit}
	switch {
	case !q.Touched.IsZero():
		query, args = "SELECT standing FROM standings WHERE touched >= ? ORDER BY touched LIMIT ?",
			[]any{micros(q.Touched), q.Limit}
	case len(q.IDs) > 0:
		query, args = "SELECT standing FROM standings WHERE repository IN (SELECT value FROM json_each(?)) ORDER BY "+
			"repository LIMIT ?",
			[]any{asJSON(q.IDs), q.Limit}
	case q.State != "":
		query, args = "SELECT standing FROM standings WHERE state = ? AND repository > ? ORDER BY repository LIMIT ?",
			[]any{string(q.State), q.After, q.Limit}
	}
	return query, args
}

// Standings implements [store.FleetBook].
func (b *FleetBook) Standings(ctx context.Context, q store.FleetQuery) ([]store.Standing, error) {
	query, args := standingsSQL(q)
	list := []store.Standing{}
	err := b.s.read(ctx, "fleet", query, args, func(r *sql.Rows) error {
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
	err := b.s.read(ctx, "fleet.count", "SELECT state, count(*), min(since) FROM standings GROUP BY state ORDER "+
		"BY state", nil, func(r *sql.Rows) error {
		var c store.FleetCount
		var since int64
		err := r.Scan(&c.State, &c.Repositories, &since)
		c.Since = moment(since)
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
	return b.s.do(ctx, "fleet.drop", func(ctx context.Context, t *tx) error {
		return t.exec(ctx, "DELETE FROM standings WHERE repository IN (SELECT value FROM json_each(?))", asJSON(ids))
	})
}
