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

func parse(t testing.TB, text string) *Search {
	t.Helper()
	_, s, err := SearchQuery{Text: text}.Check()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

// spell writes a parsed search down.
func spell(s *Search) string {
	var groups []string
	for _, g := range s.Groups {
		var terms []string
		for _, t := range g {
			text := strings.Join(t.Words, "+")
			if t.Title {
				text = "title:" + text
			}
			if t.Not {
				text = "-" + text
			}
			if t.Prefix {
				text += "*"
			}
			terms = append(terms, text)
		}
		groups = append(groups, strings.Join(terms, "|"))
	}
	return strings.Join(groups, " ")
}

func TestSearchesAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"word":                         "word",
		"Two WORDS":                    "two words",
		`"a phrase" word`:              "a+phrase word",
		`"unclosed phrase`:             "unclosed+phrase",
		`a"b c"d`:                      "a b+c d",
		"a -b":                         "a -b",
		`a -"b c"`:                     "a -b+c",
		"a OR b c":                     "a|b c",
		"a OR b OR c":                  "a|b|c",
		"a or b":                       "a or b",
		"OR a":                         "a",
		"a OR":                         "a",
		"a OR OR b":                    "a|b",
		"a OR -b":                      "a -b",
		"-b OR a":                      "-b a",
		"a ORb":                        "a orb",
		"ORACLE OR b":                  "oracle|b",
		"pre*":                         "pre*",
		`"a pre*"`:                     "a+pre*",
		"title:x":                      "title:x",
		"-title:x y":                   "-title:x y",
		`title:"x y"`:                  "title:x+y",
		"title: x":                     "title x",
		"subtitle:x":                   "subtitle+x",
		"snake_case pgx.Batch":         "snake+case pgx+batch",
		"user@example.com":             "user+example+com",
		"a\u00a0b\tc\nd":               "a b c d",
		"-- a":                         "a",
		"a - b":                        "a b",
		"a ( ) * & | ! <-> b":          "a b",
		"Größe БАЗА 数据库 e\u0301":       "größe база 数据库 e\u0301",
		strings.Repeat("a ", 31) + "a": strings.TrimSuffix(strings.Repeat("a ", 32), " "),
	} {
		if got := spell(parse(t, text)); got != want {
			t.Errorf("%q is parsed as %q, want %q", text, got, want)
		}
	}
	for _, bad := range []string{"", "  ", "-a", `""`, "* ( )", "OR", "\x00", "\xff", "😀", strings.Repeat("a", MaxSearchText+1), strings.Repeat("a ", MaxSearchTerms+1)} {
		_, _, err := SearchQuery{Text: bad}.Check()
		wantFaults(t, "search for "+clipped(bad).String(), err, "/q")
	}
}

func TestSearchQueriesGetDefaultsAndBounds(t *testing.T) {
	q, _, err := SearchQuery{Text: "x"}.Check()
	if err != nil || q.Limit != DefaultHits || !cmp.Equal(q.Kinds, SearchKinds()) {
		t.Errorf("defaults: %+v, %v", q, err)
	}
	_, _, err = SearchQuery{Text: "", Kinds: []Kind{KindPrincipal}, Category: "\x00", Tag: strings.Repeat("x", 256), Language: "a\nb", Severity: "x", Limit: -1}.Check()
	wantFaults(t, "everything wrong", err, "/q", "/kind", "/category", "/tag", "/language", "/severity", "/limit")
}

func recordOf(t testing.TB, id, title, tags, lead, body string) *Record {
	t.Helper()
	r := &Rule{RuleID: id, Category: "c", Title: title, Description: lead, ViolationsConsequence: body, IsActive: true}
	if tags != "" {
		r.Tags = strings.Split(tags, " ")
	}
	r.Normalize()
	rec, err := NewRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestRankPutsTheBestFirst(t *testing.T) {
	recs := []*Record{
		recordOf(t, "body", "Other", "", "nothing here", "a pangolin at last"),
		recordOf(t, "lead", "Other", "", "a pangolin here", ""),
		recordOf(t, "tag", "Other", "pangolin", "nothing here", ""),
		recordOf(t, "title", "Pangolin", "", "nothing here", ""),
		recordOf(t, "none", "Other", "", "nothing here", ""),
	}
	hits, err := parse(t, "pangolin").Rank(recs, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, h := range hits {
		got = append(got, h.Record.Key.ID)
		if i > 0 && h.Score > hits[i-1].Score {
			t.Errorf("hit %d has a better score than the one before", i)
		}
	}
	if want := []string{"title", "tag", "lead", "body", "none"}; !cmp.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	hits, err = parse(t, "title:pangolin").Rank(recs, 1)
	if err != nil || len(hits) != 1 || hits[0].Record.Key.ID != "title" {
		t.Errorf("in the title: %+v, %v", hits, err)
	}
	if s := parse(t, "title:pangolin"); s.score(&Text{Tags: []string{"pangolin"}, Lead: "pangolin", Body: "pangolin"}) != 0 {
		t.Error("what stands elsewhere counts for a word wanted in the title")
	}
	// Ties keep house order: rank, then id.
	a, b, c := recordOf(t, "b", "Same", "", "same", ""), recordOf(t, "a", "Same", "", "same", ""), recordOf(t, "c", "Same", "", "same", "")
	c.Rank = 0
	hits, err = parse(t, "same").Rank([]*Record{a, b, c}, 10)
	if err != nil || hits[0].Record != c || hits[1].Record != b || hits[2].Record != a {
		t.Errorf("ties: %v, %v", hits, err)
	}
	if _, err := parse(t, "x").Rank([]*Record{{Key: Key{KindRule, "bad"}, JSON: []byte("{")}}, 1); err == nil {
		t.Error("a record that is no JSON is ranked")
	}
	if hits, err := parse(t, "x").Rank(nil, 5); err != nil || hits == nil || len(hits) != 0 {
		t.Errorf("no records: %#v, %v", hits, err)
	}
}

func TestShortlistKeepsThePromising(t *testing.T) {
	var list []Candidate
	for i := range 30 {
		list = append(list, Candidate{Key: Key{KindRule, fmt.Sprintf("r%02d", i)}, Rank: int64(30 - i), Title: "Other", Tags: "x"})
	}
	list[7].Title = "the database pool"
	list[9].Title = "Database"
	list[11].Tags = "database pool"
	s := parse(t, "database pool -mysql")
	got := s.Shortlist(list, 5)
	if want := []int{7, 9, 11, 29, 28}; !cmp.Equal(got[:5], want) {
		t.Errorf("shortlist %v, want %v first", got, want)
	}
	for len(list) < 500 {
		list = append(list, list[len(list)%30])
	}
	if got := len(s.Shortlist(list, 100)); got != 200 {
		t.Errorf("%d on a shortlist for 100 hits, want 200", got)
	}
	if one, five := s.Shortlist(list, 1), s.Shortlist(list, 5); !cmp.Equal(one, five) {
		t.Errorf("the best of one hit are not looked for among as many as the best of five: %v, %v", one, five)
	}
	if got := s.Shortlist(nil, 5); got == nil || len(got) != 0 {
		t.Errorf("a shortlist of nothing: %#v", got)
	}
}

func TestSnippetsShowTheFirstMatch(t *testing.T) {
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
		{`"a pool"`, "pool, a pool, pool", "", "pool, a pool, pool", []string{"a pool"}},
		{"poo*", "pools and Poodles", "", "pools and Poodles", []string{"pools", "Poodles"}},
		{"testing", "tests are tested", "", "tests are tested", []string{"tests", "tested"}},
		{"x -pool", "x pool", "", "x pool", []string{"x"}},
		{"title:pool", "a pool", "", "a pool", nil},
		{"größe", "Die GRÖSSE und die Größe", "", "Die GRÖSSE und die Größe", []string{"Größe"}},
		{"istanbul", "İstanbul", "", "İstanbul", []string{"İstanbul"}}, // lower case is shorter
	} {
		text := Text{Lead: c.lead, Body: c.body}
		got, marks := parse(t, c.question).snippet(&text)
		if c.want != "" && got != c.want || !utf8.ValidString(got) || len(got) > 2*snippetBytes {
			t.Errorf("%q in %.50q: snippet %q", c.question, c.lead, got)
		}
		var words []string
		for _, m := range marks {
			words = append(words, got[m[0]:m[1]])
		}
		if !cmp.Equal(words, c.marks) {
			t.Errorf("%q in %.50q: marked %q, want %q", c.question, c.lead, words, c.marks)
		}
	}
}

func TestWordsAreRunsOfLettersDigitsAndMarks(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("aZ09 _-.,éß數\u0301İ\ufffd\n")))).Draw(r, "text")
		if len(text) > 1 && rapid.Bool().Draw(r, "cut") {
			text = text[:len(text)-1] // in the middle of a character
		}
		want := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		})
		if got := Words(text); !slices.Equal(got, want) {
			r.Fatalf("Words(%q) = %q, want %q", text, got, want)
		}
	})
}
