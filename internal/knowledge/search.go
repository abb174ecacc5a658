package knowledge

import (
	"iter"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a search.
const (
	DefaultHits    = 20
	MaxHits        = 100
	MaxSearchText  = 1024 // bytes of the question
	MaxSearchTerms = 32
	// MaxCandidates is how many matches, in house order, are ranked. What matches beyond them is not looked at, so that
	// a word that every document holds costs no more than a rare one.
	MaxCandidates = 500
)

// A SearchQuery asks for the documents that match a text best.
type SearchQuery struct {
	Text     string
	Kinds    []Kind // all of [SearchKinds] when empty
	Category string
	Tag      string
	Language string
	Severity string // rules
	Limit    int    // DefaultHits when 0
}

// Hits is the answer to a search, the best first.
type Hits struct {
	Hits   []Hit
	Source Source
	// Bounded is true when more than MaxCandidates documents matched: the first of them in house order were ranked.
	Bounded bool
	Memo    *Memo // the encoded hits, where the answer stays in memory; nil elsewhere
}

// A Hit is a document that matched.
type Hit struct {
	Record *Record
	Score  float64 // greater is better; comparable within one answer only
	// Snippet is a part of the text around the first match, and Marks the byte ranges of the matched words in it.
	Snippet string
	Marks   [][2]int
}

// A Term is one condition of a search: the words stand next to each other (one word: anywhere).
type Term struct {
	Words  []string // lower case, letters and digits only
	Prefix bool     // the last word is the beginning of a word
	Not    bool
	Title  bool // only in the title
}

// A Search is a parsed question: every group must match; a group matches when one of its terms does. Terms with Not stand
// in groups of their own. At least one group is positive.
type Search struct{ Groups [][]Term }

// Check returns the query with its defaults filled in and its text parsed. The error is an [*InvalidError].
func (q SearchQuery) Check() (SearchQuery, *Search, error) {
	var f faults
	if len(q.Kinds) == 0 {
		q.Kinds = SearchKinds()
	}
	for _, k := range q.Kinds {
		if !slices.Contains(SearchKinds(), k) {
			f.add("/kind", "%q can't be searched: want rule, practice, template or category", k)
		}
	}
	f.short("/category", q.Category)
	f.short("/tag", q.Tag)
	f.short("/language", q.Language)
	if q.Severity != "" {
		f.oneOf("/severity", q.Severity, Severities())
	}
	if q.Limit == 0 {
		q.Limit = DefaultHits
	}
	if q.Limit < 1 || q.Limit > MaxHits {
		f.add("/limit", "%d: want 1 to %d", q.Limit, MaxHits)
	}
	s, why := parseSearch(q.Text)
	if why != "" {
		f.add("/q", "%s", why)
	}
	if err := f.err(); err != nil {
		err.(*InvalidError).Query = true //nolint:errorlint,forcetypeassert // faults.err returns nothing else
		return q, nil, err
	}
	return q, s, nil
}

// parseSearch reads words, "a phrase", -not, OR, prefix* and title:word. Anything else that is no letter or digit
// separates words.
func parseSearch(text string) (*Search, string) {
	if len(text) > MaxSearchText {
		return nil, "too long: at most 1024 bytes"
	}
	if why := TextFault(text); why != "" {
		return nil, why
	}
	var s Search
	terms, or := 0, false
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		if after, ok := strings.CutPrefix(rest, "OR"); ok && (after == "" || unicode.IsSpace(rune(after[0]))) {
			or = len(s.Groups) > 0
			rest = after
			continue
		}
		var t Term
		var ok bool
		if t, rest, ok = nextTerm(rest); !ok {
			continue
		}
		if terms++; terms > MaxSearchTerms {
			return nil, "too many words: at most 32"
		}
		last := len(s.Groups) - 1
		if or && !t.Not && !s.Groups[last][0].Not {
			s.Groups[last] = append(s.Groups[last], t)
		} else {
			s.Groups = append(s.Groups, []Term{t})
		}
		or = false
	}
	if !slices.ContainsFunc(s.Groups, func(g []Term) bool { return !g[0].Not }) {
		return nil, "want at least one word to look for"
	}
	return &s, ""
}

// nextTerm cuts the next term off a text that does not begin with a space; not ok when there was none in what it cut.
func nextTerm(rest string) (t Term, after string, ok bool) {
	if r, found := strings.CutPrefix(rest, "-"); found {
		t.Not, rest = true, r
	}
	if r, found := strings.CutPrefix(rest, "title:"); found && r != "" && !unicode.IsSpace(rune(r[0])) {
		t.Title, rest = true, r
	}
	var part string
	if r, found := strings.CutPrefix(rest, `"`); found {
		part, after, _ = strings.Cut(r, `"`)
	} else {
		end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
		if end < 0 {
			end = len(rest)
		}
		part, after = rest[:end], rest[end:]
	}
	t.Prefix = strings.HasSuffix(part, "*")
	t.Words = Words(part)
	return t, after, len(t.Words) > 0
}

// Words splits a text into its words: runs of letters, digits and marks, in lower case.
func Words(text string) []string {
	text = strings.ToLower(text)
	words := make([]string, 0, len(text)/7+1) // about as long as words are, with what parts them
	for word := range rawWords(text) {
		words = append(words, word)
	}
	return words
}

// rawWords are the words of a text in its own case.
func rawWords(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := -1
		for i := 0; i < len(text); {
			r, size := rune(text[i]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRuneInString(text[i:])
			}
			switch in := isWord(r); {
			case in && start < 0:
				start = i
			case !in && start >= 0:
				if !yield(text[start:i]) {
					return
				}
				start = -1
			}
			i += size
		}
		if start >= 0 {
			yield(text[start:])
		}
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// A Candidate is a match before it is ranked: what the first, cheap look needs.
type Candidate struct {
	Key   Key
	Rank  int64
	Title string
	Tags  string // tags and category, separated by spaces
}

// shortest is how many documents are read whole at least, so that the best of few hits are the best of many.
const shortest = 40

// Shortlist returns the indices of the candidates worth reading whole for the best limit of hits: twice as many, and at least
// shortest, best first. These are those with the most of the words in the title, then in the tags, then in house order. It is the
// same on every engine.
func (s *Search) Shortlist(list []Candidate, limit int) []int {
	type scored struct {
		i     int
		score float64
	}
	order := make([]scored, len(list))
	for i := range list {
		order[i] = scored{i, 3*s.share(list[i].Title) + s.share(list[i].Tags)}
	}
	slices.SortStableFunc(order, func(a, b scored) int {
		if a.score != b.score {
			return compareDown(a.score, b.score)
		}
		return compareHouse(&list[a.i], &list[b.i])
	})
	n := min(len(order), max(shortest, 2*limit))
	out := make([]int, 0, n)
	for _, o := range order[:n] {
		out = append(out, o.i)
	}
	return out
}

func compareDown(a, b float64) int {
	if a > b {
		return -1
	}
	return 1
}

func compareHouse(a, b *Candidate) int {
	if a.Rank != b.Rank {
		if a.Rank < b.Rank {
			return -1
		}
		return 1
	}
	if c := strings.Compare(a.Key.ID, b.Key.ID); c != 0 {
		return c
	}
	return strings.Compare(string(a.Key.Kind), string(b.Key.Kind))
}

// share is the part of the positive groups that some of a text's words satisfy.
func (s *Search) share(text string) float64 {
	groups, found := 0, 0
	for _, g := range s.Groups {
		if g[0].Not {
			continue
		}
		groups++
		for i := range g {
			if n, _ := g[i].in(text); n > 0 {
				found++
				break
			}
		}
	}
	return float64(found) / float64(groups)
}

// in is how often a term stands in a text, and how many words the text has.
func (t *Term) in(text string) (found, words int) {
	if len(t.Words) != 1 {
		all := Words(text)
		return t.count(all), len(all)
	}
	want := t.Words[0]
	for word := range rawWords(text) {
		words++
		if begins(word, want) && sameWord(strings.ToLower(word), want, t.Prefix) {
			found++
		}
	}
	return found, words
}

// count is how often a term stands among words.
func (t *Term) count(words []string) int {
	n := 0
	for i := 0; i+len(t.Words) <= len(words); i++ {
		hit := true
		for j, w := range t.Words {
			if !sameWord(words[i+j], w, t.Prefix && j == len(t.Words)-1) {
				hit = false
				break
			}
		}
		if hit {
			n++
		}
	}
	return n
}

// sameWord compares words as the engines' stemmers do, roughly: "tests", "tested" and "testing" are "test". It only
// ranks and marks; the engines decide what matches.
func sameWord(word, want string, prefix bool) bool {
	if word == want || prefix && strings.HasPrefix(word, want) {
		return true
	}
	// A stem is a beginning of its word, two letters at the least: nearly all words differ in these.
	return len(word) > 3 && len(want) > 3 && word[:2] == want[:2] && stem(word) == stem(want)
}

func stem(w string) string {
	for _, end := range []string{"ations", "ation", "ingly", "ments", "ment", "ings", "ing", "ies", "ied", "edly", "ed", "es", "s", "ly", "e", "y"} {
		if s, ok := strings.CutSuffix(w, end); ok && len(s) >= 3 {
			if n := len(s); end != "s" && end != "e" && s[n-1] == s[n-2] && s[n-1] != 's' && s[n-1] != 'l' {
				s = s[:n-1] // "running" and "run"
			}
			return s
		}
	}
	return w
}

// Weights of the parts of a document in its score, and the saturation of repeated words (k1 of BM25).
const (
	weightTitle = 8.0
	weightTags  = 4.0
	weightLead  = 2.0
	weightBody  = 1.0
	saturation  = 1.2
	meanWords   = 250.0 // a usual length; longer documents need more matches for the same score
)

// Rank orders the records of a shortlist and returns the best limit of them as hits with snippets. It is BM25 with field
// weights and without the rarity of words (which the shared ranking of two engines can't know), so the same records
// get the same order whatever engine they came from. Ties keep house order.
func (s *Search) Rank(records []*Record, limit int) ([]Hit, error) {
	hits := make([]Hit, 0, len(records))
	texts := make(map[*Record]Text, len(records))
	for _, r := range records {
		d, err := r.Document()
		if err != nil {
			return nil, err
		}
		t := d.Text()
		texts[r] = t
		hits = append(hits, Hit{Record: r, Score: s.score(&t)})
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		if a.Score != b.Score {
			return compareDown(a.Score, b.Score)
		}
		return compareHouse(&Candidate{Key: a.Record.Key, Rank: a.Record.Rank}, &Candidate{Key: b.Record.Key, Rank: b.Record.Rank})
	})
	hits = hits[:min(limit, len(hits))]
	for i := range hits {
		t := texts[hits[i].Record]
		hits[i].Snippet, hits[i].Marks = s.snippet(&t)
	}
	return hits, nil
}

func (s *Search) score(t *Text) float64 {
	total, tags := 0.0, strings.Join(t.Tags, " ")
	for _, g := range s.Groups {
		if g[0].Not {
			continue
		}
		best := 0.0
		for i := range g {
			term := &g[i]
			inTitle, title := term.in(t.Title)
			inLead, lead := term.in(t.Lead)
			inBody, body := term.in(t.Body)
			norm := saturation * (0.5 + 0.5*float64(title+lead+body)/meanWords)
			tf := weightTitle * float64(inTitle)
			if !term.Title {
				inTags, _ := term.in(tags)
				tf += weightTags*float64(inTags) + weightLead*float64(inLead) + weightBody*float64(inBody)
			}
			best = max(best, tf*(saturation+1)/(tf+norm))
		}
		total += best
	}
	return math.Round(total*1e6) / 1e6
}
