package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"tenet/internal/store"
)

// An EffectBook counts in a store's file how often documents were served, followed and broken.
type EffectBook struct{ s *Store }

// NewEffectBook returns the effect counts of a store.
func NewEffectBook(s *Store) *EffectBook { return &EffectBook{s} }

var _ store.EffectBook = (*EffectBook)(nil)

// AddEffects implements [store.EffectBook].
func (b *EffectBook) AddEffects(ctx context.Context, list ...store.EffectDay) error {
	if len(list) == 0 {
		return nil
	}
	return b.s.do(ctx, "effects.add", func(ctx context.Context, t *tx) error {
		for i := range list {
			d := &list[i]
			err := t.exec(ctx, `INSERT INTO effect_days (key, day, served, followed, violated, exempted)
				VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET served = served + excluded.served, followed = followed + excluded.followed,
  violated = violated + excluded.violated, exempted = exempted + excluded.exempted`,
				d.Key, d.Day, d.Served, d.Followed, d.Violated, d.Exempted)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EffectDays implements [store.EffectBook].
func (b *EffectBook) EffectDays(ctx context.Context, from string, fn func(store.EffectDay) error) error {
	return b.s.read(ctx, "effects.days", `SELECT key, day, served, followed, violated, exempted FROM effect_days
		WHERE day >= ?
ORDER BY key, day`, []any{from}, func(r *sql.Rows) error {
		var d store.EffectDay
		if err := r.Scan(&d.Key, &d.Day, &d.Served, &d.Followed, &d.Violated, &d.Exempted); err != nil {
			return err
		}
		return fn(d)
	})
}

// ForgetEffects implements [store.EffectBook].
func (b *EffectBook) ForgetEffects(ctx context.Context, before string) error {
	return b.s.do(ctx, "effects.forget", func(ctx context.Context, t *tx) error {
		return t.exec(ctx, "DELETE FROM effect_days WHERE day < ?", before)
	})
}

// PutEffects implements [store.EffectBook].
func (b *EffectBook) PutEffects(ctx context.Context, list ...store.Effect) error {
	return b.s.do(ctx, "effects.put", func(ctx context.Context, t *tx) error {
		if err := t.exec(ctx, "DELETE FROM effects"); err != nil {
			return err
		}
		for i := range list {
			text, err := json.Marshal(&list[i])
			if err != nil {
				return err
			}
			err = t.exec(ctx, "INSERT INTO effects (key, verdict, effect) VALUES (?, ?, ?)", list[i].Key,
				list[i].Verdict, string(text))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// effectsSQL returns the statement of a page.
func effectsSQL(q store.EffectQuery) (query string, args []any) {
	switch {
	case q.Key != "":
		return "SELECT effect FROM effects WHERE key = ?", []any{q.Key}
	case q.Verdict != "":
		return "SELECT effect FROM effects WHERE verdict = ? AND key > ? ORDER BY key LIMIT ?",
			[]any{q.Verdict, q.After, q.Limit}
	}
	return "SELECT effect FROM effects WHERE key > ? ORDER BY key LIMIT ?", []any{q.After, q.Limit}
}

// Effects implements [store.EffectBook].
func (b *EffectBook) Effects(ctx context.Context, q store.EffectQuery) ([]store.Effect, error) {
	query, args := effectsSQL(q)
	list := []store.Effect{}
	err := b.s.read(ctx, "effects", query, args, func(r *sql.Rows) error {
		var text []byte
		if err := r.Scan(&text); err != nil {
			return err
		}
		var e store.Effect
		err := json.Unmarshal(text, &e)
		list = append(list, e)
		return err
	})
	return list, err
}
