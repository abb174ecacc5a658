package knowledge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func parse(t testing.TB, text string) *Question {
	t.Helper()
	_, q, err := SearchQuery{Text: text}.Check()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return q
}

// spell writes a parsed question down: wishes, then what must be, then what must not be.
func spell(q *Question) string {
	var list []string
	for _, w := range q.Wishes {
		list = append(list, w.Text)
	}
	for _, c := range q.Must {
		list = append(list, "+"+c.Text)
	}
	for _, c := range q.Not {
		list = append(list, "-"+c.Text)
	}
	return strings.Join(list, " ")
}

func TestQuestionsAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"word":                            "word",
		"Two WORDS":                       "two words",
		"how do I write a commit message": "write commit message",
		"what is it":                      "what is it", // nothing else is left
		`"a phrase" word`:                 `word +"a phrase"`,
		`"unclosed phrase`:                "unclosed phrase",
		`a"b c"d`:                         `d +"b c"`,
		"x -b":                            "x -b",
		`x -"b c"`:                        `x -"b c"`,
		"x OR b c":                        "c +x OR b",
		"x OR b OR c":                     "+x OR b OR c",
		"OR x":                            "x",
		"x OR":                            "x",
		"x OR OR b":                       "+x OR b",
		"x ORb":                           "x orb",
		"ORACLE OR b":                     "+ORACLE OR b",
		"pre*":                            "+pre*",
		`"a pre*"`:                        `+"a pre*"`,
		"title:x":                         "+title:x",
		"-title:x y":                      "y -title:x",
		`title:"x y"`:                     `+title:"x y"`,
		"title: x":                        "title x",
		"subtitle:x":                      "subtitle:x",
		"kind:rule x tag:go -id:a*":       "x +kind:rule +tag:go -id:a*",
		"Kind:Rules Title:x TAG:go":       "+kind:Rules +title:x +tag:go",
		"ID:4711 not found":               "id:4711 found",
		"x kind:pod":                      "x kind:pod",
		"x id:* tag:":                     "x tag +id:*",
		"-x":                              "-x", // alone, a word
		"--no-verify":                     "--no-verify",
		"git commit --no-verify":          "git commit --no-verify",
		"exit code -1":                    "exit code 1",
		"snake_case pgx.Batch":            "snake_case pgx.batch",
		"-- x":                            "x",
		"x - b":                           "x b",
		"x ( ) * & | ! <-> b":             "x b",
		"Größe БАЗА 数据库 e\u0301":          "größe база 数据库 e\u0301",
		"c, c++ and (c#)":                 "c c++ c#",
	} {
		if got := spell(parse(t, text)); got != want {
			t.Errorf("%q is parsed as %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{
		"", "  ", "-a -b", `-"a b"`, "-tag:a", "-title:a", "-a*", `""`, "* ( )", "OR", "\x00", "\xff", "→",
		strings.Repeat("a", MaxSearchText+1), strings.Repeat("title:a ", 2) + strings.Repeat("-b* ", MaxConditions),
	} {
		_, _, err := SearchQuery{Text: bad}.Check()
		wantFaults(t, "search for "+clipped(bad).String(), err, "/q")
	}
	many := parse(t, strings.Join(strings.Fields(strings.Repeat("alpha beta ", 10)), " ")+numbered(200))
	if len(many.Slots) > maxSlots || len(many.LeftOut) == 0 {
		t.Errorf("a question of 200 words has %d slots, and leaves out %d", len(many.Slots), len(many.LeftOut))
	}
	if got := parse(t, "severity:high http://x time:12 kind:pod").Unknown; !slices.Equal(got,
		[]string{"severity", "kind:pod"}) {
		t.Errorf("fields that are none: %q", got)
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " word%dx", i)
	}
	return b.String()
}

func TestSearchQueriesGetDefaultsAndBounds(t *testing.T) {
	q, _, err := SearchQuery{Text: "x"}.Check()
	if err != nil || q.Limit != DefaultHits || !cmp.Equal(q.Kinds, SearchKinds()) {
		t.Errorf("defaults: %+v, %v", q, err)
	}
	_, _, err = SearchQuery{
		Text: "", Kinds: []Kind{KindPrincipal}, Category: "\x00", Tag: strings.Repeat("x", 256), Language: "a\nb",
		Severity: "x", Limit: -1, Cursor: "x",
	}.Check()
	wantFaults(t, "everything wrong", err, "/q", "/kind", "/category", "/tag", "/language", "/severity", "/limit",
		"/cursor")
}

func TestTextsAreCutIntoWordsAndNames(t *testing.T) {
	for text, want := range map[string]string{
		"Two WORDS, and more.": "two words and more",
		"c++ C# f# g++ a++ c":  "c++ c# f# g++ a++ c",
		"c++17 .NET/C#":        "c++17(2) c++ 17 .net/c#(2) .net net c#",
		"n+1 s3:* *x: *":       "n+1(2) n 1 s3:* s3 x",
		"**a:** /*b:*/ c:*d":   "a b c d",
		"node.js":              "node.js(2) node js",
		"pgx.Batch":            "pgx.batch(2) pgx batch",
		"std::unique_ptr":      "std::unique_ptr(3) std unique_ptr(2) unique ptr",
		"snake_case":           "snake_case(2) snake case",
		"camelCase HTTPServer": "camelcase(2) camel case httpserver(2) http server",
		"kebab-case":           "kebab-case(2) kebabcase(2) kebab case",
		"--no-verify":          "--no-verify(2) no-verify(2) noverify(2) no verify",
		"AVD-AWS-0004":         "avd-aws-0004(3) avdaws0004(3) avd aws 0004",
		"rule/SEC-001":         "rule/sec-001(3) rule sec-001(2) sec001(2) sec 001",
		"it's /etc/passwd":     "it s etc/passwd(2) etc passwd",
		"sha256 k8s IPv6 iOS":  "sha256 k8s ipv6 ios(2) i os",
		"连接池":                  "连接池(2) 连接 接池 池",
		"执行format-all再":        "执行 执行 行 format-all(2) formatall(2) format all 再",
		"... -- :: (a)":        "a",
		"v1.2.3":               "v1.2.3(3) v1 2 3",
		"a+b c+\u0301 d++":     "a+b(2) a b c+\u0301(2) c \u0301 d++",
	} {
		var got []string
		(&scanner{emit: func(p *piece) {
			if p.words > 1 {
				got = append(got, fmt.Sprintf("%s(%d)", p.text, p.words))
			} else {
				got = append(got, p.text)
			}
		}}).scan(text)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q is cut into %q, want %q", text, s, want)
		}
	}
}

func TestPiecesStandWhereTheySay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(
			rapid.SampledFrom([]rune("aBc9 _-.,:/\\+#@éß數池\u0301İ\n☀")))).Draw(r, "text")
		at := 0
		(&scanner{emit: func(p *piece) {
			if p.from < 0 || p.to > len(text) || p.from >= p.to || !utf8.ValidString(text[p.from:p.to]) &&
				utf8.ValidString(text) {
				r.Fatalf("%+v in %q", *p, text)
			}
			if p.at < at {
				r.Fatalf("the place of %+v in %q is before one of %d", *p, text, at)
			}
			at = p.at
			if p.words == 1 && strings.IndexFunc(p.text, func(r rune) bool { return isWord(r) || picture(r) }) < 0 {
				r.Fatalf("%+v in %q is no word", *p, text)
			}
		}}).scan(text)
		want := strings.FieldsFunc(strings.ToLower(text),
			func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c) })
		if got := Words(text); !slices.Equal(got, want) {
			r.Fatalf("Words(%q) = %q, want %q", text, got, want)
		}
	})
}

// ruleOf makes a rule to be searched.
func ruleOf(id, title, tags, lead, body string) *Rule {
	r := &Rule{RuleID: id, Category: "c", Title: title, Description: lead, ViolationsConsequence: body, IsActive: true}
	if tags != "" {
		r.Tags = strings.Split(tags, " ")
	}
	r.Normalize()
	return r
}

// ranked returns the ids of the rules that a question finds, the best first, looked at one by one.
func ranked(t testing.TB, text string, rules ...*Rule) (ids []string, reading Reading) {
	t.Helper()
	q := parse(t, text)
	frequency, entries := make([]int, len(q.Slots)), make([]*Entry, len(rules))
	for i, r := range rules {
		entries[i] = NewEntry(r)
		for slot := range q.Slots {
			if q.Holds(slot, entries[i], true) {
				frequency[slot]++
			}
		}
	}
	s := q.Scorer(len(rules), frequency)
	var list []Found
	for i, e := range entries {
		mask, title, sum := s.Look(e)
		if s.Accepts(mask) {
			near := s.Near(mask, func(slot int) []uint32 { return q.Places(slot, e) })
			list = append(list, Found{
				Key: rules[i].Key(), Rank: rules[i].Rank(),
				Score: Round(s.Final(sum, mask, title, Shape{e.Title, e.Words}) + near), Mask: mask,
			})
		}
	}
	slices.SortFunc(list, func(a, b Found) int { return CompareFound(&a, &b) })
	var masks []uint64
	for _, f := range list {
		ids, masks = append(ids, f.Key.ID), append(masks, f.Mask)
	}
	return ids, s.Reading(masks, frequency)
}

func TestTheBestComesFirst(t *testing.T) {
	rules := []*Rule{
		ruleOf("in-body", "Other", "", "nothing here", "a pangolin at last"),
		ruleOf("in-lead", "Other", "", "a pangolin here", ""),
		ruleOf("in-tags", "Other", "pangolin", "nothing here", ""),
		ruleOf("in-title", "Some pangolin of a longer title", "", "nothing here", ""),
		ruleOf("title", "Pangolin", "", "nothing here", ""),
		ruleOf("none", "Other", "", "nothing here", ""),
	}
	got, reading := ranked(t, "pangolin", rules...)
	if want := []string{"title", "in-title", "in-tags", "in-lead", "in-body"}; !slices.Equal(got, want) ||
		reading.Matched != MatchedAll {
		t.Errorf("order %v (%+v), want %v", got, reading, want)
	}
	if got, _ := ranked(t, "title:pangolin", rules...); !slices.Equal(got, []string{"title", "in-title"}) &&
		!slices.Equal(got, []string{"in-title", "title"}) {
		t.Errorf("in the title: %v", got)
	}
	// Words that stand together, words that are rare, and a document that holds all of them.
	got, reading = ranked(t, "connection pool",
		ruleOf("apart", "Other", "", "a pool of water, far away from it each connection", ""),
		ruleOf("together", "Other", "", "each connection pool of water, far away from it", ""),
		ruleOf("one", "Other", "", "a pool", ""))
	if want := []string{"together", "apart", "one"}; !slices.Equal(got, want) ||
		!slices.Equal(reading.Required, []string{"pool"}) {
		t.Errorf("order %v (%+v), want %v", got, reading, want)
	}
	// Ties keep house order: rank, then id.
	first := ruleOf("z", "Same", "", "same", "")
	first.Severity = SeverityCritical
	if got, _ := ranked(t, "same", ruleOf("b", "Same", "", "same", ""), ruleOf("a", "Same", "", "same", ""),
		first); !slices.Equal(got, []string{"z", "a", "b"}) {
		t.Errorf("ties: %v", got)
	}
	// A word in most documents neither decides nor counts.
	var many []*Rule
	for i := range 60 {
		many = append(many, ruleOf(fmt.Sprintf("r%02d", i), "Database", "", "database", ""))
	}
	many[7].ViolationsConsequence = "snapshot"
	got, reading = ranked(t, "database snapshot", many...)
	if !slices.Equal(got, []string{"r07"}) || !slices.Contains(reading.LeftOut, LeftOut{"database", WhyCommon}) {
		t.Errorf("a word in all documents: %v, %+v", got, reading)
	}
	if got, _ = ranked(t, "database", many...); len(got) != 60 {
		t.Errorf("such a word alone finds %d", len(got))
	}
}

// A question of words that say little may still be the title of a document.
func TestAShortQuestionIsATitleWithItsStopWords(t *testing.T) {
	title := func(text, title string) float64 {
		_, q, err := SearchQuery{Text: text}.Check()
		if err != nil {
			t.Fatal(err)
		}
		frequency := make([]int, len(q.Slots))
		for i := range frequency {
			frequency[i] = 3
		}
		s := q.Scorer(100, frequency)
		r := &Rule{RuleID: "r", Title: title}
		r.Normalize()
		mask, in, sum := s.Look(NewEntry(r))
		return s.Final(sum, mask, in, Shape{Title: len(Words(title)), Words: 100})
	}
	const question = "use before define"
	if with, without := title(question, "no-use-before-define"), title(question, "define what you use"); with < 1.2*without {
		t.Errorf("the title with all of its words scores %.1f, the one without its stop word %.1f", with, without)
	}
	if long, other := title("use with define", "define the words that you want to use with what you write"),
		title("use with define", "define the words that you want to use while what you write"); long != other {
		t.Errorf("a stop word in a long title counts: %.2f and %.2f", long, other)
	}
}

// Some stop words say something: they find nothing, and tell which of two documents is meant.
func TestAStopWordThatSaysSomethingRanks(t *testing.T) {
	other := ruleOf("other", "Before each release", "", "nothing of the question stands here", "")
	for question, pair := range map[string][2]*Rule{
		"read a variable before its declaration": {
			ruleOf("b", "Variables before their declaration", "", "text", ""),
			ruleOf("a", "Variables after their declaration", "", "text", ""),
		},
		"too many arguments of a function": {
			ruleOf("b", "Signatures", "", "a function with too many arguments has a fault; others have none", ""),
			ruleOf("a", "Signatures", "", "a function with arguments has a fault; many others have none, too", ""),
		},
		"deploy without a window": {
			ruleOf("b", "Releases", "", "who will deploy without notice opens another window for all of it", ""),
			ruleOf("a", "Releases", "", "who will deploy with notice opens another window, and none without", ""),
		},
	} {
		got, reading := ranked(t, question, pair[1], other, pair[0])
		if !slices.Equal(got, []string{"b", "a"}) {
			t.Errorf("%s: %v, want b before a, and nothing else", question, got)
		}
		if !slices.ContainsFunc(reading.LeftOut, func(l LeftOut) bool { return l.Why == whyStop }) {
			t.Errorf("%s: the stop word is not said to be left out: %+v", question, reading.LeftOut)
		}
	}
	if got, _ := ranked(t, "Get rows by GET", ruleOf("a", "Some", "", "of rows", ""),
		ruleOf("b", "Some", "", "get rows", "")); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("a stop word that is a word of the question too: %v, want b before a", got)
	}
}

func TestSnippetsShowTheWords(t *testing.T) {
	long := strings.Repeat("Ünïcödé wörds — and 😀 more of them. ", 50)
	for _, c := range []struct {
		question, lead, body, want string
		marks                      []string
	}{
		{"pool", "A pool of connections.", "", "A pool of connections.", []string{"pool"}},
		{"pool", "Nothing.", "The Pool.", "The Pool.", []string{"Pool"}},
		{"pool", "Nothing.", "", "Nothing.", nil},
		{"pool", "", "Only a body.", "Only a body.", nil},
		{"pool", "", "", "", nil},
		{"pool", long + "the pool " + long, "", "", []string{"pool"}},
		{"pool drain", "A pool. " + long + "Drain the pool. " + long, "", "", []string{"Drain", "pool"}},
		{`"a pool"`, "pool, a pool, pool", "", "pool, a pool, pool", []string{"a pool"}},
		{`"plan b"`, "plan a, plan b", "", "plan a, plan b", []string{"plan b"}},
		{`"c++ tests"`, "C++ testing", "", "C++ testing", []string{"C++ testing"}},
		{`"die größe"`, "Die Grösse und die Groesse", "", "Die Grösse und die Groesse", []string{"Die Grösse", "die Groesse"}},
		{`"die groesse"`, "Die Größe", "", "Die Größe", []string{"Die Größe"}},
		{"größe", "Groesse", "", "Groesse", []string{"Groesse"}},
		{`"drain poo*"`, "drained pools", "", "drained pools", []string{"drained pools"}},
		{`"testen"`, "getestet", "", "getestet", nil},
		{"poo*", "pools and Poodles", "", "pools and Poodles", []string{"pools", "Poodles"}},
		{"testing", "tests are tested", "", "tests are tested", []string{"tests", "tested"}},
		{"x -pool", "x pool", "", "x pool", []string{"x"}},
		{"title:pool", "a pool", "", "a pool", nil},
		{"größe", "Die GRÖSSE und die Größe", "", "Die GRÖSSE und die Größe", []string{"GRÖSSE", "Größe"}},
		{"istanbul", "İstanbul", "", "İstanbul", []string{"İstanbul"}}, // lower case is shorter
		{"c++ --no-verify", "C, C++ and --no-verify", "", "C, C++ and --no-verify", []string{"C++", "--no-verify"}},
		{"连接池", "每个服务必须限制数据库连接池的大小", "", "每个服务必须限制数据库连接池的大小", []string{"连接池"}},
	} {
		q := parse(t, c.question)
		if p := q.Slots[0].Prefix; p != "" {
			q.Expand(0, []string{"pools", "poodles"})
		}
		got, marks := q.Snippet(&Text{Lead: c.lead, Body: c.body}, q.newMarker())
		if c.want != "" && got != c.want || !utf8.ValidString(got) || len(got) > 2*snippetBytes {
			t.Errorf("%q in %.50q: snippet %q", c.question, c.lead, got)
		}
		var words []string
		for _, m := range marks {
			words = append(words, got[m[0]:m[1]])
		}
		if !slices.Equal(words, c.marks) {
			t.Errorf("%q in %.50q: marked %q, want %q", c.question, c.lead, words, c.marks)
		}
	}
}

func TestSpellingsAreCloseToWhatWasTyped(t *testing.T) {
	vocabulary := strings.Fields("accessibility accessible kubernetes feature future flags idempotency postmortem " +
		"unreachable no-unreachable tests naivete playwright acts a.js config.yaml threat treat nor")
	for typed, want := range map[string]string{
		"acessibility": "accessibility", "kuberntes": "kubernetes", "ukbernetes": "kubernetes",
		"feture": "feature future", "idempotancy": "idempotency",
		"postmorttem": "postmortem", "unreachabel": "unreachable", "no-unreachabel": "no-unreachable", "tset": "",
		"tsets": "tests", "naïvte": "naivete", "kubrnts": "kubernetes",
		"krnetes": "", "accessibility": "",
		"playwrite": "playwright",   //nolint:misspell // on purpose
		"treath":    "threat treat", // a letter too many, or at another place
		"nord":      "",             // no word that every text has
		"playwri":   "", "a.ts": "", "confg.yaml": "config.yaml",
	} {
		s := NewSpelling(typed)
		for _, w := range vocabulary {
			s.Try([]byte(w))
		}
		if typed == "kubrnts" { // seven letters: one error
			want = ""
		}
		if got := strings.Join(s.Best(), " "); got != want {
			t.Errorf("%s is taken for %q, want %q", typed, got, want)
		}
	}
	for word, want := range map[string]bool{
		"abc": false, "abcd": true, "a1b2": false, "no-cache": true,
		"127.0.0.1": false, "连接连接": false,
	} {
		if Spellable(word) != want {
			t.Errorf("Spellable(%q) = %v", word, !want)
		}
	}
}
