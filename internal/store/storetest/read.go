package storetest

import (
	"errors"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func readLaws() []law {
	return []law{
		{name: "a missing document is ErrNotFound and never nil without an error", check: missingIsNotFound},
		{name: "a key that can't exist is not found or invalid and no driver's error", check: strangeKeys},
		{name: "ids compare byte by byte", check: idsCompareByteByByte},
		{name: "what Apply answered Get sees", check: getSeesWhatApplyAnswered},
		{name: "every kind comes back as it was written", check: everyKindComesBack},
		{name: "empty lists come back empty and defaults are the house's own", check: emptyComesBackEmpty},
		{name: "times come back in UTC at microseconds", check: timesAreMicroseconds},
		{name: "what a writer claims about stamps is ignored", check: claimedStampsAreIgnored},
		{name: "a violation without a time and a reporter gets the writer's", check: violationDefaults},
	}
}

func missingIsNotFound(s *suite) {
	for _, k := range knowledge.Kinds() {
		id := "nobody"
		if knowledge.Describe(k).UUID {
			id = knowledge.NewBatchID().String()
		}
		s.missing(knowledge.Key{Kind: k, ID: id})
	}
	// The id of another kind's document does not count.
	r := Rule()
	s.put(r)
	s.missing(knowledge.Key{Kind: knowledge.KindPractice, ID: r.RuleID})
}

func strangeKeys(s *suite) {
	for _, k := range []knowledge.Key{
		{},
		{Kind: "", ID: "x"},
		{Kind: "nonsense", ID: "x"},
		{Kind: knowledge.KindRule},
		{Kind: knowledge.KindRule, ID: "a\x00b"},
		{Kind: knowledge.KindRule, ID: "\xff"},
		{Kind: knowledge.KindRule, ID: "a'; drop table rules; --"},
		{Kind: knowledge.KindRule, ID: "%"},
		{Kind: knowledge.KindRule, ID: strings.Repeat("x", 10_000)},
		{Kind: knowledge.KindViolation, ID: "not-a-uuid"},
		{Kind: knowledge.KindViolation, ID: strings.ToUpper(knowledge.NewBatchID().String())},
	} {
		rec, err := s.s.Get(s.ctx, k)
		var invalid *knowledge.InvalidError
		if rec != nil || !errors.Is(err, store.ErrNotFound) && !errors.As(err, &invalid) {
			s.Errorf("Get(%q) = %v, %v; want ErrNotFound or an InvalidError", k, rec, err)
		}
		for _, verb := range []knowledge.Verb{knowledge.VerbPatch, knowledge.VerbRetire, knowledge.VerbPurge} {
			err := s.refused(Batch(knowledge.Op{Verb: verb, Key: k, Patch: []byte(`{}`)}))
			if !errors.Is(err, store.ErrNotFound) && !errors.As(err, &invalid) {
				s.Errorf("%s of %q: %v; want ErrNotFound or an InvalidError", verb, k, err)
			}
		}
		if k == (knowledge.Key{}) {
			continue // asks for every change
		}
		if list, err := s.s.Changes(s.ctx, knowledge.ChangeQuery{Key: k}); len(list) != 0 ||
			err != nil && !errors.As(err, &invalid) {
			s.Errorf("Changes of %q: %v, %v; want none or an InvalidError", k, list, err)
		}
	}
}

func idsCompareByteByByte(s *suite) {
	ids := []string{"foo", "Foo", "FOO", "foo-", "foo.", "foo_", "-foo", "0foo", "00foo", "fooo"}
	for _, id := range ids {
		s.put(Rule(func(r *knowledge.Rule) { r.RuleID, r.Title = id, "The rule "+id }))
		s.put(Category(func(c *knowledge.Category) { c.ID = id }))
	}
	for _, id := range ids {
		d, err := s.get(knowledge.Key{Kind: knowledge.KindRule, ID: id}).Document()
		if err != nil {
			s.Fatal(err)
		}
		if got := d.(*knowledge.Rule).Title; got != "The rule "+id {
			s.Errorf("rule %q has the title %q", id, got)
		}
		s.get(knowledge.Key{Kind: knowledge.KindCategory, ID: id})
	}
	s.missing(knowledge.Key{Kind: knowledge.KindRule, ID: "fOO"})
	s.missing(knowledge.Key{Kind: knowledge.KindRule, ID: "foo "})
	want := []string{"-foo", "00foo", "0foo", "FOO", "Foo", "foo", "foo-", "foo.", "foo_", "fooo"}
	got := idsOf(s.page(knowledge.Query{Kind: knowledge.KindRule, Order: knowledge.OrderID}).Records)
	s.equal("rules by id", want, got)
	// A reference is a key too.
	err := s.refused(Batch(knowledge.Put(Rule(func(r *knowledge.Rule) { r.Category = "fOo" }), knowledge.NoVersion)))
	s.invalidAt(err, "/ops/0/document/category")
}

func getSeesWhatApplyAnswered(s *suite) {
	for _, d := range s.oneOfEach() {
		rec := s.apply(knowledge.Put(d, knowledge.NoVersion)).Records[0]
		s.unchanged(rec)
		rec = s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key(), IfVersion: rec.Version}).Records[0]
		s.unchanged(rec)
	}
}

// oneOfEach returns a new document of every kind, parents first, with the rule that the violation names stored already.
func (s *suite) oneOfEach() []knowledge.Document {
	s.Helper()
	broken := Rule()
	s.put(broken)
	return []knowledge.Document{
		Category(), Principal(), Rule(), Practice(), Template(), Violation(broken.RuleID), Pack(), Repository(),
		Label(), Proposal(broken.RuleID),
	}
}

func everyKindComesBack(s *suite) {
	for _, d := range s.oneOfEach() {
		written, err := knowledge.Clone(d)
		if err != nil {
			s.Fatal(err)
		}
		rec := s.apply(knowledge.Put(d, knowledge.NoVersion)).Records[0]
		s.same(rec, written)
		s.same(s.get(d.Key()), written)
		if got := s.get(d.Key()); got.Version != 1 {
			s.Errorf("%s has version %d after its first write", d.Key(), got.Version)
		}
	}
}

func emptyComesBackEmpty(s *suite) {
	rule := &knowledge.Rule{
		RuleID: "bare", Category: GeneralCategory, Title: "Bare", Description: "Nothing else.",
		IsActive: true,
	}
	practice := &knowledge.Practice{
		PracticeID: "bare", Category: GeneralCategory, Title: "Bare",
		Description: "Nothing else.", IsActive: true,
	}
	template := &knowledge.Template{
		TemplateID: "bare", Category: GeneralCategory, Name: "Bare", TemplateContent: "x",
		IsActive: true,
	}
	category := &knowledge.Category{ID: "bare", IsActive: true}
	violation := &knowledge.Violation{
		ViolationID: knowledge.NewBatchID().String(), RuleID: "bare", Message: "m",
		IsActive: true,
	}
	principal := Principal(func(p *knowledge.Principal) { p.TokenPrefix = "" })
	for _, d := range []knowledge.Document{rule, practice, template, category, violation, principal} {
		d.Normalize()
		s.put(d)
		rec := s.get(d.Key())
		for _, name := range []string{
			"examples", "anti_patterns", "benefits", "references", "variables", "tags", "globs", "languages",
			"targets", "extra",
		} {
			if strings.Contains(string(rec.JSON), `"`+name+`":null`) {
				s.Errorf("%s: %s is null, want it empty: %s", rec.Key, name, rec.JSON)
			}
		}
		s.same(rec, d)
	}
	for what, q := range map[string]knowledge.Query{
		"a list of what is not there": {Kind: knowledge.KindRule, Tag: "no-such-tag"},
		"a list of an empty kind":     {Kind: knowledge.KindRule, Activity: knowledge.RetiredOnly},
	} {
		page := s.page(q)
		if page.Records == nil || len(page.Records) != 0 || page.Next != "" {
			s.Errorf("%s: records %v (nil: %v), next %q; want an empty list that is not nil", what, page.Records,
				page.Records == nil, page.Next)
		}
	}
	hits, err := s.s.Search(s.ctx, knowledge.SearchQuery{Text: "nobodysaysthisword"})
	if err != nil {
		s.Fatalf("Search: %v", err)
	}
	if hits.Hits == nil || len(hits.Hits) != 0 {
		s.Errorf("a search without hits: %v (nil: %v), want an empty list that is not nil", hits.Hits, hits.Hits == nil)
	}
}
