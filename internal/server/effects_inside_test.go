package server

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

func aRule(id string) *knowledge.Rule {
	r := knowledge.New(knowledge.KindRule).(*knowledge.Rule)
	r.RuleID, r.Category, r.Title, r.Description = id, "c", id, "x"
	r.Severity, r.Enforcement, r.Status, r.Scope.Activation = "WARNING", "recommended", knowledge.StatusActive, "always"
	return r
}

// newEffects returns effects over documents: rules that behave in different ways, and some repositories.
func newEffects(t *testing.T, repositories int, rules ...string) *effects {
	t.Helper()
	docs := fleetStore(t)
	list := []knowledge.Document{&knowledge.Category{ID: "c", Name: "c", IsActive: true}}
	for _, id := range rules {
		list = append(list, aRule(id))
	}
	putAll(t, docs, list...)
	putAll(t, docs, &knowledge.Pack{
		PackID: "p", Name: "P", IsActive: true,
		Select: knowledge.Selection{IDs: []string{"rule/" + rules[0]}},
	})
	for i := range repositories {
		r := &knowledge.Repository{RepositoryID: fmt.Sprint("r", i), Name: "R", IsActive: true}
		if i%5 > 0 {
			r.Packs = []string{"p"}
		}
		putAll(t, docs, r)
	}
	return &effects{
		book: sqlite.NewEffectBook(fleetStore(t)), docs: docs, log: slog.New(slog.DiscardHandler),
		pending: map[effectKey]store.EffectTally{},
		fleet:   &fleet{book: sqlite.NewFleetBook(fleetStore(t)), docs: docs},
		holds:   func(key knowledge.Key) bool { return key.ID != "NOBODY" },
	}
}

// counts adds counts of a rule for each of some days before today.
func (e *effects) counts(t *testing.T, rule string, from, to int, tally store.EffectTally) {
	t.Helper()
	for ago := from; ago >= to; ago-- {
		d := store.EffectDay{Key: "rule/" + rule, Day: dayOf(time.Now().AddDate(0, 0, -ago)), EffectTally: tally}
		if err := e.book.AddEffects(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScoresSayOnlyWhatTheirSamplesDo works out what rules do of which much, little and nothing was counted.
func TestScoresSayOnlyWhatTheirSamplesDo(t *testing.T) {
	e := newEffects(t, 10, "BETTER", "DEAD", "NOISY", "UNSERVED", "SHORT", "FEW", "WORSE")
	// half of the runs break it at first
	e.counts(t, "BETTER", 60, 47, store.EffectTally{Served: 3, Followed: 5, Violated: 5})
	e.counts(t, "BETTER", 14, 1, store.EffectTally{Served: 3, Followed: 9, Violated: 1}) // and a tenth at last
	e.counts(t, "DEAD", 30, 1, store.EffectTally{Followed: 1})
	e.counts(t, "NOISY", 20, 1, store.EffectTally{Followed: 2, Violated: 2, Exempted: 1})
	e.counts(t, "SHORT", 20, 1, store.EffectTally{Followed: 9, Violated: 9})          // the parts would overlap
	e.counts(t, "FEW", 60, 1, store.EffectTally{Followed: 1, Violated: 0, Served: 1}) // never broken at first
	e.counts(t, "WORSE", 60, 47, store.EffectTally{Followed: 9, Violated: 1})         // more at last than at first
	e.counts(t, "WORSE", 14, 1, store.EffectTally{Followed: 6, Violated: 4})          //
	e.counts(t, "UNSERVED", effectDays+9, effectDays+5, store.EffectTally{Served: 1}) // too old to count
	e.Count(knowledge.Key{Kind: knowledge.KindRule, ID: "NOBODY"}, store.EffectTally{Violated: 1})
	e.Served([]knowledge.Key{{Kind: knowledge.KindRule, ID: "UNSERVED"}}) // today is not over
	if _, err := e.Work(t.Context(), &upkeep.Progress{}); err != nil {
		t.Fatal(err)
	}
	list, err := e.Page(t.Context(), store.EffectQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range list {
		text := "-"
		if f.EffectivenessScore != nil {
			text = fmt.Sprintf("%.2f of %d", *f.EffectivenessScore, f.EffectivenessSample)
		}
		if f.AdoptionRate == nil || f.AdoptionSample != 10 {
			t.Errorf("%s: adoption %v of %d", f.Key, f.AdoptionRate, f.AdoptionSample)
		} else {
			text += fmt.Sprintf(" %.1f", *f.AdoptionRate)
		}
		got[f.Key] = text + " " + f.Verdict
	}
	want := map[string]string{
		"rule/BETTER": "0.80 of 140 1.0 ", "rule/DEAD": "- 0.2 dead", "rule/NOISY": "- 0.2 noisy",
		"rule/UNSERVED": "- 0.2 ", // it was written today
		"rule/SHORT":    "- 0.2 ",
		"rule/FEW":      "- 0.2 dead", "rule/WORSE": "0.00 of 140 0.2 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	// The old counts are gone; those of today are there.
	days := map[string]bool{}
	if err := e.book.EffectDays(t.Context(), "", func(d store.EffectDay) error {
		days[d.Day] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if days[dayOf(time.Now().AddDate(0, 0, -effectDays-5))] || !days[dayOf(time.Now())] || len(days) != 61 {
		t.Errorf("%d days are kept", len(days))
	}
}

// TestOnlyWhatCouldBeServedForLongIsUnserved has documents that were written, or first counted, on different days.
func TestOnlyWhatCouldBeServedForLongIsUnserved(t *testing.T) {
	now := time.Now()
	for ago, want := range map[int]string{0: "", effectPart - 1: "", effectPart: store.EffectUnserved, 100: store.EffectUnserved} {
		since := dayOf(now.AddDate(0, 0, -ago))
		if got, why := verdict(&store.Effect{}, since, now); got != want || got != "" && !strings.Contains(why, since) {
			t.Errorf("since %d days: %q, %q; want %q", ago, got, why, want)
		}
	}
	served := &store.Effect{EffectTally: store.EffectTally{Served: 1}}
	if got, _ := verdict(served, "2020-01-01", now); got != "" {
		t.Errorf("what was served once is %q", got)
	}
}

// TestAFewRepositoriesMakeNoShare has too few repositories to tell a share of them.
func TestAFewRepositoriesMakeNoShare(t *testing.T) {
	e := newEffects(t, effectFleet-1, "R-1")
	if _, err := e.Work(t.Context(), &upkeep.Progress{}); err != nil {
		t.Fatal(err)
	}
	list, err := e.Page(t.Context(), store.EffectQuery{Key: "rule/R-1"})
	if err != nil || len(list) != 1 || list[0].AdoptionRate != nil || list[0].AdoptionSample != effectFleet-1 ||
		list[0].Verdict != "" {
		t.Errorf("got %+v, %v; want no share and no verdict", list, err)
	}
}

// TestEffectsAreCountedWithoutThePrimary counts in an outage, and finds the counts at the primary afterwards, once.
func TestEffectsAreCountedWithoutThePrimary(t *testing.T) {
	primary, here := sqlite.NewEffectBook(fleetStore(t)), sqlite.NewEffectBook(fleetStore(t))
	var theirs store.EffectBook
	b := &dualEffects{copy: here, theirs: func() store.EffectBook { return theirs }}
	e := newEffects(t, 0, "R-1")
	e.book = b
	count := func() {
		e.Count(knowledge.Key{Kind: knowledge.KindRule, ID: "R-1"}, store.EffectTally{Followed: 1})
		e.flush(t.Context())
	}
	count()
	count()
	if _, err := e.Work(t.Context(), &upkeep.Progress{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("worked out without the primary: %v", err)
	}
	theirs = primary
	e.flush(t.Context()) // nothing was counted, and what waits is brought
	count()
	sum := int64(0)
	for _, book := range []store.EffectBook{primary, here} {
		if err := book.EffectDays(t.Context(),
			"", func(d store.EffectDay) error { sum += d.Followed; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if sum != 3 {
		t.Errorf("%d were counted, want 3", sum)
	}
}
