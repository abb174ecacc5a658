package guidance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/knowledge"
)

// ruleOf makes a document of the index out of a rule, as a store would hand it out.
func ruleOf(t testing.TB, id string, change func(*knowledge.Rule)) *doc {
	t.Helper()
	r := &knowledge.Rule{RuleID: id, Category: "c", Title: "Rule " + id, Description: "Do " + id + ".", IsActive: true}
	change(r)
	r.Normalize()
	r.Stamps().Version = 1
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	rec, err := knowledge.NewRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := docOf(rec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// naive decides about every document by itself, glob by glob: what an index must agree with.
func naive(docs []*doc, q *Query, hits []Relevant) (held []string, model []string) {
	var list []candidate
	for _, d := range docs {
		if d == nil || q.Target != "" && len(d.scope.Targets) > 0 && !slices.Contains(d.scope.Targets, q.Target) {
			continue
		}
		c := candidate{doc: d, class: -1}
		for _, h := range hits {
			if h.Key == d.key {
				c.score = h.Score
			}
		}
		includes := false
		var globs []knowledge.Glob
		for _, text := range d.scope.Globs {
			g, err := knowledge.ParseGlob(text)
			if err != nil {
				panic(err)
			}
			globs = append(globs, g)
			includes = includes || !g.Exclude
		}
		switch d.scope.Activation {
		case "always":
			c.class = classScope
		case "glob":
			for _, p := range q.Paths {
				if including(globs, p) >= 0 {
					c.class = classScope
					for i := range globs {
						for _, pattern := range globs[i].Patterns {
							if !globs[i].Exclude && knowledge.MatchPattern(pattern, p) {
								c.depth = max(c.depth, placeOf(pattern).depth)
							}
						}
					}
				}
			}
			excluded := func(p string) bool {
				return slices.ContainsFunc(globs, func(g knowledge.Glob) bool { return g.Exclude && g.Match(p) })
			}
			spoken := slices.Clone(q.Languages)
			for _, p := range q.Paths {
				if !excluded(p) {
					spoken = append(spoken, knowledge.LanguagesOf(p)...)
				}
			}
			if c.class < 0 && (!includes || len(q.Paths) == 0) &&
				slices.ContainsFunc(d.scope.Languages, func(l string) bool { return slices.Contains(spoken, l) }) {
				c.class = classLanguage
			}
		case "model":
			chosen := slices.ContainsFunc(hits, func(h Relevant) bool { return h.Key == d.key && h.Fits })
			if !chosen || !speaks(d.scope.Languages, q.spoken()) {
				model = append(model, d.key.ID)
				continue
			}
			c.class = classTask
		}
		if c.class >= 0 {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return before(&a, &b) })
	for _, c := range list {
		held = append(held, fmt.Sprintf("%s by %d", c.key.ID, c.class))
	}
	slices.Sort(model)
	return held, model
}

func drawRule(t *rapid.T, tb testing.TB, id string) *doc {
	glob := rapid.SampledFrom([]string{
		"**/*.go", "*.go", "cmd/**", "cmd/pay/*.go", "cmd/pay/main.go", "**/main.go", "**/*_test.go",
		"{cmd,internal}/**/*.{go,sql}", "**/[a-m]*.ts",
		"web/", "**", "*", "**/pay/**", "cmd/*/main.?o", ".env", "**/.github/**", "internal/**/db/*.sql", "cmd/*/*.go",
		"*/main.go", "*/*", "cmd/**/pay/**", "**/*/main.go", "!**/vendor/**", "!**/*_test.go", "!cmd/pay/**",
	})
	return ruleOf(tb, id, func(r *knowledge.Rule) {
		r.Scope.Activation = rapid.SampledFrom([]string{"glob", "glob", "glob", "always", "model", "manual"}).Draw(t,
			"activation")
		r.Scope.Globs = rapid.SliceOfNDistinct(glob, 0, 4, rapid.ID[string]).Draw(t, "globs")
		r.Scope.Languages = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"go", "sql", "typescript"}), 0, 2,
			rapid.ID[string]).Draw(t, "languages")
		if rapid.IntRange(0, 3).Draw(t, "targeted") == 0 {
			r.Scope.Targets = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"claude", "cursor"}), 1, 2,
				rapid.ID[string]).Draw(t, "targets")
		}
		r.Severity = rapid.SampledFrom(knowledge.Severities()).Draw(t, "severity")
		r.Enforcement = rapid.SampledFrom(knowledge.Enforcements()).Draw(t, "enforcement")
		r.Priority = int64(rapid.IntRange(-1, 1).Draw(t, "priority"))
	})
}

func drawQuery(t *rapid.T) Query {
	path := rapid.SampledFrom([]string{
		"main.go", "cmd/pay/main.go", "cmd/pay/main_test.go", "cmd/vendor/x/main.go", "cmd/a/pay/b/main.go",
		"cmd/main.go", "internal/a/b/db/x.sql", "web/app/index.ts", ".env", ".github/workflows/ci.yml", "README",
	})
	q := Query{
		Paths: rapid.SliceOfNDistinct(path, 0, 3, rapid.ID[string]).Draw(t, "paths"),
		Languages: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"go", "sql", "python"}), 0, 1,
			rapid.ID[string]).Draw(t, "asked"),
		Target: rapid.SampledFrom([]string{"", "claude", "zed"}).Draw(t, "target"),
		Budget: Budget{Explain: true},
	}
	q, err := q.Check()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnIndexAgreesWithReadingEveryGlob(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var docs, base, recent []*doc
		var hits []Relevant
		hidden := map[knowledge.Key]bool{}
		for i := range rapid.IntRange(0, 90).Draw(r, "documents") {
			d := drawRule(r, t, fmt.Sprintf("R-%02d", i))
			if rapid.Bool().Draw(r, "found") {
				hits = append(hits, Relevant{
					d.key, float64(rapid.IntRange(1, 3).Draw(r, "score")),
					rapid.Bool().Draw(r, "fits"),
				})
			}
			switch rapid.IntRange(0, 5).Draw(r, "place") {
			case 0: // written since
				recent, docs = append(recent, d), append(docs, d)
			case 1: // rewritten since
				base, recent, docs = append(base, drawRule(r, t, d.key.ID)), append(recent, d), append(docs, d)
				hidden[d.key] = true
			case 2: // gone since
				base = append(base, d)
				hidden[d.key] = true
			default:
				base, docs = append(base, d), append(docs, d)
			}
		}
		s := &snapshot{base: newSegment(base), recent: newSegment(recent), hidden: newBitset(len(base))}
		for key := range hidden {
			s.hidden.set(s.base.ordinal[key])
		}
		q := drawQuery(r)
		want, wantModel := naive(docs, &q, hits)
		p := s.plan(&q, hits)
		var got, gotModel []string
		for _, c := range p.choices {
			got = append(got, fmt.Sprintf("%s by %d", c.key.ID, c.class))
			reasons := because(c.doc, c.class, &q)
			if len(reasons) == 0 {
				r.Errorf("%s holds for no reason", c.key)
			}
		}
		for _, l := range p.left.First {
			if l.Reason == LeftModel {
				gotModel = append(gotModel, l.ID)
			}
		}
		slices.Sort(gotModel)
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("what holds (-every glob, +index):\n%s", diff)
		}
		if diff := cmp.Diff(wantModel, gotModel); diff != "" {
			r.Errorf("what is left to the model (-every glob, +index):\n%s", diff)
		}
	})
}

func TestABudgetIsKeptAndNothingMandatoryIsLeftOut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var docs []*doc
		n := rapid.IntRange(0, 40).Draw(r, "documents")
		mandatory := 0
		for i := range n {
			words := rapid.IntRange(1, 600).Draw(r, "words")
			d := ruleOf(t, fmt.Sprintf("R-%02d", i), func(rule *knowledge.Rule) {
				rule.Scope.Activation = "always"
				rule.Enforcement = rapid.SampledFrom(knowledge.Enforcements()).Draw(r, "enforcement")
				rule.Description = strings.Repeat("word ", words)
			})
			if d.mandatory {
				mandatory++
			}
			docs = append(docs, d)
		}
		s := &snapshot{base: newSegment(slices.Clone(docs)), recent: newSegment(nil)}
		q, err := Query{Budget: Budget{
			Tokens: rapid.IntRange(1, 20000).Draw(r, "tokens"),
			Family: rapid.SampledFrom(Families()).Draw(r, "family"),
		}}.Check()
		if err != nil {
			r.Fatal(err)
		}
		p := s.plan(&q, nil)
		room := q.Budget.Tokens - p.reserve
		got, optional, used := 0, 0, 0
		for i, c := range p.choices {
			used += c.cost
			if !c.mandatory {
				optional++
				if c.form != FormFull && c.class != classTask {
					r.Errorf("%s is no mandatory one and is in the form %s", c.key, c.form)
				}
			} else {
				got++
			}
			if i > 0 && before(p.choices[i-1].candidate, c.candidate) > 0 {
				r.Errorf("%s stands before %s", p.choices[i-1].key, c.key)
			}
		}
		if got != mandatory {
			r.Errorf("%d of %d mandatory documents are in the answer", got, mandatory)
		}
		if used != p.used || used > room && (optional > 0 || len(p.notes) == 0) {
			r.Errorf("%d tokens used of %d, said %d; %d optional, notes %q", used, room, p.used, optional, p.notes)
		}
		if p.left.Total != n-len(p.choices) || p.left.Counts[LeftBudget] != p.left.Total {
			r.Errorf("%d of %d documents are in the answer, and %+v left out", len(p.choices), n, p.left)
		}
	})
}

func TestKnownDocumentsAreLinks(t *testing.T) {
	d := ruleOf(t, "A", func(r *knowledge.Rule) { r.Scope.Activation = "always" })
	s := &snapshot{base: newSegment([]*doc{d}), recent: newSegment(nil)}
	for version, want := range map[int64]string{1: FormLink, 2: FormFull} {
		q, err := Query{Known: []Known{{d.key, version}}}.Check()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.plan(&q, nil).choices[0].form; got != want {
			t.Errorf("to who knows version %d it is %s, want %s", version, got, want)
		}
	}
}

// TestWhatExcludesAPathDoesNotHoldForItsLanguage has a document for a language, but for generated files.
func TestWhatExcludesAPathDoesNotHoldForItsLanguage(t *testing.T) {
	d := ruleOf(t, "GO", func(r *knowledge.Rule) {
		r.Scope = knowledge.Scope{Activation: "glob", Globs: []string{"!gen/**"}, Languages: []string{"go"}}
	})
	s := &snapshot{base: newSegment([]*doc{d}), recent: newSegment(nil)}
	for _, c := range []struct {
		q     Query
		holds bool
	}{
		{Query{Paths: []string{"a.go"}}, true},
		{Query{Paths: []string{"gen/a.go"}}, false},
		{Query{Paths: []string{"gen/a.go", "b.go"}}, true},
		{Query{Paths: []string{"gen/a.go", "b.ts"}}, false},
		{Query{Paths: []string{"gen/a.go"}, Languages: []string{"go"}}, true}, // somebody says so
		{Query{Languages: []string{"go"}}, true},
	} {
		q, err := c.q.Check()
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.plan(&q, nil).choices) == 1; got != c.holds {
			t.Errorf("for %v and %v it holds: %v, want %v", q.Paths, q.Languages, got, c.holds)
		}
	}
}

// TestRoomIsKeptForWhatTheTaskIsAbout: also for what holds anyhow and is about the task.
func TestRoomIsKeptForWhatTheTaskIsAbout(t *testing.T) {
	long := strings.Repeat("Say what is sent, and to whom. ", 60)
	var docs []*doc
	for _, id := range []string{"A", "B", "C", "ASKED"} {
		docs = append(docs, ruleOf(t, id, func(r *knowledge.Rule) {
			if r.Scope.Activation, r.Description = "always", long; id == "ASKED" {
				r.Scope.Activation = "model"
			}
		}))
	}
	about := []Relevant{{docs[3].key, 3, true}, {docs[2].key, 2, true}, {docs[1].key, 1, true}}
	s := &snapshot{base: newSegment(slices.Clone(docs)), recent: newSegment(nil)}
	for name, c := range map[string]struct {
		room int
		hits []Relevant
		want string
	}{
		"without a task":               {2, nil, "A full, B full"},
		"one that only the task found": {2, about[:1], "A full, ASKED full"},
		"one that holds anyhow":        {2, about[1:2], "C full, A full"},
		"one that fits less": {
			3,
			[]Relevant{{docs[2].key, 5, true}, {docs[3].key, 2, true}},
			"C full, A full, ASKED full",
		},
		"all before one in full":        {1, about, "C brief, B brief, ASKED brief"},
		"half of the room is for both":  {3, about, "C full, B full, ASKED full"},
		"there is room for all of them": {4, about, "C full, B full, A full, ASKED full"},
	} {
		q, err := Query{Task: "send", Budget: Budget{Tokens: 500_000}}.Check()
		if err != nil {
			t.Fatal(err)
		}
		room := c.room*int(docs[3].tokens[0]) + c.room // the ids differ in length
		for q.Budget.Tokens = room; q.Budget.Tokens-int(float64(q.Budget.Tokens)*reserve) < room; {
			q.Budget.Tokens++
		}
		var got []string
		for _, c := range s.plan(&q, c.hits).choices {
			got = append(got, c.key.ID+" "+c.form)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: the answer is %q, want %q", name, text, c.want)
		}
	}
}

// TestWhatOnlyTheTaskHasFoundIsShortened: it comes last, and the rules that always hold would leave no room for what
// the asker wants to do.
func TestWhatOnlyTheTaskHasFoundIsShortened(t *testing.T) {
	long := strings.Repeat("Say what is sent, and to whom. ", 60)
	holds := ruleOf(t, "HOLDS", func(r *knowledge.Rule) { r.Scope.Activation, r.Description = "always", long })
	asked := ruleOf(t, "ASKED", func(r *knowledge.Rule) { r.Scope.Activation, r.Description = "model", long })
	s := &snapshot{base: newSegment([]*doc{holds, asked}), recent: newSegment(nil)}
	both := int(holds.tokens[0] + asked.tokens[0])
	for room, want := range map[int]string{
		both:                                     "HOLDS full, ASKED full",
		both - 1:                                 "HOLDS full, ASKED brief",
		int(holds.tokens[0] + asked.tokens[1]):   "HOLDS full, ASKED brief",
		int(holds.tokens[0]+asked.tokens[1]) - 1: "ASKED full",
		int(holds.tokens[0]) - 1:                 "ASKED brief",
	} {
		q, err := Query{Task: "send", Budget: Budget{Tokens: 500_000}}.Check()
		if err != nil {
			t.Fatal(err)
		}
		for q.Budget.Tokens = room; q.Budget.Tokens-int(float64(q.Budget.Tokens)*reserve) < room; {
			q.Budget.Tokens++
		}
		var got []string
		for _, c := range s.plan(&q, []Relevant{{Key: asked.key, Score: 1, Fits: true}}).choices {
			got = append(got, c.key.ID+" "+c.form)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("with room for %d tokens the answer is %q, want %q", room, text, want)
		}
	}
}

func TestAQuestionIsCheckedWhole(t *testing.T) {
	_, err := Query{
		Paths: []string{"ok", "../x"}, Languages: []string{" "},
		Budget: Budget{Tokens: -1, Family: "x"},
	}.Check()
	want := "invalid: /paths/1: \"../x\" leads out of the repository; /languages/0: empty: want a language, as " +
		"in go; " +
		"/budget/tokens: -1: want 0 to 500000; /budget/family: \"x\": want one of openai, claude"
	if err == nil || err.Error() != want {
		t.Errorf("the faults are\n%v, want\n%s", err, want)
	}
}

func TestVerdicts(t *testing.T) {
	base := func(change func(*knowledge.Rule)) *knowledge.Rule {
		r := &knowledge.Rule{RuleID: "A", Category: "c", Title: "t", Description: "d", IsActive: true}
		r.Scope.Activation = "glob"
		change(r)
		r.Normalize()
		return r
	}
	for _, c := range []struct {
		change func(*knowledge.Rule)
		holds  bool
		why    string
	}{
		{func(r *knowledge.Rule) { r.Scope.Globs = []string{"*.md", "cmd/**"} }, true, "cmd/** matches cmd/main.go"},
		{
			func(r *knowledge.Rule) { r.Scope.Globs = []string{"**", "!cmd/*"} }, false,
			"its glob !cmd/* excludes the path",
		},
		{func(r *knowledge.Rule) { r.Scope.Globs = []string{"*.go"} }, false, "none of its globs matches the path"},
		{func(r *knowledge.Rule) { r.Scope.Activation = "always" }, true, "it always holds"},
		{func(r *knowledge.Rule) { r.Scope.Languages = []string{"go"} }, true, "it is for go"},
		{func(r *knowledge.Rule) { r.Scope.Languages = []string{"sql"} }, false, "it is for sql, and the path is not"},
		{
			func(r *knowledge.Rule) { r.Scope.Activation, r.Scope.Targets = "always", []string{"cursor"} }, false,
			"it is meant for cursor, and claude asks",
		},
		{
			func(r *knowledge.Rule) { r.Status = knowledge.StatusDraft }, false,
			"its status is DRAFT: only an ACTIVE rule holds",
		},
		{func(r *knowledge.Rule) { r.IsActive = false }, false, "it is retired"},
		{func(*knowledge.Rule) {}, false, "its activation is glob and it has no glob that includes anything: it " +
			"holds nowhere"},
	} {
		q := Query{Paths: []string{"cmd/main.go"}, Target: "claude"}
		if v := Explain(base(c.change), &q); v.Holds != c.holds || v.Why != c.why {
			t.Errorf("%v, %q; want %v, %q", v.Holds, v.Why, c.holds, c.why)
		}
	}
}

func TestEstimatesAreNearATokenizer(t *testing.T) {
	// Counts of o200k_base.
	for _, c := range []struct {
		text string
		want int
	}{
		{"Check every error, and wrap it with what you were doing.", 13},
		{"func main() {\n\tfmt.Println(\"hello, world\")\n}\n", 12},
		{"", 0},
	} {
		if got := int(Estimate(c.text)); got < c.want*7/10 || got > c.want*14/10+1 {
			t.Errorf("%q is estimated at %d tokens, and is %d", c.text, got, c.want)
		}
	}
}

func TestABriefFormEndsBehindASentence(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for text, want := range map[string]string{
		"One sentence.":                       "One sentence.",
		"First. " + long + ". " + long + long: "First. " + strings.TrimSpace(long) + " . …",
		long + long + long:                    strings.TrimSpace(long+strings.Repeat("word ", 26)) + "…",
	} {
		if got := beginning(text); got != want {
			t.Errorf("%.20s: the beginning is %q, want %q", text, got, want)
		}
	}
}
