package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"tenet/internal/knowledge"
)

func hiddenLaws() []law {
	return []law{
		{name: "a list leaves out hidden categories and what tells of them", check: listWithout, hides: true},
		{name: "a search leaves out hidden categories in hits counts and facets", check: searchWithout, hides: true},
	}
}

// hideaway stores documents of three categories, two of which are to be hidden, and what tells of them. It returns the
// keys of what may be seen.
func (s *suite) hideaway() (seen []knowledge.Key) {
	s.Helper()
	secret, other := Category(func(c *knowledge.Category) { c.ID = "secret" }), Category(func(c *knowledge.Category) {
		c.ID = "Secret" // ids compare byte by byte
	})
	s.put(secret, other)
	seen = append(seen, secret.Key(), other.Key(), knowledge.Key{Kind: knowledge.KindCategory, ID: GeneralCategory})
	open := Rule(func(r *knowledge.Rule) { r.Title = "Walrus" })
	s.putAll(open)
	seen = append(seen, open.Key())
	for _, category := range []string{GeneralCategory, "secret", "Secret"} {
		rule := Rule(func(r *knowledge.Rule) {
			r.Category, r.Title, r.Tags = category, "Walrus", []string{"tag-" + category[:2]}
		})
		docs := []knowledge.Document{
			rule, Practice(func(p *knowledge.Practice) { p.Category, p.Title = category, "Walrus" }),
			Template(func(t *knowledge.Template) { t.Category, t.Name = category, "Walrus" }),
			Violation(rule.RuleID), Proposal(rule.RuleID), s.proposed(Rule(func(r *knowledge.Rule) { r.Category = category })),
			Proposal(open.RuleID, func(p *knowledge.Proposal) {
				p.Ops[0].Patch = map[string]any{"category": category}
			}),
		}
		if !s.o.Queued && !s.o.NoLog { // what leaves, leaves the primary first
			docs = append(docs, left(s, knowledge.VerbArchive, category))
			s.putAll(left(s, knowledge.VerbPurge, category)) // nobody knows any more what it was
		}
		s.putAll(docs...)
		for _, d := range docs {
			if category == GeneralCategory {
				seen = append(seen, d.Key())
			}
		}
	}
	return seen
}

// left returns a proposal about a document of a category that has left since.
func left(s *suite, verb knowledge.Verb, category string) *knowledge.Proposal {
	s.Helper()
	rule := Rule(func(r *knowledge.Rule) { r.Category = category })
	s.putAll(rule)
	ops := []knowledge.Op{{Verb: verb, Key: rule.Key()}}
	if verb == knowledge.VerbArchive { // only what is retired
		ops = append([]knowledge.Op{{Verb: knowledge.VerbRetire, Key: rule.Key()}}, ops...)
	}
	for _, op := range ops {
		s.apply(op)
	}
	return Proposal(rule.RuleID)
}

// proposed returns a proposal to write a document.
func (s *suite) proposed(d *knowledge.Rule) *knowledge.Proposal {
	s.Helper()
	text, err := json.Marshal(d)
	var document map[string]any
	if err = cmp.Or(err, json.Unmarshal(text, &document)); err != nil {
		s.Fatal(err)
	}
	return Proposal(d.RuleID, func(p *knowledge.Proposal) {
		p.Ops = []knowledge.ProposedOp{{
			Verb: knowledge.VerbPut, Kind: string(knowledge.KindRule), ID: d.RuleID, IfVersion: knowledge.NoVersion,
			Document: document,
		}}
	})
}

func listWithout(s *suite) {
	seen := s.hideaway()
	for _, kind := range knowledge.Kinds() {
		for _, limit := range []int{1, 20} {
			q := knowledge.Query{
				Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID, Limit: limit, Total: true,
			}
			all := idsOf(s.pages(q))
			q.Without = "Secret,secret"
			want := []string{}
			for _, key := range seen {
				if key.Kind == kind {
					want = append(want, key.ID)
				}
			}
			if kind == knowledge.KindPrincipal {
				want = all // what every store of its sort begins with
			}
			slices.Sort(want)
			s.equal(fmt.Sprintf("List(%+v)", q), want, idsOf(s.pages(q)))
			if page := s.page(q); page.Total != len(want) {
				s.Errorf("List(%+v): a total of %d, want %d", q, page.Total, len(want))
			}
			if q.Without = ""; limit > 1 {
				s.equal("the list of all, after one without some", all, idsOf(s.pages(q)))
			}
		}
	}
	for _, category := range []string{"secret", "Secret"} {
		q := knowledge.Query{Kind: knowledge.KindRule, Category: category, Without: "Secret,secret", Total: true}
		if page := s.page(q); len(page.Records) != 0 || page.Total != 0 {
			s.Errorf("List(%+v): %d records of %d, want none", q, len(page.Records), page.Total)
		}
		if q.Without = "no-such"; len(s.page(q).Records) != 1 {
			s.Errorf("List(%+v) leaves out more than it should", q)
		}
	}
}

func searchWithout(s *suite) {
	var want []knowledge.Key
	for _, key := range s.hideaway() {
		if slices.Contains([]knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate}, key.Kind) {
			want = append(want, key)
		}
	}
	all := s.search(knowledge.SearchQuery{Text: "walrus"})
	if hidden := 2 * 3; all.Total != len(want)+hidden { // of two categories a document of each kind
		s.Fatalf("a search without anything hidden finds %d, want %d", all.Total, len(want)+hidden)
	}
	for _, text := range []string{"walrus", "walrus OR no", "walr*"} {
		q := knowledge.SearchQuery{Text: text, Without: "Secret,secret", Facets: true}
		s.foundBy(q, want...)
		hits := s.search(q)
		if hits.Total != len(want) {
			s.Errorf("Search(%+v): a total of %d, want %d", q, hits.Total, len(want))
		}
		for _, c := range hits.Facets {
			if slices.Contains([]string{"secret", "Secret", "tag-se", "tag-Se"}, c.Value) {
				s.Errorf("Search(%+v): a facet counts what is hidden: %+v", q, c)
			}
		}
	}
	s.foundBy(knowledge.SearchQuery{Text: "walrus", Category: "secret", Without: "Secret,secret"})
	s.foundBy(knowledge.SearchQuery{Text: "walrus category:secret", Without: "Secret,secret"})
	if again := s.search(knowledge.SearchQuery{Text: "walrus"}); again.Total != all.Total {
		s.Errorf("a search after one without some finds %d, want %d", again.Total, all.Total)
	}
}
