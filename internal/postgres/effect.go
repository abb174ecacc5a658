package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"tenet/internal/store"
)

// An EffectBook keeps the effects of documents in a store's database, for all instances that share it.
type EffectBook struct{ s *Store }

// NewEffectBook returns the effect book of a store.
func NewEffectBook(s *Store) *EffectBook { return &EffectBook{s} }

var _ store.EffectBook = (*EffectBook)(nil)

// AddEffects implements [store.EffectBook]. If the connection is lost in between, a retry may count twice.
func (b *EffectBook) AddEffects(ctx context.Context, list ...store.EffectDay) error {
	if len(list) == 0 {
		return nil
	}
	var keys, days []string
	numbers := [4][]int64{}
	for i := range list {
		d := &list[i]
		keys, days = append(keys, d.Key), append(days, d.Day)
		for j, n := range []int64{d.Served, d.Followed, d.Violated, d.Exempted} {
			numbers[j] = append(numbers[j], n)
		}
	}
	return b.s.exec(ctx, "effects.add", `INSERT INTO effect_days AS e (key, day, served, followed, violated, exempted)
SELECT key, day, sum(s), sum(f), sum(v), sum(x)
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS n (key, day, s, f, v,
  x)
  GROUP BY key, day ORDER BY key, day
ON CONFLICT (key, day) DO UPDATE SET served = e.served + excluded.served, followed = e.followed + excluded.followed,
  violated = e.violated + excluded.violated, exempted = e.exempted + excluded.exempted`,
		keys, days, numbers[0], numbers[1], numbers[2], numbers[3])
}

// EffectDays implements [store.EffectBook].
func (b *EffectBook) EffectDays(ctx context.Context, from string, fn func(store.EffectDay) error) error {
	return b.s.query(ctx, "effects.days", `SELECT key, day, served, followed, violated, exempted FROM effect_days
		WHERE day >= $1
ORDER BY key, day`, []any{from}, func(r pgx.Rows) error {
		var d store.EffectDay
		if err := r.Scan(&d.Key, &d.Day, &d.Served, &d.Followed, &d.Violated, &d.Exempted); err != nil {
			return err
		}
		return fn(d)
	})
}

// ForgetEffects implements [store.EffectBook].
func (b *EffectBook) ForgetEffects(ctx context.Context, before string) error {
	return b.s.exec(ctx, "effects.forget", "DELETE FROM effect_days WHERE day < $1", before)
}

// PutEffects implements [store.EffectBook].
func (b *EffectBook) PutEffects(ctx context.Context, list ...store.Effect) error {
	keys, verdicts, texts := []string{}, []string{}, []string{}
	for i := range list {
		text, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		keys, verdicts, texts = append(keys, list[i].Key), append(verdicts, list[i].Verdict),
			append(texts, string(text))
	}
	return b.s.exec(ctx, "effects.put", `WITH gone AS (DELETE FROM effects e WHERE NOT EXISTS (SELECT
		FROM unnest($1::text[]) AS n (key) WHERE n.key = e.key))
INSERT INTO effects (key, verdict, effect) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (key) DO UPDATE SET verdict = excluded.verdict, effect = excluded.effect`, keys, verdicts, texts)
}

// effectsSQL returns the statement of a page.
func effectsSQL(q store.EffectQuery) (query string, args []any) {
	switch {
	case q.Key != "":
		return "SELECT effect FROM effects WHERE key = $1", []any{q.Key}
	case q.Verdict != "":
		return "SELECT effect FROM effects WHERE verdict = $1 AND key > $2 ORDER BY key LIMIT $3",
			[]any{q.Verdict, q.After, q.Limit}
	}
	return "SELECT effect FROM effects WHERE key > $1 ORDER BY key LIMIT $2", []any{q.After, q.Limit}
}

// Effects implements [store.EffectBook].
func (b *EffectBook) Effects(ctx context.Context, q store.EffectQuery) ([]store.Effect, error) {
	query, args := effectsSQL(q)
	list := []store.Effect{}
	err := b.s.query(ctx, "effects", query, args, func(r pgx.Rows) error {
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
