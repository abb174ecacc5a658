package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store/storegen"
	"tenet/internal/store/storetest"
)

// sameVectors compares what the program has put into search with what the server makes of the same documents, as it does after
// a change by hand.
func sameVectors(t *testing.T, url string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	for _, sql := range []string{
		"CREATE TEMP TABLE made AS SELECT kind, id, vector FROM search",
		"SELECT tenet_index(kind, array_agg(id), NULL, array_agg(id)) FROM made GROUP BY kind",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), "SELECT s.id, s.title, m.vector::text, s.vector::text FROM search s JOIN made m USING (kind, id) WHERE m.vector <> s.vector LIMIT 3")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, title, program, server string
		if err := rows.Scan(&id, &title, &program, &server); err != nil {
			t.Fatal(err)
		}
		t.Errorf("the vectors of %s (%q) differ:\nprogram %s\nserver  %s", id, title, program, server)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestVectorsOfTheProgramAreThoseOfTheServer(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	var ops []knowledge.Op
	for d := range storegen.Generate(3, 300) {
		ops = append(ops, knowledge.Put(d, 0))
	}
	apply(t, s, ops...)
	apply(t, s, ops[50:250]...) // with what is remembered, in place of what was there
	if n := pgtest.Value(t, url, "SELECT count(*) FROM search"); n < "300" {
		t.Fatalf("%s documents in search", n)
	}
	sameVectors(t, url)
}

func TestVectorsOfOddTextsAreThoseOfTheServer(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	odd := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[A-Za-z]{1,12}`),
		rapid.StringMatching(`[0-9]{1,3}[eE]?[0-9a-zA-Z]{0,4}`),
		rapid.SampledFrom([]string{
			"https://user@example.com:80/a/b.html?q=1#top", "a_b", "_x_", "don't", "it’s", "“quoted”", "—", "naïve", "ÉCOLE", "e\u0301cole", "данные", "数据库", "1e5", "-3.5e-10",
			"v1.2.3", "<b>bold</b>", "&amp;", "~/home", "~x", "~_y", "a~b", "c++", "C#", "user@host", "as", "is", "s", "ss", "xn--a", "snake_case_word", "5G", "x86-64", "ſtraße", "İstanbul", "한국어", "\u00a0", "a:b", "%41",
			"3rd", "0x1F", "e", "E5", "2e41abc", "a'b\"c", "\\path\\to", "αβγ", "ﬁne", strings.Repeat("long", 70), "12345678901234567890", "１２", "a\u200bb",
		}),
	)
	text := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(1, 12).Draw(t, "words") {
			b.WriteString(odd.Draw(t, "word"))
			b.WriteString(rapid.SampledFrom([]string{" ", " ", "\n", ", ", ".", "/", "-", "_", "@", ":", "(", "=", ""}).Draw(t, "gap"))
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
		for len(ops) < 25 { // a batch of few is left to the server
			ops = append(ops, knowledge.Put(storetest.Rule(), 0))
		}
		apply(t, s, ops...)
	})
	sameVectors(t, url)
}
