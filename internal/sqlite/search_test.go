package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/knowledge"
	"tenet/internal/seed"
	"tenet/internal/store/storetest"
)

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
		"resilience": true, "resilient": true, "resilien*": true, "r*": true, "title:conn*": true,
		"title:pool*": false, "connection": true, "testi*": true,
		"unit test": true, `"unit tests"`: true, `"tests unit"`: false, `"unit tes*"`: true, "snake case": true,
		"snake_case": true, "naive": true, "naïve": true, "NAÏV*": true,
		"zurich": true, "pgx.batch": true, "c++": true, "batches": true, "nothing OR pool": true, "pool -naive": false,
		"pool -nothing": true, `"of connections"`: true,
		"c": false, "c#": false, "kindrule": false, "kindr*": false,
	} {
		if got := found(knowledge.SearchQuery{Text: text}); got != want {
			t.Errorf("%s: found is %v, want %v", text, got, want)
		}
	}
	for name, q := range map[string]knowledge.SearchQuery{
		"category": {Text: "pools", Category: "reliability-engineering"}, "tag": {Text: "pools", Tag: "second tag"},
		"odd tag":  {Text: "pools", Tag: "c++"},
		"language": {Text: "pools", Language: "c++"}, "severity": {Text: "pools", Severity: doc.Severity},
	} {
		if !found(q) {
			t.Errorf("narrowed by %s: not found", name)
		}
	}
	for name, q := range map[string]knowledge.SearchQuery{
		"category": {Text: "pools", Category: "engineering"}, "tag": {Text: "pools", Tag: "second"},
		"language": {Text: "pools", Language: "c"},
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
		parts := rapid.SliceOfN(rapid.OneOf(rapid.String(),
			rapid.SampledFrom([]string{
				`"`, "*", "-", "OR", "AND", "NOT", "NEAR(", ")", "title:", "{", "^", "+", ":",
				"close", "pol",
			})), 1, 8).Draw(r, "parts")
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

// found returns the ids that a question finds, the best first.
func found(t testing.TB, s *Store, q knowledge.SearchQuery) []string {
	t.Helper()
	hits, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("Search(%+v): %v", q, err)
	}
	ids := []string{}
	for _, h := range hits.Hits {
		ids = append(ids, h.Record.Key.ID)
	}
	return ids
}

func wordy(i int, words string) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Title, r.Description = fmt.Sprintf("rule-%06d", i), fmt.Sprintf("Title %d", i), words
		r.Examples, r.AntiPatterns, r.ViolationsConsequence, r.Common = nil, nil, "", knowledge.Common{}
	})
}

// soundLists checks that the lists of search say of every document in use what its text says, and nothing of any other.
func soundLists(t testing.TB, s *Store) {
	t.Helper()
	err := s.agree(t.Context(), func(ctx context.Context, v view) error {
		keys := map[int64]knowledge.Key{}
		err := v.query(t.Context(), "test", "SELECT number, kind, id FROM search", nil, func(r *sql.Rows) error {
			var n int64
			var k knowledge.Key
			err := r.Scan(&n, &k.Kind, &k.ID)
			keys[n] = k
			return err
		})
		if err != nil {
			return err
		}
		numbers, waiting, err := v.waiting(t.Context())
		if err != nil {
			return err
		}
		got := map[int64]map[string]string{}
		note := func(n int64, term string, w knowledge.Where, places []uint32) {
			if got[n] == nil {
				got[n] = map[string]string{}
			}
			got[n][term] = fmt.Sprint(w, places)
		}
		for i, n := range numbers {
			for _, p := range waiting[i].entry.Postings {
				note(n, p.Term, p.Where, p.Places)
			}
		}
		gone := map[int64][]byte{}
		err = v.query(t.Context(), "test", "SELECT chunk, bits FROM search_gone", nil, func(r *sql.Rows) error {
			var chunk int64
			var bits []byte
			err := r.Scan(&chunk, &bits)
			gone[chunk] = bits
			return err
		})
		if err != nil {
			return err
		}
		err = v.query(t.Context(), "test", "SELECT w.number >> 32, n.term, w.documents, w.places FROM "+
			"search_words w LEFT JOIN search_terms n ON n.number = (w.number & 4294967295)",
			nil, func(r *sql.Rows) error {
				var chunk int64
				var term string
				var c cursor
				if err := r.Scan(&chunk, &term, (*[]byte)(&c.documents), (*[]byte)(&c.places)); err != nil {
					return err
				}
				for doc, w, own, ok := c.next(); ok; doc, w, own, ok = c.next() {
					if b := gone[chunk]; b == nil || b[doc/8]&(1<<(doc%8)) == 0 {
						note(chunk<<chunkBits|int64(doc), term, w, own.decode(nil))
					}
				}
				return nil
			})
		if err != nil {
			return err
		}
		for n, key := range keys {
			rec, err := v.get(t.Context(), key)
			if err != nil || rec == nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			doc, err := rec.Document()
			if err != nil {
				return err
			}
			want := map[string]string{}
			for _, p := range knowledge.NewEntry(doc).Postings {
				want[p.Term] = fmt.Sprint(p.Where, append([]uint32(nil), p.Places...))
			}
			if diff := cmp.Diff(want, got[n]); diff != "" {
				t.Errorf("the lists say another thing of %s than its text (-text +lists):\n%.2000s", key, diff)
			}
			delete(got, n)
		}
		for n := range got {
			t.Errorf("the lists hold document %d, which is not there", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestListsSayWhatTheDocumentsSayHoweverTheyWereWritten(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	batch := func(from, to int, words string) {
		var ops []knowledge.Op
		for i := from; i < to; i++ {
			ops = append(ops, knowledge.Put(wordy(i, fmt.Sprintf("%s number%d naïve C++ Größe", words, i)),
				knowledge.AnyVersion))
		}
		apply(t, s, ops...)
	}
	batch(0, 100, "first")              // these wait
	batch(100, 100+waitingMax, "first") // these take them along into the lists
	batch(50, 150, "second")            // some of the lists are gone, and some wait
	for i := range 20 {
		apply(t, s, knowledge.Op{
			Verb: knowledge.VerbRetire, Key: wordy(i*7, "").Key(),
			IfVersion: knowledge.AnyVersion,
		})
	}
	soundLists(t, s)
	if got := found(t, s, knowledge.SearchQuery{Text: "number120", Literal: true}); !slices.Equal(got,
		[]string{"rule-000120"}) {
		t.Errorf("a word of one document finds %v", got)
	}
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "second"})
	if err != nil || hits.Total != 100-len([]int{56, 63, 70, 77, 84, 91, 98, 105, 112, 119, 126, 133}) {
		t.Errorf("%d documents say second (%v)", hits.Total, err)
	}
}

func TestChunksOfWhichMostIsGoneAreGivenUp(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	for round, documents := range []int{600, 450, 350} { // some are left in every chunk
		tamper(t, s, fmt.Sprintf("UPDATE sqlite_sequence SET seq = %d WHERE name = 'search'", round*chunkSize))
		var ops []knowledge.Op
		for i := range documents {
			ops = append(ops, knowledge.Put(wordy(i, fmt.Sprintf("round%d", round)), knowledge.AnyVersion))
		}
		apply(t, s, ops...)
	}
	for range 8 { // one step with each write that makes lists
		var ops []knowledge.Op
		for i := range waitingMax {
			ops = append(ops, knowledge.Put(wordy(600+i, "more"), knowledge.AnyVersion))
		}
		apply(t, s, ops...)
	}
	var chunks int
	if err := s.read(t.Context(), "test", "SELECT count(DISTINCT number >> 32) FROM search_words",
		nil, func(r *sql.Rows) error { return r.Scan(&chunks) }); err != nil || chunks != 1 {
		t.Errorf("there are %d chunks (%v), want the newest alone", chunks, err)
	}
	soundLists(t, s)
	for i, text := range map[int]string{0: "round2", 400: "round1", 550: "round0"} {
		q := knowledge.SearchQuery{Text: text + " " + fmt.Sprint(i), Literal: true}
		if got := found(t, s, q); len(got) == 0 || got[0] != fmt.Sprintf("rule-%06d", i) {
			t.Errorf("%s finds %v first", q.Text, got)
		}
	}
}

func TestAnIndexOfAnotherFormIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenet.db")
	s := openAt(t, path, Options{})
	put(t, s, general())
	var ops []knowledge.Op
	for i := range 30 {
		ops = append(ops, knowledge.Put(wordy(i, fmt.Sprintf("number%d", i)), knowledge.NoVersion))
	}
	apply(t, s, ops...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Migrate(t.Context(), path, 3); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, Options{Frozen: true})
	if err == nil || !strings.Contains(err.Error(), "tenet migrate up") {
		t.Errorf("a file without lists is opened as it is: %v", err)
	}
	s = openAt(t, path, Options{})
	soundLists(t, s)
	if got := found(t, s, knowledge.SearchQuery{Text: "number7", Literal: true}); !slices.Equal(got,
		[]string{"rule-000007"}) {
		t.Errorf("after the upgrade a word finds %v", got)
	}
}

func TestTypingErrorsAreCorrected(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "accessibility testing"), wordy(2, "kubernetes manifests"),
		wordy(3, "use feature flags"), wordy(4, "the future is now"),
		wordy(5, "no-unreachable code"), wordy(6, "naïveté"),
		wordy(7, "cores, cores, cores, examination"), wordy(8, "cross examination"))
	for typed, want := range map[string]struct{ id, used string }{
		"acessibility testing": {"rule-000001", "accessibility"}, "kuberntes": {"rule-000002", "kubernetes"},
		"ukbernetes":   {"rule-000002", "kubernetes"},
		"feture flags": {"rule-000003", "feature"}, "no-unreachabel": {"rule-000005", "no-unreachable"},
		"naivte": {"rule-000006", "naivete"}, "corss examination": {"rule-000008", "cross"},
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: typed})
		if err != nil || len(hits.Hits) == 0 || hits.Hits[0].Record.Key.ID != want.id {
			t.Errorf("%s: %+v, %v, want %s first", typed, hits, err, want.id)
			continue
		}
		if c := hits.Reading.SearchedFor; len(c) == 0 || c[0].Used != want.used ||
			!strings.Contains(typed, c[0].Typed) {
			t.Errorf("%s: searched for %+v, want %s", typed, c, want.used)
		}
	}
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "acessibility", Literal: true})
	if err != nil || len(hits.Hits) != 0 || !slices.Contains(hits.Reading.Suggestions, "accessibility") {
		t.Errorf("literally: %+v, %v", hits, err)
	}
	// too short, a code, a number, nothing near, and names of the program that failed
	for _, typed := range []string{
		"cod", "AVD-AWS-0004", "127.0.0.1", "zzzzzz",
		"the code of `featur` and 'kuberntes' will now be unreachable in FeturFlags",
	} {
		if hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: typed}); err != nil ||
			len(hits.Reading.SearchedFor) > 0 {
			t.Errorf("%s is corrected: %+v, %v", typed, hits, err)
		}
	}
}

func TestABroaderWordMakesARareOneNoLessRare(t *testing.T) {
	s := openTest(t, Options{})
	docs := []knowledge.Document{general(), wordy(1, "how a JWT is read")}
	for i := range 30 {
		docs = append(docs, wordy(10+i, "a token of some kind"))
	}
	for i := range 5 {
		docs = append(docs, wordy(50+i, "rotation of what gets old"))
	}
	put(t, s, docs...)
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "jwt rotation"})
	if err != nil || len(hits.Hits) == 0 || hits.Hits[0].Record.Key.ID != "rule-000001" {
		t.Errorf("%+v, %v: want the document that has the word itself first", hits, err)
	}
}

func TestWhatElseStandsForAWordIsNotItsStem(t *testing.T) {
	s := openTest(t, Options{})
	docs := []knowledge.Document{general(), wordy(1, "every list has paging"), wordy(2, "every list has pagination")}
	for i := range 30 {
		docs = append(docs, wordy(10+i, "a page, and pages"))
	}
	put(t, s, docs...)
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "pagination"})
	if err != nil || hits.Total != 2 || hits.Hits[0].Record.Key.ID != "rule-000002" {
		t.Errorf("%+v, %v: want the document with the word, then the one with paging, and no pages", hits, err)
	}
}

func TestALineOfSourceInAMessageSaysLittle(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "never give a constant another value"), wordy(2, "the app in orders.js has a page"))
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "assignment to constant variable " +
		"(/app/orders.js:14:7)"})
	if err != nil || len(hits.Hits) == 0 || hits.Hits[0].Record.Key.ID != "rule-000001" {
		t.Errorf("%+v, %v: want the document about the message first", hits, err)
	}
}

func TestTheSameTextIsFoundHoweverItIsWritten(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "限制資料庫連線逾時"), wordy(2, "缓存必须设置过期时间"), wordy(3, `see src\pay\refund.ts on Windows`),
		wordy(4, "see lib/pay/charge.ts"), wordy(5, "🚀 launch with care"), wordy(6, "launch, pay and refund"))
	for text, want := range map[string]string{
		"资料库连线": "rule-000001", "資料庫連線": "rule-000001", "過期時間": "rule-000002", "过期时间": "rule-000002",
		"緩*":                "rule-000002",
		"src/pay/refund.ts": "rule-000003", `src\pay\refund.ts`: "rule-000003", `pay\refund.ts`: "rule-000003",
		`lib\pay\charge.ts`: "rule-000004", "🚀": "rule-000005", `"launch with care"`: "rule-000005",
		`"🚀 launch"`: "rule-000005",
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: text})
		if err != nil || len(hits.Hits) == 0 || hits.Hits[0].Record.Key.ID != want ||
			hits.Reading.Matched != knowledge.MatchedAll {
			t.Errorf("%s: %+v, %v, want %s first", text, hits, err, want)
		}
	}
}

func TestFacetsCountAllHits(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	var ops []knowledge.Op
	for i := range waitingMax + 40 { // in the lists and waiting
		r := wordy(i, "walrus")
		r.Tags, r.Severity = []string{fmt.Sprintf("tag%d", i%3)}, knowledge.SeverityInfo
		ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
		if len(ops) == waitingMax {
			apply(t, s, ops...)
			ops = nil
		}
	}
	apply(t, s, ops...)
	apply(t, s, knowledge.Put(storetest.Practice(func(p *knowledge.Practice) {
		p.Title, p.Tags = "Walrus", []string{"tag0"}
	}), knowledge.NoVersion))
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "walrus", Facets: true, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range hits.Facets {
		got[f.Facet+" "+f.Value] = f.Count
	}
	n := waitingMax + 40
	want := map[string]int{
		"kind rule": n, "kind practice": 1, "category general": n + 1, "severity INFO": n, "language go": 1,
		"tag tag0": (n+2)/3 + 1, "tag tag1": (n + 1) / 3, "tag tag2": n / 3,
	}
	if diff := cmp.Diff(want, got); diff != "" || hits.Total != n+1 {
		t.Errorf("facets of %d hits (-want +got):\n%s", hits.Total, diff)
	}
}

func FuzzWaitingEntries(f *testing.F) {
	x := &indexed{knowledge.NewEntry(wordy(1, "some words, C++ and größe")), 77}
	f.Add(x.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeIndexed(b)
		if err != nil {
			return
		}
		again, err := decodeIndexed(x.encode())
		if err != nil {
			t.Fatalf("what was decoded can't be decoded again: %v", err)
		}
		if diff := cmp.Diff(x.entry, again.entry); diff != "" {
			t.Errorf("decoded twice (-first +second):\n%s", diff)
		}
	})
}

func TestAListHoldsWhatWasAppendedToIt(t *testing.T) {
	type entry struct {
		Doc    uint16
		Where  knowledge.Where
		Places []uint32
	}
	rapid.Check(t, func(r *rapid.T) {
		var want, got []entry
		var all cursor
		doc := -1
		for range rapid.IntRange(0, 4).Draw(r, "flushes") {
			g := growing{last: -1}
			for range rapid.IntRange(1, 6).Draw(r, "documents") {
				if doc += rapid.SampledFrom([]int{1, 2, absolute - 1, absolute, absolute + 1, 300}).Draw(r, "gap"); doc >= chunkSize {
					break
				}
				e := entry{uint16(doc), knowledge.Where(rapid.Byte().Draw(r, "where")), nil}
				place := uint32(0)
				for range rapid.IntRange(1, 4).Draw(r, "places") {
					place += uint32(rapid.SampledFrom([]int{1, 63, 64, 127, 128, 9000, 1 << 20}).Draw(r, "distance"))
					e.Places = append(e.Places, place)
				}
				g.add(e.Doc, &knowledge.Posting{Where: e.Where, Places: e.Places})
				want = append(want, e)
			}
			all.documents, all.places = append(all.documents, g.documents...), append(all.places, g.places...)
		}
		if n := all.documents.len(); n != len(want) {
			r.Errorf("a list of %d documents counts %d", len(want), n)
		}
		looking := all
		for d, w, own, ok := all.next(); ok; d, w, own, ok = all.next() {
			got = append(got, entry{d, w, own.decode(nil)})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("the list (-appended +read):\n%s", diff)
		}
		for _, e := range want {
			if w, own := looking.at(e.Doc); w != e.Where || !slices.Equal(own.decode(nil), e.Places) {
				r.Errorf("document %d: %v %v, want %v %v", e.Doc, w, own.decode(nil), e.Where, e.Places)
			}
		}
	})
}

// A list without any positions is stored as an empty one, so that a term must have them everywhere or nowhere.
func TestATermHasPositionsInEveryDocumentOrInNone(t *testing.T) {
	placed := map[string]bool{}
	look := func(doc knowledge.Document) {
		for _, p := range knowledge.NewEntry(doc).Postings {
			if before, known := placed[p.Term]; known && before != (len(p.Places) > 0) {
				t.Errorf("%q has positions in some documents, and none in %s", p.Term, doc.Key())
			}
			placed[p.Term] = len(p.Places) > 0
		}
	}
	starter, err := seed.Documents()
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range slices.Concat(starter, foreign()) {
		look(doc)
	}
	for i, words := range []string{
		"testing tests test-cases testCases TestCases test_cases", "Tests: test.Cases, (testing)", "größe Größen groesse",
		"die Tests der Größen und die Größe", "データベース データ", "データ", "ﬁne ſtraße", "🚀 rockets🚀", "한국어 데이터",
		strings.Repeat("long", 40), strings.Repeat("Long", 40) + "-names", "les tests de la migration", "C++ c++11 c#",
	} {
		look(wordy(i, words))
	}
}

func FuzzLists(f *testing.F) {
	l := documentList(nil).append(-1, 3, 9).append(3, 700, 1)
	f.Add([]byte(l), []byte(placeList(nil).append([]uint32{4}).append([]uint32{5, 1000})))
	f.Fuzz(func(t *testing.T, documents, places []byte) {
		n, c := 0, cursor{documents: documents, places: places}
		for doc, _, own, ok := c.next(); ok; doc, _, own, ok = c.next() {
			if n++; doc >= chunkSize {
				t.Fatalf("document %d is beyond the chunk", doc)
			}
			own.decode(nil)
		}
		if got := documentList(documents).len(); got != n {
			t.Errorf("%d documents are counted, and %d read", got, n)
		}
	})
}

func TestPhrasesOfScriptsWithoutSpaces(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general(), wordy(1, "모든 서비스는 연결 풀의 크기를 제한한다"), wordy(2, "レビューAPI設計する。接続 プールの 上限"),
		wordy(3, "每个服务必须限制连接池，释放连接"))
	for text, want := range map[string]string{
		`"연결 풀의 크기"`: "rule-000001", `"연결 풀"`: "rule-000001", `"서비스는 연결"`: "rule-000001",
		`"풀의 연결"`: "", `"연결 크기를"`: "",
		`"レビューAPI設計"`: "rule-000002", `"接続 プール"`: "rule-000002", `"プール 接続"`: "",
		`"连接池，释放"`: "rule-000003",
		`"连接池连接"`:  "", `title:"연결 풀"`: "", `"연결 풀의 크"`: "rule-000001", `-"연결 풀" 서비스는`: "",
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: text})
		if err != nil || len(hits.Hits) > 1 || (len(hits.Hits) == 1) != (want != "") {
			t.Errorf("%s: %+v, %v, want %s", text, hits, err, want)
		} else if want != "" && hits.Hits[0].Record.Key.ID != want {
			t.Errorf("%s finds %s, want %s", text, hits.Hits[0].Record.Key, want)
		}
	}
}

// TestABeginningCountsAlikeWhereverADocumentStands compares a document in the lists with one of the same text that
// waits.
func TestABeginningCountsAlikeWhereverADocumentStands(t *testing.T) {
	s := openTest(t, Options{})
	text := func(i int) *knowledge.Rule {
		r := wordy(i, "coal coal, and cork")
		r.Title = "About cobalt"
		return r
	}
	ops := []knowledge.Op{knowledge.Put(general(), knowledge.AnyVersion), knowledge.Put(text(1), knowledge.NoVersion)}
	for i := range 400 {
		ops = append(ops, knowledge.Put(wordy(10+i, "something else"), knowledge.NoVersion))
	}
	apply(t, s, ops...)
	put(t, s, text(2))
	for _, q := range []string{"co*", "title:co*", "cor*"} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: q})
		if err != nil || len(hits.Hits) != 2 {
			t.Errorf("%s: %+v, %v, want 2 hits", q, hits, err)
			continue
		}
		if hits.Hits[0].Score > 1.005*hits.Hits[1].Score { // the lists round the number of words
			t.Errorf("%s: %s scores %v and %s %v", q, hits.Hits[0].Record.Key, hits.Hits[0].Score,
				hits.Hits[1].Record.Key, hits.Hits[1].Score)
		}
	}
}
