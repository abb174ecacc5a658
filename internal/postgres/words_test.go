package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store/storetest"
)

func TestVectorsOfOddTextsAreTakenAndFound(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	odd := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[A-Za-z]{1,12}`),
		rapid.StringMatching(`[0-9]{1,3}[eE]?[0-9a-zA-Z]{0,4}`),
		rapid.SampledFrom([]string{
			"https://user@example.com:80/a/b.html?q=1#top", "a_b", "_x_", "don't", "it’s", "“quoted”", "—", "naïve",
			"ÉCOLE", "e\u0301cole", "данные", "数据库", "1e5", "-3.5e-10",
			"v1.2.3", "<b>bold</b>", "&amp;", "~/home", "~x", "~_y", "a~b", "c++", "C#", "user@host", "as", "is", "s",
			"ss", "xn--a", "snake_case_word", "5G", "x86-64", "ſtraße", "İstanbul", "한국어", "\u00a0", "a:b", "%41",
			"3rd", "0x1F", "e", "E5", "2e41abc", "a'b\"c", "\\path\\to", "αβγ", "ﬁne", strings.Repeat("long", 70),
			"12345678901234567890", "１２", "a\u200bb",
		}),
	)
	text := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(1, 12).Draw(t, "words") {
			b.WriteString(odd.Draw(t, "word"))
			b.WriteString(rapid.SampledFrom([]string{
				" ", " ", "\n", ", ", ".", "/", "-", "_", "@", ":", "(", "=",
				"",
			}).Draw(t, "gap"))
		}
		return b.String()
	})
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		var ops []knowledge.Op
		for range 25 {
			n++
			d := storetest.Rule(func(d *knowledge.Rule) {
				d.RuleID, d.Title = fmt.Sprintf("odd-%d", n), strings.Join(strings.Fields(text.Draw(r, "title")), " ")
				d.Description, d.ViolationsConsequence = text.Draw(r, "description"), text.Draw(r, "consequence")
			})
			if d.Validate() == nil {
				ops = append(ops, knowledge.Put(d, 0))
			}
		}
		if len(ops) == 0 {
			return
		}
		apply(t, s, ops...)
		title := ops[0].Doc.Text().Title
		q := knowledge.SearchQuery{
			Text:  strings.ReplaceAll(strings.ReplaceAll(title, "\"", " "), "-", " "),
			Limit: knowledge.MaxHits,
		}
		if _, _, err := q.Check(); err != nil {
			return // a title of signs alone
		}
		if !strings.ContainsFunc(title, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }) {
			return // one of accents alone, over nothing
		}
		hits, err := s.Search(t.Context(), q)
		if err != nil {
			r.Fatalf("Search(%q): %v", q.Text, err)
		}
		if !hits.Bounded && !slices.ContainsFunc(
			hits.Hits, func(h knowledge.Hit) bool { return h.Record.Key == ops[0].Key }) {
			r.Errorf("Search(%q) does not find %s of that title", q.Text, ops[0].Key)
		}
	})
}

// TestRowsOfTheServersWordsAreFound is about rows that were changed by hand, or written before the program made the
// words.
func TestRowsOfTheServersWordsAreFound(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	r := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Title, r.Description = "by-hand", "Deprecating interfaces", "Retired versions, datenbanken"
	})
	apply(t, s, knowledge.Put(r, knowledge.NoVersion))
	if n := pgtest.Value(t, url, "SELECT count(*)::text FROM search WHERE vector @@ to_tsquery('tenet', "+
		"'deprecated & interfaces & retiring & !mark')"); n != "1" {
		t.Errorf("a question in SQL finds %s documents by the program's words, want the rule", n)
	}
	if _, err := pgtest.Connect(t, url).Exec(t.Context(),
		"SELECT tenet_index('rule', '{by-hand}', NULL, '{by-hand}')"); err != nil {
		t.Fatal(err)
	}
	for _, question := range []string{
		"deprecated interface", "version", "title:deprecating", `"retired versions"`,
		"interf*", "datenbanken",
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: question})
		if err != nil || len(hits.Hits) != 1 {
			t.Errorf("Search(%q): %+v, %v, want the rule", question, hits, err)
		}
	}
}

// An instance without a mirror asks PostgreSQL, which says what may have been meant.
func TestWordsLikeThoseOfTitlesAreSuggested(t *testing.T) {
	s := open(t)
	general(t, s)
	apply(t, s, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
		r.Title, r.Tags = "Deprecating interfaces", []string{"accessibility"}
	}), knowledge.NoVersion))
	for question, want := range map[string][]string{
		"deprcating": {"deprecating"}, "interfacse and deprecatign": {"interfaces", "deprecating"},
		"interfaces": nil, "zzyzxes": nil, "title:interfacse": nil,
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: question})
		if err != nil || !slices.Equal(hits.Reading.Suggestions, want) && len(want)+len(hits.Reading.Suggestions) > 0 {
			t.Errorf("Search(%q) suggests %q, %v, want %q", question, hits.Reading.Suggestions, err, want)
		}
		hits, err = s.Search(t.Context(), knowledge.SearchQuery{Text: question, Without: "x"})
		if err != nil || len(hits.Reading.Suggestions) > 0 {
			t.Errorf("Search(%q) suggests %q, %v, of what may be hidden", question, hits.Reading.Suggestions, err)
		}
	}
}

// A document that comes back into use has the words that it had: those of the program, and not of the server.
func TestARestoredDocumentHasTheWordsThatItHad(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	r := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Title, r.Description = "restored", "Parse node.js and c++ with std::unique_ptr",
			"Straßen, naïve and --no-verify; AVD-AWS-0004."
	})
	apply(t, s, knowledge.Put(r, 0))
	const vector = "SELECT vector::text FROM search WHERE kind = 'rule' AND id = 'restored'"
	want := pgtest.Value(t, url, vector)
	for _, seen := range []int64{knowledge.AnyVersion, 4} {
		apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()})
		apply(t, s, knowledge.Op{Verb: knowledge.VerbRestore, Key: r.Key(), IfVersion: seen})
		if got := pgtest.Value(t, url, vector); got != want {
			t.Errorf("restored from version %d its words are\n%s\nand were\n%s", seen, got, want)
		}
	}
	for _, op := range []knowledge.Op{
		{Verb: knowledge.VerbRestore, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "nobody"}},
		{Verb: knowledge.VerbRestore, Key: r.Key(), IfVersion: 1},
	} {
		if _, err := s.Apply(t.Context(), storetest.Batch(op)); err == nil {
			t.Errorf("%s of %s at version %d was done", op.Verb, op.Key, op.IfVersion)
		}
	}
}

// Of a vector that an older program has made nothing is missing that this one knew, and what is in it is found by names
// with a sign in them, which it does not hold.
func TestVectorsOfAnOlderProgramAreWholeAndFound(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	for id, text := range map[string]string{
		"older": "A list of n+1 queries, s3:* and C++17", "newer": "Again n+1 queries, s3:* and c++17",
		"apart": "Of n queries 1 is for s3, and 17 in C++",
	} {
		apply(t, s, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Title, r.Description = id, text, text
		}), knowledge.NoVersion))
	}
	const vectorOf = "SELECT vector::text FROM search WHERE kind = 'rule' AND id = 'older'"
	made := pgtest.Value(t, url, vectorOf)
	pgtest.Exec(t, url, `UPDATE search SET vector = ts_delete(vector, ARRAY[E'\x05', 'n+1', E'\x04n+1', 's3:*', `+
		`E'\x04s3:*', 'c++17', E'\x04c++17']) || E'\x04'::tsvector WHERE kind = 'rule' AND id IN ('older', 'apart')`)
	before := pgtest.Value(t, url, vectorOf)
	if strings.Contains(before, "n+1") || strings.Contains(before, "s3:*") || !strings.Contains(before, "'c++'") {
		t.Fatalf("the vector of an older program is\n%s", before)
	}
	both := []string{"newer", "older"}
	for question, want := range map[string][]string{
		"n+1": both, "s3:*": both, "c++17": {"apart", "newer", "older"}, "title:s3:*": both, `"n+1 queries"`: both,
		"queries -s3:*": {"apart"}, "n+1 OR lists": both,
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: question})
		if err != nil {
			t.Errorf("Search(%q): %v", question, err)
			continue
		}
		var got []string
		for _, h := range hits.Hits {
			got = append(got, h.Record.Key.ID)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("Search(%q) finds %v, want %v", question, got, want)
		}
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("with vectors of an older program: %v", err)
	}
	pgtest.Exec(t, url, "UPDATE search SET vector = ts_delete(vector, 'list') WHERE kind = 'rule' AND id = 'older'")
	if err := s.VerifyChanges(t.Context(), nil); err == nil {
		t.Error("a vector of an older program that lacks a word is called whole")
	}
	if err := postgres.Reindex(t.Context(), s, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value(t, url, vectorOf); got != made {
		t.Errorf("made anew the vector is\n%s\nand was\n%s", got, made)
	}
}
