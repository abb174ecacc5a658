package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

func extremeLaws() []law {
	return []law{
		{name: "the longest texts and ids are kept", check: longest},
		{name: "long messages are sorted by as much of them as a title has", check: longMessages},
		{name: "every character that may be stored comes back", check: everyCharacter},
		{name: "numbers of free values come back as they are written once and for all", check: freeNumbers},
		{name: "a text over its bound is refused", check: tooLong},
		{name: "every bound of every kind can be reached", check: boundsOfKinds},
	}
}

func longest(s *suite) {
	id := strings.Repeat("x", knowledge.MaxID)
	s.put(Category(func(c *knowledge.Category) {
		c.ID, c.Name, c.Description = id, strings.Repeat("😀", knowledge.MaxTitle),
			strings.Repeat("é", knowledge.MaxText/2)
	}))
	big := strings.Repeat("abcdefg\n", knowledge.MaxText/8)
	r := Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title = id, id, strings.Repeat("𝄞", knowledge.MaxTitle)
		r.Description = strings.Repeat("𝄞", knowledge.MaxText/4)
		r.Examples = []knowledge.Example{{Code: big}}
	})
	p := Practice(func(p *knowledge.Practice) { p.PracticeID, p.Category, p.Description = id, id, big })
	t := Template(func(t *knowledge.Template) {
		t.TemplateID, t.Category, t.TemplateContent, t.Variables = id, id, big, nil
	})
	v := Violation(id, func(v *knowledge.Violation) { v.Message = big })
	pr := Principal(func(p *knowledge.Principal) {
		p.PrincipalID, p.Name = id, strings.Repeat("ß", knowledge.MaxTitle)
	})
	for _, d := range []knowledge.Document{r, p, t, v, pr} {
		s.same(s.put(d), d)
		s.same(s.get(d.Key()), d)
		for _, order := range ordersOf(d.Key().Kind) {
			q := knowledge.Query{Kind: d.Key().Kind, Order: order, Limit: 1}
			if all := s.pages(q); !has(all, d.Key()) {
				s.Errorf("the list by %s lacks the longest %s", order, d.Key().Kind)
			}
		}
	}
	// Two long ones in a row: a cursor stands behind each.
	r2 := Rule(func(r2 *knowledge.Rule) { r2.RuleID, r2.Title = id[1:], r.Title })
	s.put(r2)
	for _, order := range ordersOf(knowledge.KindRule) {
		if n := len(s.pages(knowledge.Query{Kind: knowledge.KindRule, Order: order, Limit: 1})); n != 2 {
			s.Errorf("two rules with the longest titles, by %s: %d were listed", order, n)
		}
	}
}

// globsOf returns globs that hold all of a text.
func globsOf(text string) []string {
	var globs []string
	runes := []rune(text)
	for i := 0; i < len(runes); i += knowledge.MaxGlob / 8 {
		globs = append(globs, "x"+knowledge.EscapeGlob(string(runes[i:min(len(runes), i+knowledge.MaxGlob/8)])))
	}
	return globs
}

func everyCharacter(s *suite) {
	var b strings.Builder
	b.WriteString("tab\tline\nreturn\r\n")
	for r := rune(0x20); r <= 0xffff; r++ {
		if r%31 != 0 && r > 0x2100 && (r < 0xfff0 || r > 0xffff) {
			continue
		}
		if (r < 0xd800 || r > 0xdfff) && knowledge.TextFault(string(r)) == "" {
			b.WriteRune(r)
			if knowledge.TextFault(string([]rune{r, r})) != "" {
				b.WriteByte('.') // one without width may stand alone, and not beside another
			}
		}
	}
	b.WriteString("😀👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿 \U0010ffff e\u0301 \\u0000 \\x00 \\N {{braces}} </script> &amp; $1 :name ? ' \" " +
		"` %s \u2028 \u2029 \ufeff")
	text := b.String()
	if why := knowledge.TextFault(text); why != "" {
		s.Fatalf("the test's own text may not be stored: %s", why)
	}
	r := Rule(func(r *knowledge.Rule) {
		r.Description, r.ViolationsConsequence = text, text
		r.Examples = []knowledge.Example{{Title: text, Language: text, Code: text, Note: text}}
		r.Extra = map[string]any{text: []any{text, map[string]any{"": text}}}
		r.Scope.Globs = globsOf(text)
	})
	s.same(s.put(r), r)
	s.same(s.get(r.Key()), r)
	one := strings.NewReplacer("\n", " ", "\r", " ", "\u2028", " ", "\u2029", " ").Replace(text)
	for i := 0; i < len(one); { // as titles and tags, in pieces that fit
		end := i
		for n := 0; end < len(one) && n < 200; n++ {
			end++
			for end < len(one) && one[end]&0xc0 == 0x80 {
				end++
			}
		}
		piece := one[i:end]
		i = end
		if strings.TrimSpace(piece) == "" || knowledge.TextFault(piece) != "" {
			continue
		}
		d := Rule(func(d *knowledge.Rule) { d.Title, d.Tags = piece, []string{piece} })
		s.put(d)
		s.same(s.get(d.Key()), d)
		if !has(s.pages(knowledge.Query{Kind: knowledge.KindRule, Tag: piece}), d.Key()) {
			s.Errorf("the rule with the tag %q is not found by it", piece)
		}
	}
}

func freeNumbers(s *suite) {
	extra := `{"big":9007199254740993,"neg":-1,"zero":0,"half":0.5,"exp":1e3,"small":1e-7,"huge":1e300,` +
		`"pi":3.141592653589793,"max":9223372036854775807,"min":-9223372036854775808,"over":9223372036854775808,"one":1.0,` +
		`"minuszero":-0,"nested":[[1,2.50,{"a":1e2}],null,true,""],"null":null}`
	d, err := knowledge.Decode(knowledge.KindRule, fmt.Appendf(nil,
		`{"rule_id":"numbers","category":%q,"title":"Numbers","description":"d","extra":%s}`, GeneralCategory, extra))
	if err != nil {
		s.Fatal(err)
	}
	want := canonical(s, d.(*knowledge.Rule))
	rec := s.put(d)
	s.same(rec, d)
	s.unchanged(rec)
	// Read, written again, read again: nothing moves.
	again, err := rec.Document()
	if err != nil {
		s.Fatal(err)
	}
	s.put(again)
	got := s.document(d.Key())
	*got.Stamps() = knowledge.Stamp{}
	*d.Stamps() = knowledge.Stamp{}
	if a := canonical(s, got); a != want {
		s.Errorf("numbers moved:\n%s", difference(want, a))
	}
	var j struct {
		Extra struct{ Big json.Number } `json:"extra"`
	}
	if err := json.Unmarshal(rec.JSON, &j); err != nil || j.Extra.Big != "9007199254740993" {
		s.Errorf("a large whole number came back as %s (%v)", j.Extra.Big, err)
	}
}

func tooLong(s *suite) {
	over := strings.Repeat("x", knowledge.MaxText+1)
	for pointer, d := range map[string]knowledge.Document{
		"/description":      Rule(func(r *knowledge.Rule) { r.Description = over }),
		"/title":            Rule(func(r *knowledge.Rule) { r.Title = strings.Repeat("é", knowledge.MaxTitle+1) }),
		"/rule_id":          Rule(func(r *knowledge.Rule) { r.RuleID = strings.Repeat("x", knowledge.MaxID+1) }),
		"/tags":             Rule(func(r *knowledge.Rule) { r.Tags = numbered(knowledge.MaxItems + 1) }),
		"/benefits":         Practice(func(p *knowledge.Practice) { p.Benefits = numbered(knowledge.MaxItems + 1) }),
		"/template_content": Template(func(t *knowledge.Template) { t.TemplateContent = over }),
		"/category_id":      Category(func(c *knowledge.Category) { c.ID = "a b" }),
		"/message":          Violation("x", func(v *knowledge.Violation) { v.Message = over }),
		"/name": Principal(func(p *knowledge.Principal) {
			p.Name = strings.Repeat("x", knowledge.MaxTitle+1)
		}),
		"/examples/0/code":  Rule(func(r *knowledge.Rule) { r.Examples = []knowledge.Example{{Code: over}} }),
		"/scope/globs/0":    Rule(func(r *knowledge.Rule) { r.Scope.Globs = []string{"a\x00"} }),
		"/variables/0/name": Template(func(t *knowledge.Template) { t.Variables[0].Name = "Brand's core" }),
		"/priority":         Rule(func(r *knowledge.Rule) { r.Priority = knowledge.MaxPriority + 1 }),
	} {
		s.invalidAt(s.refused(Batch(knowledge.Put(d, 0))), "/ops/0/document"+pointer)
	}
}

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("entry %d", i)
	}
	return list
}

func boundsOfKinds(s *suite) {
	var docs []knowledge.Document
	for _, priority := range []int64{-knowledge.MaxPriority, knowledge.MaxPriority} {
		for _, severity := range knowledge.Severities() {
			docs = append(docs, Rule(func(r *knowledge.Rule) { r.Priority, r.Severity = priority, severity }))
		}
	}
	for _, score := range []float64{0, 0.01, 0.29, 0.57, 0.99, 1} {
		docs = append(docs, Practice(func(p *knowledge.Practice) {
			p.EffectivenessScore, p.AdoptionRate = &score, &score
		}))
	}
	docs = append(docs, Practice(func(p *knowledge.Practice) { p.EffectivenessScore, p.AdoptionRate = nil, nil }))
	rule := docs[0].Key().ID
	for _, at := range []time.Time{
		time.Unix(1, 0), time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		if !s.o.Stamps {
			docs = append(docs, Violation(rule, func(v *knowledge.Violation) { v.ReportedAt = knowledge.At(at) }))
		}
	}
	docs = append(docs,
		Violation(rule, func(v *knowledge.Violation) { v.Line = 1<<31 - 1 }),
		Rule(func(r *knowledge.Rule) {
			r.Tags, r.Scope.Globs = numbered(knowledge.MaxItems), numbered(knowledge.MaxItems)
		}),
		Template(func(t *knowledge.Template) {
			t.Variables = make([]knowledge.Variable, knowledge.MaxItems)
			for i := range t.Variables {
				t.Variables[i] = knowledge.Variable{
					Name: fmt.Sprintf("v%d", i), Type: knowledge.TypeNumber,
					Default: json.Number(fmt.Sprint(i)),
				}
			}
		}),
		Principal(func(p *knowledge.Principal) { p.Disabled, p.Role = true, knowledge.RoleAdmin }),
	)
	for _, d := range docs {
		s.same(s.put(d), d)
		rec := s.get(d.Key())
		s.same(rec, d)
		if rec.Rank < 0 {
			s.Errorf("%s has the rank %d", rec.Key, rec.Rank)
		}
	}
	for _, kind := range knowledge.Kinds() {
		all := s.pages(knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Limit: 2})
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity}
		s.equal("house order of the bounds of "+kind.Plural(), expected(s, all, q), idsOf(all))
	}
}

// longMessages checks the one kind whose title is cut out of a longer text.
func longMessages(s *suite) {
	rule := Rule()
	s.put(rule)
	same := strings.Repeat("é<\u2028", knowledge.MaxTitle/3)
	var docs []*knowledge.Record
	for _, end := range []string{"zzz", "aaa", "mmm", ""} {
		docs = append(docs, s.put(Violation(rule.RuleID,
			func(v *knowledge.Violation) { v.Message = same + end + big() })))
	}
	docs = append(docs, s.put(Violation(rule.RuleID, func(v *knowledge.Violation) { v.Message = "short" })))
	for _, order := range ordersOf(knowledge.KindViolation) {
		q := knowledge.Query{Kind: knowledge.KindViolation, Order: order, Limit: 1}
		s.equal(fmt.Sprintf("violations with long messages by %s", order), expected(s, docs, q), idsOf(s.pages(q)))
	}
}

func big() string { return strings.Repeat("abcdefg\n", 40_000) }
