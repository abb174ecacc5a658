package sqlite

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/knowledge"
	"tenet/internal/store/storetest"
)

func TestStemsAreThoseOfPorter(t *testing.T) {
	for word, want := range map[string]string{
		"caresses": "caress", "ponies": "poni", "ties": "ti", "cats": "cat", "feed": "feed", "freed": "freed", "plastered": "plaster", "motoring": "motor",
		"sing": "sing", "conflated": "conflat", "troubled": "troubl", "sized": "size", "hopping": "hop", "falling": "fall", "hissing": "hiss", "filing": "file",
		"happy": "happi", "sky": "sky", "relational": "relat", "conditional": "condit", "rational": "ration", "digitizer": "digit", "vietnamization": "vietnam",
		"predication": "predic", "operator": "oper", "feudalism": "feudal", "decisiveness": "decis", "hopefulness": "hope", "formaliti": "formal",
		"triplicate": "triplic", "formative": "form", "formalize": "formal", "electrical": "electr", "goodness": "good", "revival": "reviv", "allowance": "allow",
		"adjustable": "adjust", "replacement": "replac", "adoption": "adopt", "communism": "commun", "effective": "effect", "bowdlerize": "bowdler",
		"probate": "probat", "rate": "rate", "cease": "ceas", "compell": "compel", "roll": "roll", "go": "go", "http2": "http2", "naïve": "naïve",
	} {
		if got := stem(word); got != want {
			t.Errorf("stem(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSearchFindsWordsInEveryForm(t *testing.T) {
	s := openTest(t, Options{})
	doc := storetest.Rule(func(r *knowledge.Rule) {
		r.Title = "Resilience of connections"
		r.Description = "Pools testify to naïve snake_case handling; unit tests of C++ and pgx.Batch run in Zürich."
		r.Category = "reliability-engineering"
		r.Tags = []string{"c++", "second tag"}
		r.Scope.Languages = []string{"c++"}
	})
	put(t, s, storetest.Category(func(c *knowledge.Category) { c.ID = "reliability-engineering" }), doc)
	found := func(q knowledge.SearchQuery) bool {
		t.Helper()
		q.Kinds = []knowledge.Kind{knowledge.KindRule}
		hits, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatalf("Search(%+v): %v", q, err)
		}
		return len(hits.Hits) == 1
	}
	for text, want := range map[string]bool{
		"resilience": true, "resilient": true, "resilien*": true, "r*": true, "title:conn*": true, "title:pool*": false, "connection": true, "testi*": true,
		"unit test": true, `"unit tests"`: true, `"tests unit"`: false, `"unit tes*"`: true, "snake case": true, "snake_case": true, "naive": true, "naïve": true, "NAÏV*": true,
		"zurich": true, "pgx.batch": true, "c++": true, "batches": true, "nothing OR pool": true, "pool -naive": false, "pool -nothing": true, `"of connections"`: true,
		"kindrule": false, "languagec": false, "kindr*": false,
	} {
		if got := found(knowledge.SearchQuery{Text: text}); got != want {
			t.Errorf("%s: found is %v, want %v", text, got, want)
		}
	}
	for name, q := range map[string]knowledge.SearchQuery{
		"category": {Text: "pools", Category: "reliability-engineering"}, "tag": {Text: "pools", Tag: "second tag"}, "odd tag": {Text: "pools", Tag: "c++"},
		"language": {Text: "pools", Language: "c++"}, "severity": {Text: "pools", Severity: doc.Severity},
	} {
		if !found(q) {
			t.Errorf("narrowed by %s: not found", name)
		}
	}
	for name, q := range map[string]knowledge.SearchQuery{
		"category": {Text: "pools", Category: "engineering"}, "tag": {Text: "pools", Tag: "second"}, "language": {Text: "pools", Language: "c"},
		"severity": {Text: "pools", Severity: knowledge.SeverityInfo},
	} {
		if found(q) {
			t.Errorf("narrowed by another %s: found", name)
		}
	}
}

func TestNoQuestionBreaksSearch(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), storetest.Rule())
	rapid.Check(t, func(r *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`"`, "*", "-", "OR", "AND", "NOT", "NEAR(", ")", "title:", "{", "^", "+", ":", "close", "pol"})), 1, 8).Draw(r, "parts")
		var text strings.Builder
		for _, p := range parts {
			text.WriteString(p + rapid.SampledFrom([]string{"", " "}).Draw(r, "gap"))
		}
		q := knowledge.SearchQuery{Text: text.String()}
		if _, _, err := q.Check(); err != nil {
			return
		}
		if _, err := s.Search(t.Context(), q); err != nil {
			r.Errorf("Search(%q): %v", text.String(), err)
		}
	})
}

func TestPlacesAreInHouseOrder(t *testing.T) {
	ids := []string{"-", "-a", ".", "0", "A", "AB", "ABC", "Z", "_", "a", "aa", "abc", "z", "zzz"}
	var last int64 = -1
	for tier := range 4 {
		for weight := int64(knowledge.MaxPriority); weight >= -knowledge.MaxPriority; weight -= 500_000 {
			for _, id := range ids {
				at := place(knowledge.Key{Kind: knowledge.KindRule, ID: id}, knowledge.Rank(tier, weight))
				if at <= last {
					t.Errorf("the place of %s at tier %d, weight %d is %d, not after %d", id, tier, weight, at, last)
				}
				last = at
			}
		}
	}
}

func TestTiesAreCutInTheOrderOfTheirIDs(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	var want []string
	var ops []knowledge.Op
	for i := range 700 {
		tmpl := storetest.Template(func(d *knowledge.Template) { d.TemplateID = "prompt-" + digits((i*7919)%700) })
		ops = append(ops, knowledge.Put(tmpl, 0))
	}
	for i := range knowledge.MaxCandidates {
		want = append(want, "prompt-"+digits(i))
	}
	apply(t, s, ops...)
	q, question, err := knowledge.SearchQuery{Text: "incident"}.Check()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = s.agree(t.Context(), func(v view) error {
		list, bounded, err := v.candidates(t.Context(), question, &q)
		for _, c := range list {
			got = append(got, c.Key.ID)
		}
		if !bounded {
			t.Error("700 matches, and the answer does not say that it is bounded")
		}
		return err
	})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("candidates: %v (-want +got):\n%s", err, diff)
	}
}

// digits writes i with leading zeros.
func digits(i int) string {
	const d = "0123456789"
	return string([]byte{d[i/100%10], d[i/10%10], d[i%10]})
}
