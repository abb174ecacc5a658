package server_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// TestScoresOfTwoMonthsAreToldAndThoseOfTooFewRunsAreAbsent gives a server counts of earlier days, and asks over REST
// what a night's work made of them.
func TestScoresOfTwoMonthsAreToldAndThoseOfTooFewRunsAreAbsent(t *testing.T) {
	x := start(t, server.Options{})
	ops := []knowledge.Op{
		knowledge.Put(&knowledge.Category{ID: "c", Name: "C", IsActive: true}, knowledge.NoVersion),
		knowledge.Put(&knowledge.Pack{
			PackID: "p", Name: "P", IsActive: true, Select: knowledge.Selection{IDs: []string{"rule/BETTER"}},
		}, knowledge.NoVersion),
	}
	for _, id := range []string{"BETTER", "FEW"} {
		r := &knowledge.Rule{RuleID: id, Category: "c", Title: id, Description: "x", IsActive: true}
		r.Normalize()
		ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
	}
	for i := range 5 {
		r := &knowledge.Repository{RepositoryID: fmt.Sprint("r", i), Name: "R", IsActive: true}
		if i > 0 {
			r.Packs = []string{"p"}
		}
		ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
	}
	write(t, x.admin(t), "admin", ops...)
	x.end(t)
	countBefore(t, filepath.Join(x.dir, "tenet.db"))

	x = start(t, server.Options{DataDir: x.dir})
	if _, err := x.admin(t).RunJob(t.Context(), "effect.work"); err != nil {
		t.Fatal(err)
	}
	fleet := client.Fleet{Store: x.admin(t)}
	told := map[string]string{}
	for _, key := range []string{"rule/BETTER", "rule/FEW"} {
		var page *client.EffectPage
		await(t, "the night's work to be done", func() bool {
			var err error
			page, err = fleet.Effects(t.Context(), store.EffectQuery{Key: key, Limit: 10})
			return err == nil && len(page.Documents) == 1
		})
		d, score := &page.Documents[0], "absent"
		if d.EffectivenessScore != nil {
			score = fmt.Sprintf("%.2f of %d", *d.EffectivenessScore, d.EffectivenessSample)
		}
		if d.AdoptionRate == nil {
			t.Fatalf("%s has no share of 5 repositories", key)
		}
		told[key] = fmt.Sprintf("adoption %.1f of %d, score %s", *d.AdoptionRate, d.AdoptionSample, score)
	}
	if diff := cmp.Diff(map[string]string{
		"rule/BETTER": "adoption 1.0 of 5, score 0.80 of 140", "rule/FEW": "adoption 0.2 of 5, score absent",
	}, told); diff != "" {
		t.Error(diff)
	}
}

// countBefore adds runs of earlier days to a database: half of those of a rule broke it at first and a tenth at last,
// and there are few of another.
func countBefore(t *testing.T, file string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := func(rule string, ago int, tally store.EffectTally) {
		t.Helper()
		day := time.Now().UTC().AddDate(0, 0, -ago).Format(time.DateOnly)
		err := sqlite.NewEffectBook(s).AddEffects(t.Context(),
			store.EffectDay{Key: "rule/" + rule, Day: day, EffectTally: tally})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 14 {
		add("BETTER", 60-n, store.EffectTally{Followed: 5, Violated: 5})
		add("BETTER", 14-n, store.EffectTally{Followed: 9, Violated: 1})
	}
	add("FEW", 60, store.EffectTally{Followed: 1, Violated: 1})
	add("FEW", 1, store.EffectTally{Followed: 1})
}
