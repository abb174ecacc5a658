package sqlite

import (
	"slices"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

// TestAMissTellsWhatThereIs misspells within each operator and filter: they keep their exact meaning, so nothing is
// found, and the answer names what there is.
func TestAMissTellsWhatThereIs(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, storetest.Category(func(c *knowledge.Category) { c.ID = "reliability" }),
		storetest.Category(func(c *knowledge.Category) { c.ID = "Forgotten" }),
		storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title, r.Category = "SEC-001", "Write a commit message", "reliability"
			r.Description, r.Tags = "Kubernetes manifests say accessibility.", []string{"security", "Über-Tag"}
			r.Scope.Languages = []string{"python"}
		}),
		storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title, r.Category, r.Tags = "OLD-1", "Use obsolete things", "reliability", []string{"obsolete"}
		}))
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "OLD-1"}})
	for text, want := range map[string][]string{
		"tag:securty": {"tag:security"}, "tag:Securty commit": {"tag:security"}, "tag:sceurity*": {"tag:security*"},
		"tag:uber-tagg": {"tag:Über-Tag"}, "category:relability": {"category:reliability"}, "id:SEC-0001": {"id:sec-001"},
		"id:SCE-001": {"id:sec-001"}, "title:comit": {"title:commit"}, `title:"comit mesage"`: {`title:"commit message"`},
		`"kuberntes manifests"`: {`"kubernetes manifests"`}, "kubernets*": {"kubernetes*"},
		"kuberntes OR manifets": {"kubernetes", "manifests"}, "tag:securty OR tag:sceurity": {"tag:security"},
		"title:kuberntes": {}, // in no title
		"tag:obsolet":     {}, // of what is retired
		"tag:zebra":       {}, `"manifests kubernetes"`: {}, "tag:security title:accessibility": {},
	} {
		for _, literal := range []bool{false, true} {
			hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: text, Literal: literal})
			if err != nil || len(hits.Hits) != 0 {
				t.Errorf("%s: %+v, %v, want no hit", text, hits, err)
			} else if got := hits.Reading.Suggestions; !slices.Equal(got, want) {
				t.Errorf("%s: there is %q, want %q", text, got, want)
			}
		}
	}
	for want, q := range map[string]knowledge.SearchQuery{
		"security": {Tag: "securty"}, "reliability": {Category: "relability"}, "python": {Language: "pyton"},
	} {
		q.Text = "commit"
		if hits, err := s.Search(t.Context(), q); err != nil || !slices.Equal(hits.Reading.Suggestions, []string{want}) {
			t.Errorf("%+v: %+v, %v, want %s", q, hits, err, want)
		}
	}
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "tag:securty", Without: "forgotten"})
	if err != nil || len(hits.Reading.Suggestions) > 0 {
		t.Errorf("who may not see everything is told %+v, %v", hits, err)
	}
	if hits, err = s.Search(t.Context(), knowledge.SearchQuery{Text: "commit -tag:securty"}); err != nil ||
		len(hits.Hits) != 1 || len(hits.Reading.Suggestions) > 0 {
		t.Errorf("with a hit: %+v, %v", hits, err)
	}
}
