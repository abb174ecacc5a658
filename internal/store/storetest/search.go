package storetest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

func searchLaws() []law {
	return []law{
		{name: "a whole word in the title or the text is found", check: wordsAreFound},
		{name: "a search understands phrases, exclusions, alternatives, beginnings and titles", check: searchSyntax},
		{name: "no character of a question means anything to the engine", check: metacharacters},
		{name: "words of any script are found", check: scripts},
		{name: "a search is narrowed by its filters", check: searchFilters},
		{name: "a search follows what is written", check: searchFollowsWrites},
		{name: "hits have scores in order, snippets and marks within them", check: hitsAreWellFormed},
		{name: "a search is a wish: who holds more of it comes first, and all of it is told", check: wishes},
		{name: "what stands for a word is looked for too, counts for less, and is told", check: equivalents},
		{name: "a word says the same in each of its forms, and however it is written", check: forms},
		{name: "a name is one word and its parts", check: compoundNames},
		{name: "words are found within texts without spaces", check: denseTexts},
		{name: "fields of a question narrow it", check: searchFields},
		{name: "pages of a search hold each hit once", check: searchPages},
		{name: "a bad search names every fault", check: badSearches},
	}
}

// search asks a question that must be answered.
func (s *suite) search(q knowledge.SearchQuery) *knowledge.Hits {
	s.Helper()
	hits, err := s.s.Search(s.ctx, q)
	if err != nil {
		s.Fatalf("Search(%+v): %v", q, err)
	}
	if hits == nil {
		s.Fatalf("Search(%+v) is nil without an error", q)
	}
	limit := q.Limit
	if limit == 0 {
		limit = knowledge.DefaultHits
	}
	if len(hits.Hits) > limit {
		s.Errorf("Search(%+v): %d hits", q, len(hits.Hits))
	}
	if hits.Source == "" {
		s.Errorf("Search(%+v) does not say where it came from", q)
	}
	for i, h := range hits.Hits {
		s.checkRecord(h.Record)
		if i > 0 && h.Score > hits.Hits[i-1].Score {
			s.Errorf("Search(%+v): hit %d has a better score than the one before", q, i)
		}
		s.checkSnippet(q, h)
	}
	return hits
}

func (s *suite) checkSnippet(q knowledge.SearchQuery, h knowledge.Hit) {
	s.Helper()
	if !utf8.ValidString(h.Snippet) || len(h.Snippet) > 2000 {
		s.Errorf("Search(%q): the snippet of %s is not valid or too long: %.100q", q.Text, h.Record.Key, h.Snippet)
	}
	end := 0
	for _, m := range h.Marks {
		if m[0] < end || m[1] <= m[0] || m[1] > len(h.Snippet) {
			s.Errorf("Search(%q): marks %v in a snippet of %d bytes", q.Text, h.Marks, len(h.Snippet))
			return
		}
		if !utf8.ValidString(h.Snippet[m[0]:m[1]]) {
			s.Errorf("Search(%q): the mark %v cuts a character of %q", q.Text, m, h.Snippet)
		}
		end = m[1]
	}
}

// found checks that a question finds these documents, in any order, and no other.
func (s *suite) found(text string, want ...knowledge.Key) {
	s.Helper()
	s.foundBy(knowledge.SearchQuery{Text: text, Limit: knowledge.MaxHits}, want...)
}

func (s *suite) foundBy(q knowledge.SearchQuery, want ...knowledge.Key) {
	s.Helper()
	var got, wanted []string
	for _, h := range s.search(q).Hits {
		got = append(got, h.Record.Key.String())
	}
	for _, k := range want {
		wanted = append(wanted, k.String())
	}
	slices.Sort(got)
	slices.Sort(wanted)
	s.equal(fmt.Sprintf("Search(%+v)", q), wanted, got)
}

// wordy stores a rule with this title and this description and returns its key.
func (s *suite) wordy(title, description string) knowledge.Key {
	s.Helper()
	return s.put(Rule(func(r *knowledge.Rule) {
		r.Title, r.Description = title, description
		r.Examples, r.AntiPatterns, r.ViolationsConsequence, r.Common = nil, nil, "", knowledge.Common{}
	})).Key
}

func wordsAreFound(s *suite) {
	r := Rule(func(r *knowledge.Rule) {
		r.Title, r.Description = "Aardvark handling", "Mind the bumblebee at night."
		r.Examples = []knowledge.Example{{Title: "Chameleon", Code: "dromedary()", Note: "an elephantine note"}}
		r.AntiPatterns = []knowledge.Example{{Code: "flamingo := 1"}}
		r.ViolationsConsequence = "A giraffe falls over."
		r.Tags = []string{"hedgehog"}
	})
	p := Practice(func(p *knowledge.Practice) {
		p.Title, p.Description, p.Benefits = "Iguana keeping", "For jackals.", []string{"fewer kangaroos"}
		p.ImplementationGuide, p.References = "Ask a leopard.", []knowledge.Reference{{Title: "Meerkat weekly"}}
		p.Tags = []string{"nightingale"}
	})
	t := Template(func(t *knowledge.Template) {
		t.Name, t.Description, t.TemplateContent = "Ocelot", "About a pelican.",
			"Dear quokka, {{title}} is {{severity}}"
	})
	c := Category(func(c *knowledge.Category) {
		c.ID, c.Name, c.Description = "zoology", "Rhinoceros", "Any salamander."
	})
	s.put(c, r, p, t)
	for _, w := range []string{
		"aardvark", "bumblebee", "chameleon", "dromedary", "elephantine", "flamingo", "giraffe",
		"hedgehog",
	} {
		s.found(w, r.Key())
		s.found(strings.ToUpper(w), r.Key())
	}
	for _, w := range []string{"iguana", "jackals", "kangaroos", "leopard", "meerkat", "nightingale"} {
		s.found(w, p.Key())
	}
	for _, w := range []string{"ocelot", "pelican", "quokka"} {
		s.found(w, t.Key())
	}
	for _, w := range []string{"rhinoceros", "salamander", "zoology"} {
		s.found(w, c.Key())
	}
	s.found("aardvark bumblebee giraffe", r.Key()) // words of different fields
	s.found("aardvark iguana", r.Key(), p.Key())
	s.found("nobodysaysthis")
	s.found("mind the bumblebee", r.Key()) // a word that says nothing does not hinder
	inCategory := Rule(func(r *knowledge.Rule) { r.Category, r.Title = c.ID, "Tapir" })
	s.put(inCategory)
	s.found("tapir zoology", inCategory.Key(), c.Key()) // the category is one of a rule's words
	if hits := s.search(knowledge.SearchQuery{Text: "tapir zoology"}); hits.Hits[0].Record.Key != inCategory.Key() ||
		hits.Reading.Matched != knowledge.MatchedAll {
		s.Errorf("the first hit of tapir zoology is %s, matched %s", hits.Hits[0].Record.Key, hits.Reading.Matched)
	}
}

func searchSyntax(s *suite) {
	a := s.wordy("Quick brown fox", "jumps over walls")
	b := s.wordy("Brown quick fox", "rests under trees")
	c := s.wordy("Badger", "a quick meeting with a fox about foxgloves")
	s.found("quick fox", a, b, c)
	s.found(`"quick brown"`, a)
	s.found(`"brown quick" fox`, b)
	s.found(`"quick fox"`, b)
	s.found("quick -brown", c)
	s.found(`fox -"quick brown"`, b, c)
	s.found("badger OR trees", b, c)
	s.found("quick badger OR trees", b, c)
	s.found("walls OR trees OR badger", a, b, c)
	s.found("foxglov*", c)
	s.found("meetin*", c) // it goes beyond the stem of the word
	s.found("meetings*")
	s.found("fox -meetin*", a, b)
	s.found("qui* bro*", a, b)
	s.found("meeting.elsewhere", c) // a name that nobody has is its parts
	s.found("title:badger", c)
	s.found("title:quick", a, b)
	s.found("title:meeting")
	s.found("title:fox walls", a, b)
	s.found(`title:fox "over walls"`, a)
	s.found(`"quick fox" OR "meeting with"`, b, c)
	s.found(`"with a fox about foxglo*"`, c)
	s.found("-brown", a, b) // alone, it is a word that begins with a hyphen
	s.found("title:bro*", a, b)
	s.found(`title:"quick brown"`, a)
	s.found("fox -title:quick", c)
	s.found("fox -wal* -tre*", c)
	d := s.wordy("Orders", "a list of n+1 queries, by a role with s3:*")
	e := s.wordy("Stalls", "n queries, 1 of them to s3")
	s.found("n+1", d)
	s.found("s3:*", d)
	s.found(`"n+1 queries"`, d)
	s.found("queries -s3:*", e)
}

func metacharacters(s *suite) {
	k := s.wordy("Gyroscope", "a b c it's 100% snake_case pgx.Batch c++ C# foo-bar user@example.com /etc/passwd "+
		"<xml> $var ünïcode")
	for _, q := range []string{
		"gyroscope '", "gyroscope ''", `gyroscope "`, `"gyroscope`, `gyroscope ""`, "gyroscope *", "gyroscope (",
		"gyroscope )", "(gyroscope)",
		"gyroscope &", "gyroscope |", "gyroscope !", "!gyroscope", "gyroscope:*", "gyroscope:A", "gyroscope <-> ",
		"gyroscope <2>", "^gyroscope",
		"gyroscope ^", "{gyroscope}", "gyroscope {}", "[gyroscope]", "~gyroscope", "gyroscope\\", `gyroscope\'`,
		"gyroscope;", "gyroscope --", "gyroscope -",
		"gyroscope %", "gyroscope ?", "gyroscope $1", "gyroscope :name", "gyroscope @", "gyroscope #",
		"gyroscope /* */", "gyroscope ```",
		"gyroscope +", "+gyroscope", "gyroscope,", ",gyroscope", "gyroscope\tit's", "gyroscope\n100%", "snake_case",
		"pgx.Batch", "PGX.batch", "foo-bar",
		"user@example.com", "/etc/passwd", "gyroscope OR", "OR gyroscope", "OR OR gyroscope", "gyroscope -()",
		"gyroscope 😀", "title:gyroscope",
		"gyroscope - snake_case",
	} {
		s.found(q, k)
	}
	for _, q := range []string{
		"NEAR(gyroscope, 2)", "gyroscope NEAR batch", "gyroscope AND", "NOT gyroscope", "it's", "gyroscope title:",
		"title : gyroscope", "description:gyroscope", "-- gyroscope",
		"rank:gyroscope", "gyroscope' OR 1=1 --", "'; drop table rules; --", "*gyroscope", "gy*ro*scope*",
		"\"a\"\"b\"", "((((", strings.Repeat("a ", 30),
	} {
		if _, err := s.s.Search(s.ctx, knowledge.SearchQuery{Text: q}); err != nil {
			s.badQuery("Search "+q, err, "/q")
		}
	}
	s.get(k)
}

func scripts(s *suite) {
	for _, c := range []struct{ title, question string }{
		{"Größenänderung prüfen", "größenänderung"},
		{"ГЛАВНАЯ База", "главная"},
		{"Ελληνικά κείμενα", "ελληνικά"},
		{"数据库 存储", "数据库"},
		{"データ 日本語", "日本語"},
		{"ﾃﾞｰﾀﾍﾞｰｽ半角", "データベース"},
		{"限制資料庫連接", "资料库连接"},
		{"缓存必须过期", "過期"},
		{`see src\pay\refund.ts`, "src/pay/refund.ts"},
		{"🚀 before each release", "🚀"},
		{"サーバーの監視", "ｻｰﾊﾞｰ"},
		{"テ\u3099フ\u309aロイ手順", "デプロイ"}, // as macOS takes names apart
		{"\u1103\u1166\u110b\u1175\u1110\u1165를 읽는다", "데이터"},
		{"\uf9d0似の文", "類似"}, // a character of compatibility
		{"ตั้งชื่อตัวแปรให้ชัดเจน", "ตัวแปร"},
		{"عربي نص", "عربي"},
		{"עברית טקסט", "עברית"},
		{"Ĳsland zoëken", "zoëken"},
		{"Smiling 😀 face", "smiling"},
		{"Version 42 rc7", "42"},
		{"𝔘nit alphaword", "alphaword"},
	} {
		s.found(c.question, s.wordy(c.title, "nothing else here"))
	}
}

func searchFilters(s *suite) {
	s.put(Category(func(c *knowledge.Category) { c.ID, c.Name = "other", "Walrus category" }))
	walrus := "Walrus"
	r1 := Rule(func(r *knowledge.Rule) { r.Title, r.Severity = walrus, knowledge.SeverityCritical })
	r2 := Rule(func(r *knowledge.Rule) {
		r.Title, r.Category, r.Severity, r.Tags, r.Scope.Languages = walrus, "other", knowledge.SeverityInfo,
			[]string{"cold"}, []string{"python"}
	})
	p := Practice(func(p *knowledge.Practice) { p.Title, p.Tags = walrus, []string{"cold", "io"} })
	t := Template(func(t *knowledge.Template) { t.Name, t.Category = walrus, "other" })
	s.put(r1, r2, p, t)
	cat := knowledge.Key{Kind: knowledge.KindCategory, ID: "other"}
	q := func(change func(*knowledge.SearchQuery)) knowledge.SearchQuery {
		q := knowledge.SearchQuery{Text: "walrus"}
		change(&q)
		return q
	}
	s.found("walrus", r1.Key(), r2.Key(), p.Key(), t.Key(), cat)
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Kinds = []knowledge.Kind{knowledge.KindRule} }), r1.Key(), r2.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) {
		q.Kinds = []knowledge.Kind{knowledge.KindTemplate, knowledge.KindCategory}
	}), t.Key(), cat)
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Category = "other" }), r2.Key(), t.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Tag = "cold" }), r2.Key(), p.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Language = "python" }), r2.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Severity = knowledge.SeverityCritical }), r1.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Tag, q.Category = "cold", "other" }), r2.Key())
	s.foundBy(q(func(q *knowledge.SearchQuery) { q.Tag = "%" }))
	if got := s.search(q(func(q *knowledge.SearchQuery) { q.Limit = 2 })).Hits; len(got) != 2 {
		s.Errorf("a search with limit 2 has %d hits", len(got))
	}
}

func searchFollowsWrites(s *suite) {
	k := s.wordy("Yesterday's narwhal", "swims")
	s.found("narwhal", k)
	s.apply(patchOp(k, `{"title":"Today's orca"}`))
	s.found("narwhal")
	s.found("orca", k)
	s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: k})
	s.found("orca")
	s.apply(patchOp(k, `{"description":"a retired porpoise"}`))
	s.found("porpoise")
	s.apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: k})
	s.found("orca", k)
	s.found("porpoise", k)
	s.apply(patchOp(k, `{"tags":["manatee"]}`))
	s.found("manatee", k)
	s.apply(patchOp(k, `{"tags":[]}`))
	s.found("manatee")
	s.apply(purgeOp(k))
	s.found("orca")
}

func hitsAreWellFormed(s *suite) {
	long := strings.Repeat("Ünïcödé wörds — and 😀 more of them. ", 100)
	inTitle := s.wordy("Pangolin", long)
	inText := s.wordy("Something else", long+" the pangolin hides here "+long)
	hits := s.search(knowledge.SearchQuery{Text: "pangolin"}).Hits
	if len(hits) != 2 {
		s.Fatalf("%d hits, want 2", len(hits))
	}
	if hits[0].Record.Key != inTitle {
		s.Errorf("the first hit is %s, want %s: its title is the word", hits[0].Record.Key, inTitle)
	}
	for _, h := range hits {
		if h.Score <= 0 {
			s.Errorf("%s has the score %v", h.Record.Key, h.Score)
		}
		if h.Snippet == "" {
			s.Errorf("%s has no snippet", h.Record.Key)
		}
		if h.Record.Key == inText && (len(h.Marks) != 1 || h.Snippet[h.Marks[0][0]:h.Marks[0][1]] != "pangolin") {
			s.Errorf("the snippet %q is marked at %v", h.Snippet, h.Marks)
		}
	}
}

// order checks which documents a question finds first, and in which order.
func (s *suite) order(text string, want ...knowledge.Key) *knowledge.Hits {
	s.Helper()
	hits := s.search(knowledge.SearchQuery{Text: text})
	var got, wanted []string
	for i := range min(len(hits.Hits), len(want)) {
		got = append(got, hits.Hits[i].Record.Key.String())
	}
	for _, k := range want {
		wanted = append(wanted, k.String())
	}
	s.equal(fmt.Sprintf("the first hits of %q", text), wanted, got)
	return hits
}

func searchFields(s *suite) {
	s.put(Category(func(c *knowledge.Category) { c.ID, c.Name = "fieldwork", "Fieldwork" }))
	r := Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title, r.Tags = "FLD-001", "fieldwork", "Walrus", []string{"cold"}
	})
	p := Practice(func(p *knowledge.Practice) {
		p.PracticeID, p.Title, p.Tags = "fld-002", "Walrus", []string{"cold", "deep water"}
	})
	s.put(r, p)
	s.found("walrus", r.Key(), p.Key())
	s.found("walrus kind:rule", r.Key())
	s.found("walrus kind:practice", p.Key())
	s.found("walrus category:fieldwork", r.Key())
	s.found("tag:cold walrus", r.Key(), p.Key())
	s.found(`tag:"deep water"`, p.Key())
	s.found("tag:deep")
	s.found("walrus -tag:cold")
	s.found("walrus -kind:rule", p.Key())
	s.found("id:FLD-001", r.Key())
	s.found("id:fld-001", r.Key())
	s.found("id:fld-*", r.Key(), p.Key())
	s.found("walrus tag:col*", r.Key(), p.Key())
	s.found("tag:Cold walrus", r.Key(), p.Key())
	s.found("Tag:cold -tag:deep*", r.Key())
	s.found("walrus category:field*", r.Key())
	s.found("walrus -category:field*", p.Key())
	s.found("walrus kind:ru*", r.Key())
	s.found("walrus kind:walrus", r.Key(), p.Key()) // no kind, so it is a word
	s.order("FLD-001", r.Key())
}

func searchPages(s *suite) {
	const n = knowledge.MaxHits + 30
	docs := make([]knowledge.Document, n)
	for i := range docs {
		docs[i] = Rule(func(r *knowledge.Rule) {
			r.Title, r.Description = "Ubiquitous thing", strings.Repeat("ubiquitous ", 1+i%3)
		})
	}
	s.putAll(docs...)
	q := knowledge.SearchQuery{Text: "ubiquitous", Limit: 50}
	seen := map[knowledge.Key]bool{}
	for page := 0; ; page++ {
		hits := s.search(q)
		if hits.Total != n || hits.Bounded {
			s.Errorf("page %d: total %d, bounded %v, want %d", page, hits.Total, hits.Bounded, n)
		}
		for _, h := range hits.Hits {
			if seen[h.Record.Key] {
				s.Errorf("page %d shows %s again", page, h.Record.Key)
			}
			seen[h.Record.Key] = true
		}
		if q.Cursor = hits.Next; q.Cursor == "" || page > n {
			break
		}
	}
	if len(seen) != n {
		s.Errorf("the pages hold %d of %d hits", len(seen), n)
	}
	q.Cursor = s.search(knowledge.SearchQuery{Text: "ubiquitous", Limit: 50}).Next
	q.Text = "thing"
	_, err := s.s.Search(s.ctx, q)
	s.badQuery("another search's cursor", err, "/cursor")
}
