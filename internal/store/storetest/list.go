package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

func listLaws() []law {
	return []law{
		{name: "every filter of every kind lets through what it should", check: everyFilter},
		{name: "every order of every kind is kept over pages of any size", check: everyOrder},
		{name: "filters and orders go together", check: filtersAndOrders},
		{name: "a list since a time holds what was changed then or later", check: updatedSince},
		{name: "a cursor returns every document once whatever is written meanwhile", check: cursorsUnderWrites},
		{name: "a cursor may be followed twice and with another limit", check: cursorsAgain},
		{name: "a cursor that was tampered with or belongs to another list is refused", check: foreignCursors},
		{name: "a bad query names every fault", check: badQueries},
		{name: "the last page says that it is the last", check: lastPage},
	}
}

// library stores documents that differ in everything that a list looks at, and returns their records.
func (s *suite) library() []*knowledge.Record {
	s.Helper()
	docs := newShuffler().documents()
	for len(docs) > 0 { // several batches, so that there are several times of change
		n := min(len(docs), 37)
		s.putAll(docs[:n]...)
		docs = docs[n:]
	}
	var all []*knowledge.Record
	for _, k := range knowledge.Kinds() {
		q := knowledge.Query{
			Kind: k, Activity: knowledge.AnyActivity, Order: knowledge.OrderID,
			Limit: knowledge.MaxLimit,
		}
		all = append(all, s.pages(q)...)
	}
	return all
}

// A shuffler makes the documents of the library, the same ones each time.
type shuffler struct{ *rand.Rand }

func newShuffler() shuffler { return shuffler{rand.New(rand.NewPCG(4, 2))} }

func (r shuffler) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r shuffler) some(list ...string) []string {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return slices.Clone(list[:r.IntN(len(list)+1)])
}

func (r shuffler) common() knowledge.Common {
	return knowledge.Common{
		Tags:  r.some("io", "IO", "speed", "naïve", "c++", "a b", "100%", `q"uote`, "under_score"),
		Scope: knowledge.Scope{Activation: "model", Languages: r.some("go", "python", "c#", "objective-c", "日本")},
	}
}

func (r shuffler) title() string {
	return r.pick("Zebra", "apple", "Apple", "éclair", "Éclair", "ZEBRA", "_under", "10 things", "9 things", "日本語",
		"😀 smile", "same", "same", "same")
}

func (r shuffler) documents() []knowledge.Document {
	var docs []knowledge.Document
	cats := []string{GeneralCategory, "Security", "security", "sec"}
	for _, c := range cats[1:] {
		docs = append(docs, Category(func(d *knowledge.Category) { d.ID, d.Name = c, r.title() }))
	}
	var rules []string
	for i := range 60 {
		rule := r.rule(i, cats)
		rules = append(rules, rule.Key().ID)
		docs = append(docs, rule,
			Practice(func(p *knowledge.Practice) {
				p.Category, p.Title, p.Common, p.IsRequired = r.pick(cats...), r.title(), r.common(), r.IntN(2) == 0
				score := float64(r.IntN(5)) / 4
				p.EffectivenessScore, p.IsActive = &score, r.IntN(4) > 0
				if r.IntN(3) == 0 {
					p.EffectivenessScore = nil
				}
			}),
			Template(func(t *knowledge.Template) {
				t.Category, t.Name, t.Common, t.IsActive = r.pick(cats...), r.title(), r.common(), r.IntN(4) > 0
			}),
			r.violation(rules),
			Category(func(c *knowledge.Category) { c.Name, c.IsActive = r.title(), r.IntN(4) > 0 }),
			Principal(func(p *knowledge.Principal) { p.Name, p.Disabled = r.title(), r.IntN(4) == 0 }),
		)
	}
	return docs
}

func (r shuffler) rule(i int, cats []string) knowledge.Document {
	return Rule(func(d *knowledge.Rule) {
		d.RuleID = fmt.Sprintf("%s%d", r.pick("rule-", "Rule-", "RULE_", "r."), i)
		d.Category, d.Title, d.Common = r.pick(cats...), r.title(), r.common()
		d.Severity, d.Status = r.pick(knowledge.Severities()...), r.pick(knowledge.RuleStatuses()...)
		d.Enforcement = r.pick(knowledge.Enforcements()...)
		d.Priority, d.IsActive = int64(r.IntN(7)-3), r.IntN(4) > 0
	})
}

func (r shuffler) violation(rules []string) knowledge.Document {
	return Violation(r.pick(rules...), func(v *knowledge.Violation) {
		v.Severity, v.Status = r.pick(knowledge.Severities()...), r.pick(knowledge.ViolationStatuses()...)
		v.Repository = r.pick("", "api", "API", "web")
		v.WaiverReason, v.IsActive = "known", r.IntN(4) > 0
		v.ReportedAt = knowledge.At(time.Date(2026, 1, 1+r.IntN(5), 0, 0, r.IntN(3), 0, time.UTC))
	})
}

// filterQueries returns queries with each filter of a kind, one at a time.
func filterQueries(kind knowledge.Kind, aRule string) []knowledge.Query {
	var list []knowledge.Query
	add := func(q knowledge.Query) {
		q.Kind = kind
		list = append(list, q)
	}
	for _, a := range []knowledge.Activity{knowledge.ActiveOnly, knowledge.RetiredOnly, knowledge.AnyActivity} {
		add(knowledge.Query{Activity: a})
	}
	switch kind {
	case knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate:
		for _, v := range []string{GeneralCategory, "Security", "security", "sec", "SECURITY", "no-such", "%"} {
			add(knowledge.Query{Category: v})
		}
		for _, v := range []string{
			"io", "IO", "naïve", "c++", "a b", "100%", `q"uote`, "under_score", "underXscore",
			"i", "'",
		} {
			add(knowledge.Query{Tag: v})
		}
		for _, v := range []string{"go", "c#", "objective-c", "日本", "Go", "o"} {
			add(knowledge.Query{Language: v})
		}
	case knowledge.KindViolation:
		for _, v := range []string{aRule, "no-such-rule"} {
			add(knowledge.Query{Rule: v})
		}
		for _, v := range []string{"api", "API", "web", "desktop"} {
			add(knowledge.Query{Repository: v})
		}
		for _, v := range knowledge.ViolationStatuses() {
			add(knowledge.Query{Status: v})
		}
	case knowledge.KindProposal:
		for _, v := range knowledge.ProposalStates() {
			add(knowledge.Query{Status: v})
		}
	default: // has no filter but those of every kind
	}
	if kind == knowledge.KindRule || kind == knowledge.KindViolation {
		for _, v := range knowledge.Severities() {
			add(knowledge.Query{Severity: v})
		}
	}
	if kind == knowledge.KindRule {
		for _, v := range knowledge.Enforcements() {
			add(knowledge.Query{Enforcement: v})
		}
		for _, v := range knowledge.RuleStatuses() {
			add(knowledge.Query{Status: v})
		}
	}
	return list
}

func everyFilter(s *suite) {
	docs := s.library()
	aRule := ""
	for _, rec := range docs {
		if d, err := rec.Document(); err == nil && rec.Key.Kind == knowledge.KindViolation {
			aRule = d.(*knowledge.Violation).RuleID
		}
	}
	for _, kind := range knowledge.Kinds() {
		for _, q := range filterQueries(kind, aRule) {
			q.Limit, q.Total = 20, true
			s.equal(fmt.Sprintf("List(%+v)", q), expected(s, docs, q), idsOf(s.pages(q)))
		}
	}
}

// ordersOf returns the orders that a kind has.
func ordersOf(kind knowledge.Kind) []knowledge.Order {
	var list []knowledge.Order
	for _, o := range knowledge.Orders() {
		if _, _, err := (knowledge.Query{Kind: kind, Order: o}).Check(); err == nil {
			list = append(list, o)
		}
	}
	return list
}

func everyOrder(s *suite) {
	docs := s.library()
	for _, kind := range knowledge.Kinds() {
		for _, order := range append(ordersOf(kind), "") {
			for _, limit := range []int{0, 1, 7, knowledge.MaxLimit} {
				if limit != 7 && !s.o.Engine || limit == 1 && kind != knowledge.KindRule {
					continue // one at a time takes its time
				}
				q := knowledge.Query{Kind: kind, Order: order, Limit: limit, Activity: knowledge.AnyActivity}
				s.equal(fmt.Sprintf("List(%+v)", q), expected(s, docs, q), idsOf(s.pages(q)))
			}
		}
	}
}

func filtersAndOrders(s *suite) {
	docs := s.library()
	for _, activity := range []knowledge.Activity{knowledge.ActiveOnly, knowledge.RetiredOnly, knowledge.AnyActivity} {
		for _, order := range knowledge.Orders() {
			for _, q := range []knowledge.Query{
				{Kind: knowledge.KindRule, Category: "Security", Severity: knowledge.SeverityError},
				{Kind: knowledge.KindRule, Tag: "io", Language: "go", Status: knowledge.StatusActive},
				{
					Kind: knowledge.KindRule, Category: GeneralCategory, Tag: "IO", Enforcement: "mandatory",
					Severity: knowledge.SeverityInfo,
				},
				{Kind: knowledge.KindPractice, Category: "sec", Tag: "100%"},
				{Kind: knowledge.KindTemplate, Language: "c#", Tag: "a b"},
				{
					Kind: knowledge.KindViolation, Repository: "api", Status: knowledge.ViolationOpen,
					Severity: knowledge.SeverityCritical,
				},
			} {
				q.Activity, q.Order, q.Limit, q.Total = activity, order, 3, true
				if !slices.Contains(ordersOf(q.Kind), order) {
					continue
				}
				s.equal(fmt.Sprintf("List(%+v)", q), expected(s, docs, q), idsOf(s.pages(q)))
			}
		}
	}
}

func updatedSince(s *suite) {
	docs := s.library()
	for _, kind := range []knowledge.Kind{
		knowledge.KindRule, knowledge.KindCategory, knowledge.KindPrincipal,
		knowledge.KindViolation,
	} {
		var times []knowledge.Time
		for _, rec := range docs {
			if rec.Key.Kind == kind {
				times = append(times, rec.Updated)
			}
		}
		slices.SortFunc(times, func(a, b knowledge.Time) int { return a.Compare(b.Time) })
		middle := times[len(times)/2]
		for _, since := range []knowledge.Time{
			times[0], middle, knowledge.At(middle.Add(time.Microsecond)), times[len(times)-1],
			knowledge.At(times[len(times)-1].Add(time.Hour)),
		} {
			q := knowledge.Query{
				Kind: kind, UpdatedSince: since, Activity: knowledge.AnyActivity, Limit: 9,
				Total: true,
			}
			s.equal(fmt.Sprintf("List(%+v)", q), expected(s, docs, q), idsOf(s.pages(q)))
		}
	}
}

func cursorsUnderWrites(s *suite) {
	var stay []string
	write := func(id string) {
		s.put(Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title, r.Priority = id, "Title of "+id, int64(len(id)*7%5)
		}))
	}
	for i := range 40 {
		id := fmt.Sprintf("stay-%02d", i)
		stay = append(stay, id)
		write(id)
		write(fmt.Sprintf("go-%02d", i))
	}
	for _, order := range []knowledge.Order{
		knowledge.OrderHouse, knowledge.OrderTitle, knowledge.OrderID,
		knowledge.OrderUpdated,
	} {
		q := knowledge.Query{Kind: knowledge.KindRule, Order: order, Limit: 3}
		seen := map[string]int{}
		for n := 0; ; n++ {
			page := s.page(q)
			for _, rec := range page.Records {
				seen[rec.Key.ID]++
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
			// The last document of the page moves away, another goes, one comes: in front, behind and between.
			write(fmt.Sprintf("new-%s-%02d", order, n))
			write(fmt.Sprintf("aaa-%s-%02d", order, n))
			if last := page.Records[len(page.Records)-1].Key; !strings.HasPrefix(last.ID, "stay") {
				s.apply(purgeOp(last))
			}
		}
		for _, id := range stay {
			if seen[id] != 1 {
				s.Errorf("by %s: %s stood there all the time and was listed %d times", order, id, seen[id])
			}
		}
		for id, n := range seen {
			if n > 1 {
				s.Errorf("by %s: %s was listed %d times", order, id, n)
			}
		}
	}
}

func cursorsAgain(s *suite) {
	for range 12 {
		s.put(Rule())
	}
	q := knowledge.Query{Kind: knowledge.KindRule, Limit: 4}
	all := idsOf(s.pages(q))
	q.Cursor = s.page(q).Next
	for range 2 {
		s.equal("the second page", all[4:8], idsOf(s.page(q).Records))
	}
	q.Limit = 100
	s.equal("the rest with another limit", all[4:], idsOf(s.page(q).Records))
}

func foreignCursors(s *suite) {
	for range 6 {
		s.put(Rule(), Practice())
	}
	q := knowledge.Query{Kind: knowledge.KindRule, Limit: 2, Category: GeneralCategory}
	next := s.page(q).Next
	if next == "" {
		s.Fatal("the first of three pages has no next")
	}
	flipped := []byte(next)
	flipped[len(flipped)/2] ^= 1
	for what, bad := range map[string]knowledge.Query{
		"one letter changed":  {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: string(flipped)},
		"cut short":           {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: next[:len(next)-1]},
		"made longer":         {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: next + "AA"},
		"no cursor at all":    {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: "page-2"},
		"not even text":       {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: "\x00\xff"},
		"a very long one":     {Kind: q.Kind, Limit: 2, Category: q.Category, Cursor: strings.Repeat("A", 1<<20)},
		"of another category": {Kind: q.Kind, Limit: 2, Cursor: next},
		"of another kind":     {Kind: knowledge.KindPractice, Limit: 2, Category: q.Category, Cursor: next},
		"of another order": {
			Kind: q.Kind, Limit: 2, Category: q.Category, Order: knowledge.OrderTitle,
			Cursor: next,
		},
		"of another activity": {
			Kind: q.Kind, Limit: 2, Category: q.Category, Activity: knowledge.AnyActivity,
			Cursor: next,
		},
		"of a list without tags": {Kind: q.Kind, Limit: 2, Category: q.Category, Tag: "io", Cursor: next},
	} {
		page, err := s.s.List(s.ctx, bad)
		if page != nil {
			s.Errorf("a cursor %s: got a page", what)
		}
		s.badQuery("a cursor "+what, err, "/cursor")
	}
}

func badQueries(s *suite) {
	for pointer, q := range map[string]knowledge.Query{
		"/kind":        {Kind: "nonsense"},
		"/limit":       {Kind: knowledge.KindRule, Limit: knowledge.MaxLimit + 1},
		"/severity":    {Kind: knowledge.KindRule, Severity: "LOUD"},
		"/status":      {Kind: knowledge.KindRule, Status: knowledge.ViolationOpen},
		"/enforcement": {Kind: knowledge.KindPractice, Enforcement: "mandatory"},
		"/rule":        {Kind: knowledge.KindRule, Rule: "x"},
		"/repository":  {Kind: knowledge.KindTemplate, Repository: "x"},
		"/category":    {Kind: knowledge.KindCategory, Category: GeneralCategory},
		"/tag":         {Kind: knowledge.KindRule, Tag: "a\x00b"},
		"/language":    {Kind: knowledge.KindRule, Language: strings.Repeat("x", 300)},
		"/sort":        {Kind: knowledge.KindRule, Order: "random"},
		"/active":      {Kind: knowledge.KindRule, Activity: "perhaps"},
	} {
		_, err := s.s.List(s.ctx, q)
		s.badQuery(fmt.Sprintf("List(%+v)", q), err, pointer)
	}
	_, err := s.s.List(s.ctx, knowledge.Query{Kind: knowledge.KindRule, Limit: -1, Severity: "LOUD", Order: "random"})
	for _, p := range []string{"/limit", "/severity", "/sort"} {
		s.badQuery("three faults at once", err, p)
	}
	_, err = s.s.List(s.ctx, knowledge.Query{
		Kind: knowledge.KindRule, UpdatedSince: knowledge.At(time.Now()),
		Order: knowledge.OrderTitle,
	})
	s.badQuery("since a time, by title", err, "/sort")
}

func lastPage(s *suite) {
	for range 6 {
		s.put(Rule())
	}
	for limit, pages := range map[int]int{1: 6, 2: 3, 3: 2, 4: 2, 6: 1, 7: 1} {
		q := knowledge.Query{Kind: knowledge.KindRule, Limit: limit}
		n := 0
		for {
			n++
			page := s.page(q)
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		if n != pages {
			s.Errorf("6 rules in pages of %d: %d pages, want %d", limit, n, pages)
		}
	}
}
