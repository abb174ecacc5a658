package bundle_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

func open(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s store.Store, docs ...knowledge.Document) knowledge.Seq {
	t.Helper()
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "test"}
	for _, d := range docs {
		b.Ops = append(b.Ops, knowledge.Op{Verb: knowledge.VerbPut, Key: d.Key(), Doc: d})
	}
	r, err := s.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return r.Seq
}

func rule(id, title, category string) *knowledge.Rule {
	r := knowledge.New(knowledge.KindRule).(*knowledge.Rule)
	r.RuleID, r.Title, r.Category, r.Description, r.Severity, r.Enforcement = id, title, category, "x", "WARNING",
		"recommended"
	r.Status, r.Scope.Activation = knowledge.StatusActive, "always"
	return r
}

func titles(t *testing.T, b *bundle.Bundle) map[string]string {
	t.Helper()
	rules, err := b.Rules()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range rules {
		all[r.RuleID] = r.Title + " " + r.Enforcement
	}
	return all
}

// TestABundleAtALabelIsWhatStoodThere moves a label and changes everything around it.
func TestABundleAtALabelIsWhatStoodThere(t *testing.T) {
	s, ctx := open(t), t.Context()
	pack := &knowledge.Pack{
		PackID: "p", Name: "P", IsActive: true, Select: knowledge.Selection{Categories: []string{"a"}},
		Raise: []knowledge.Raise{{ID: "rule/R-1", Enforcement: "mandatory"}},
	}
	repository := &knowledge.Repository{
		RepositoryID: "acme", Name: "A", Packs: []string{"p"}, Label: "production",
		IsActive: true,
	}
	put(t, s, &knowledge.Category{ID: "a", Name: "a", IsActive: true}, &knowledge.Category{
		ID: "b", Name: "b",
		IsActive: true,
	})
	seq := put(t, s, rule("R-1", "one", "a"), rule("R-2", "two", "a"), rule("R-3", "three", "b"), pack)
	put(t, s, &knowledge.Label{LabelID: "production", Name: "L", Seq: seq, IsActive: true}, repository)

	want := bundle.Want{Repository: "acme"}
	first, err := bundle.Fetch(ctx, s, "", want, nil)
	if err != nil {
		t.Fatal(err)
	}
	wide := *pack
	wide.Select = knowledge.Selection{Categories: []string{"a", "b"}}
	put(t, s, rule("R-1", "ONE", "a"), rule("R-2", "two", "b"), rule("R-4", "four", "a"), &wide)
	again, err := bundle.Fetch(ctx, s, "", want, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bundle.Bundle{first, again} {
		got := titles(t, b)
		if len(got) != 2 || got["R-1"] != "one mandatory" || got["R-2"] != "two recommended" {
			t.Errorf("at the label it holds %v, want R-1 and R-2 as they stood there", got)
		}
	}
	now := titles(t, fetch(t, s, bundle.Want{Packs: []string{"p"}}))
	if len(now) != 4 || now["R-1"] != "ONE mandatory" {
		t.Errorf("without the label it holds %v", now)
	}
	_, err = bundle.Fetch(ctx, s, "", bundle.Want{Label: "nowhere"}, nil)
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a label that is not there: %v, want %v", err, store.ErrNotFound)
	}
}

// TestABundleIsKeptOfItsOwnHistoryAndForAWhile asks for a bundle again of another log that has a change of the same
// number, and long after it was fetched.
func TestABundleIsKeptOfItsOwnHistoryAndForAWhile(t *testing.T) {
	s, other, ctx := open(t), open(t), t.Context()
	for log, title := range map[store.Store]string{s: "one", other: "another"} {
		put(t, log, &knowledge.Category{ID: "a", Name: "a", IsActive: true})
		put(t, log, rule("R-1", title, "a"))
	}
	first := fetch(t, s, bundle.Want{})
	kept, err := bundle.Fetch(ctx, s, "", bundle.Want{}, first)
	if err != nil || !kept.Made.Equal(first.Made) || kept.Fetched.Before(first.Fetched) {
		t.Errorf("at once it is of %v, %v; want the one of before", kept.Made, err)
	}
	restored, err := bundle.Fetch(ctx, other, "", bundle.Want{}, first)
	if err != nil || titles(t, restored)["R-1"] != titles(t, fetch(t, other, bundle.Want{}))["R-1"] {
		t.Errorf("of another history it holds %v, %v", titles(t, restored), err)
	}
	for _, ago := range []time.Duration{2 * time.Hour, -2 * time.Hour} { // or a clock was put back
		first.Made = time.Now().Add(-ago)
		again, err := bundle.Fetch(ctx, s, "", bundle.Want{}, first)
		if err != nil || again.Made.Equal(first.Made) {
			t.Errorf("%s later it is of %v, %v; want that it is fetched again", ago, again.Made, err)
		}
	}
}

func fetch(t *testing.T, s store.Store, w bundle.Want) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Fetch(t.Context(), s, "", w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWhatRepositoriesTakeIsWhatTheirBundlesHold compares the tenet's view of many repositories with what each of them
// would take.
func TestWhatRepositoriesTakeIsWhatTheirBundlesHold(t *testing.T) {
	s := open(t)
	put(t, s, &knowledge.Category{ID: "a", Name: "a", IsActive: true}, &knowledge.Category{
		ID: "b", Name: "b",
		IsActive: true,
	})
	seq := put(t, s, rule("R-1", "one", "a"), rule("R-2", "two", "b"),
		&knowledge.Pack{PackID: "p", Name: "P", IsActive: true, Select: knowledge.Selection{Categories: []string{"a"}}},
		&knowledge.Pack{
			PackID: "q", Name: "Q", IsActive: true, Extends: []string{"p"},
			Raise:  []knowledge.Raise{{ID: "rule/R-1", Severity: "CRITICAL"}},
			Select: knowledge.Selection{IDs: []string{"rule/R-1"}},
		})
	put(t, s, &knowledge.Label{LabelID: "then", Name: "L", Seq: seq, IsActive: true}, rule("R-1", "ONE", "a"))
	list := []*knowledge.Repository{
		{RepositoryID: "all"},
		{RepositoryID: "p", Packs: []string{"p"}},
		{RepositoryID: "p2", Packs: []string{"p"}},
		{RepositoryID: "q", Packs: []string{"q"}},
		{RepositoryID: "then", Packs: []string{"p"}, Label: "then"},
		{RepositoryID: "none", Packs: []string{"gone"}},
		{RepositoryID: "nowhere", Label: "gone"},
	}
	takings, err := bundle.Takings(t.Context(), s, list)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range list[:5] {
		d, err := fetch(t, s, bundle.Want{Packs: r.Packs, Label: r.Label}).Digest()
		if err != nil {
			t.Fatal(err)
		}
		if got := takings[r.RepositoryID]; got != (bundle.Taking{Digest: d}) {
			t.Errorf("%s takes %+v, want %s", r.RepositoryID, got, d)
		}
		seen[d] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d digests, want one for everything, p, q and then", len(seen))
	}
	for _, id := range []string{"none", "nowhere"} {
		if takings[id].Fault == "" {
			t.Errorf("%s takes what is not there, and nothing is said", id)
		}
	}
}

// TestWhatHasChangedForARepository compares what a repository took with what it takes now, with and without a label.
func TestWhatHasChangedForARepository(t *testing.T) {
	s := open(t)
	put(t, s, &knowledge.Category{ID: "a", Name: "a", IsActive: true}, &knowledge.Category{
		ID: "b", Name: "b",
		IsActive: true,
	})
	pack := &knowledge.Pack{
		PackID: "p", Name: "P", IsActive: true,
		Select: knowledge.Selection{Categories: []string{"a"}},
	}
	then := put(t, s, rule("R-1", "one", "a"), rule("R-2", "two", "a"), rule("R-3", "three", "b"), pack)
	label := put(t, s, &knowledge.Label{LabelID: "l", Name: "L", Seq: then, IsActive: true})
	wide := *pack
	wide.Description = "wider"
	put(t, s, rule("R-1", "ONE", "a"), rule("R-2", "two", "b"), rule("R-3", "THREE", "b"), rule("R-4", "four", "a"),
		&wide)
	for _, c := range []struct {
		what string
		r    *knowledge.Repository
		seq  knowledge.Seq
		want map[string]string
	}{
		{"now", &knowledge.Repository{Packs: []string{"p"}}, label, map[string]string{
			"rule/R-1": "changed", "rule/R-2": "removed", "rule/R-4": "added", "pack/p": "changed",
		}},
		{"everything", &knowledge.Repository{}, label, map[string]string{
			"rule/R-1": "changed", "rule/R-2": "changed", "rule/R-3": "changed", "rule/R-4": "added",
		}},
		{"at the end", &knowledge.Repository{Packs: []string{"p"}}, label + 100, map[string]string{}},
		{
			"a label that stands still", &knowledge.Repository{Packs: []string{"p"}, Label: "l"}, label,
			map[string]string{},
		},
	} {
		told(t, s, c.what, c.r, c.seq, c.want)
	}
	put(t, s, &knowledge.Label{LabelID: "l", Name: "L", Seq: label + 1, IsActive: true}) // R-1 alone
	told(t, s, "a label that has moved", &knowledge.Repository{Packs: []string{"p"}, Label: "l"}, label,
		map[string]string{"rule/R-1": "changed"})
}

func told(t *testing.T, s store.Past, what string, r *knowledge.Repository, seq knowledge.Seq, want map[string]string) {
	t.Helper()
	moves, more, err := bundle.Since(t.Context(), s, r, seq)
	if err != nil || more {
		t.Fatal(what, err, more)
	}
	got := map[string]string{}
	for _, m := range moves {
		got[m.Key] = m.How
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestWhatIsCheckedIsWhatABundleHolds compares the rules that a server checks by with those of a work tree.
func TestWhatIsCheckedIsWhatABundleHolds(t *testing.T) {
	s := open(t)
	with := func(r *knowledge.Rule) *knowledge.Rule {
		r.Checks = []knowledge.Check{{ID: "c", Kind: knowledge.CheckForbid, Pattern: "bad"}}
		r.Scope = knowledge.Scope{Activation: "glob", Globs: []string{"**/*.go"}}
		return r
	}
	put(t, s, &knowledge.Category{ID: "a", Name: "a", IsActive: true},
		&knowledge.Category{ID: "b", Name: "b", IsActive: true})
	seq := put(t, s, with(rule("R-1", "one", "a")), with(rule("R-2", "two", "b")), rule("R-3", "three", "a"),
		&knowledge.Pack{
			PackID: "p", Name: "P", IsActive: true, Select: knowledge.Selection{Categories: []string{"a"}},
			Raise: []knowledge.Raise{{ID: "rule/R-1", Severity: "CRITICAL", Enforcement: "mandatory"}},
		})
	put(t, s, &knowledge.Label{LabelID: "then", Name: "L", Seq: seq, IsActive: true}, with(rule("R-4", "four", "a")),
		with(rule("R-1", "ONE", "a")), rule("R-2", "TWO", "b"), &knowledge.Repository{
			RepositoryID: "acme", Name: "A", Packs: []string{"p"}, IsActive: true,
			Exemptions: []knowledge.Exemption{{Rule: "R-4", Reason: "r", Until: knowledge.At(time.Now().Add(time.Hour))}},
		})
	files := []check.File{{Path: "a.go", Content: []byte("bad\n")}}
	for want, found := range map[string]int{
		`{}`: 2, `{"packs":["p"]}`: 2, `{"label":"then"}`: 2, `{"packs":["p"],"label":"then"}`: 1,
		`{"repository":"acme"}`: 2, `{"repository":"acme","label":"then"}`: 1,
	} {
		var w bundle.Want
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		b := fetch(t, s, w)
		rules, err := b.Rules()
		if err != nil {
			t.Fatal(err)
		}
		exempt, err := b.Exemptions()
		if err != nil {
			t.Fatal(err)
		}
		checked, spared, err := bundle.Checked(t.Context(), s, w)
		if err != nil {
			t.Fatal(err)
		}
		whole := check.NewSet(rules, exempt, time.Now()).Run(files)
		part := check.NewSet(checked, spared, time.Now()).Run(files)
		if diff := cmp.Diff(whole.Findings, part.Findings); diff != "" || len(part.Findings) != found {
			t.Errorf("%s finds %d, want %d as a bundle does (-bundle +checked)\n%s", want, len(part.Findings), found,
				diff)
		}
	}
}
