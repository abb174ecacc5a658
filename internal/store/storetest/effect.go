package storetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/store"
)

// EffectBook holds a store of effects to what counts rely on: counts add up, days are told in order, and what was
// worked out is replaced as a whole. The book must be empty.
func EffectBook(t *testing.T, book store.EffectBook) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	day := func(key, day string, n int64) store.EffectDay {
		return store.EffectDay{Key: key, Day: day, EffectTally: store.EffectTally{Served: n, Followed: 2 * n, Violated: 3 * n, Exempted: 4 * n}}
	}
	days := func(from string) []store.EffectDay {
		t.Helper()
		list := []store.EffectDay{}
		must(book.EffectDays(ctx, from, func(d store.EffectDay) error { list = append(list, d); return nil }))
		return list
	}
	must(book.AddEffects(ctx))
	must(book.AddEffects(ctx, day("rule/B", "2026-01-02", 1), day("rule/B", "2026-01-01", 1), day("rule/a", "2026-01-02", 5)))
	must(book.AddEffects(ctx, day("rule/B", "2026-01-02", 2), day("rule/B", "2026-01-02", 4)))
	want := []store.EffectDay{day("rule/B", "2026-01-01", 1), day("rule/B", "2026-01-02", 7), day("rule/a", "2026-01-02", 5)}
	if diff := cmp.Diff(want, days("2026-01-01")); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	must(book.ForgetEffects(ctx, "2026-01-02"))
	if diff := cmp.Diff(want[1:], days("")); diff != "" {
		t.Errorf("days after the first was forgotten (-want +got):\n%s", diff)
	}
	var list []store.Effect
	score := 0.25
	for i := range 5 {
		list = append(list, store.Effect{Key: fmt.Sprintf("rule/R-%d", i), EffectivenessScore: &score, Verdict: []string{"", store.EffectDead}[i%2]})
	}
	must(book.PutEffects(ctx, store.Effect{Key: "rule/gone"}))
	must(book.PutEffects(ctx, list...))
	for what, c := range map[string]struct {
		q    store.EffectQuery
		want []store.Effect
	}{
		"all":          {store.EffectQuery{Limit: 10}, list},
		"a page":       {store.EffectQuery{After: "rule/R-1", Limit: 2}, list[2:4]},
		"of a verdict": {store.EffectQuery{Verdict: store.EffectDead, After: "rule/R-1", Limit: 2}, list[3:4]},
		"one":          {store.EffectQuery{Key: "rule/R-2"}, list[2:3]},
		"none":         {store.EffectQuery{Key: "rule/gone"}, []store.Effect{}},
	} {
		got, err := book.Effects(ctx, c.q)
		must(err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	must(book.PutEffects(ctx))
	if got, err := book.Effects(ctx, store.EffectQuery{Limit: 10}); err != nil || len(got) != 0 {
		t.Errorf("after nothing was put there are %v, %v", got, err)
	}
}
