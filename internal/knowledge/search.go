package knowledge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// Bounds of a search.
const (
	DefaultHits   = 20
	MaxHits       = 100
	MaxSearchText = 8192 // bytes of the question
	// MaxConditions is the largest number of phrases, fields, alternatives, prefixes and exclusions in a query.
	MaxConditions = 32
	// MaxPaged is the largest number of hits that pages can reach.
	MaxPaged = 10_000
)

// A SearchQuery finds the documents that match a text best.
type SearchQuery struct {
	Text     string
	Kinds    []Kind // all of [SearchKinds] when empty
	Category string
	Tag      string
	Language string
	Severity string // rules
	Limit    int    // DefaultHits when 0
	Cursor   string // Hits.Next of the page before
	Facets   bool   // count the hits by kind, category, tag, language and severity
	Without  string // categories to leave out, as in [Query]; no other words are then suggested
	Literal  bool   // search words that no document has as typed, not similar ones
}

// How much of a query its best hit matches.
const (
	MatchedAll  = "all"
	MatchedMost = "most" // at least half of the words, weighted by rarity
	MatchedSome = "some"
	MatchedNone = "none" // there are no hits
)

// Hits is the answer to a search, the best first.
type Hits struct {
	Hits   []Hit
	Source Source
	Next   string // the cursor of the next page, "" on the last one
	// Total is the number of documents that match.
	Total int
	// Bounded is true if the query would have cost too much and was cut short: Total is a lower bound.
	Bounded bool
	Reading Reading
	Facets  []FacetCount // if requested
	At      LabelAt      // the label that the hits are as of; zero for now
	Memo    *Memo        // the encoded hits, if the cache keeps the answer; else nil
}

// A Reading says how a query was understood, and how far it was relaxed.
type Reading struct {
	// Matched says how much of the query the first hit matches: all, most or some of its words, or none.
	Matched string `json:"matched"`
	// Required are the words and conditions that every hit of the page contains.
	Required []string `json:"required"`
	// LeftOut are the words that were ignored, each with the reason.
	LeftOut []LeftOut `json:"left_out"`
	// SearchedFor are the words that no document contains, with their replacements.
	SearchedFor []Correction `json:"searched_for"`
	// AlsoSearched are the words for which others were looked for too, which count for less.
	AlsoSearched []Equivalent `json:"also_searched_for"`
	// Suggestions are words of the index that are similar to those that were not found.
	Suggestions []string `json:"suggestions"`
	// UnknownFields are the words before a colon that are no fields.
	UnknownFields []string `json:"unknown_fields"`
}

// Filled returns the reading with empty lists where it has none.
func (r Reading) Filled() Reading {
	fill := func(list *[]string) {
		if *list == nil {
			*list = []string{}
		}
	}
	fill(&r.Required)
	fill(&r.Suggestions)
	fill(&r.UnknownFields)
	if r.LeftOut == nil {
		r.LeftOut = []LeftOut{}
	}
	if r.SearchedFor == nil {
		r.SearchedFor = []Correction{}
	}
	if r.AlsoSearched == nil {
		r.AlsoSearched = []Equivalent{}
	}
	return r
}

// A LeftOut is a word that a search ignored.
type LeftOut struct {
	Word string `json:"word" doc:"The word"`
	Why  string `json:"why" doc:"Why it played no part" enum:"stop word,in no document,in most documents,too many words,optional condition"`
}

// Reasons to leave a word out.
const (
	whyStop     = "stop word"
	WhyUnknown  = "in no document"
	WhyCommon   = "in most documents"
	whyTooMany  = "too many words"
	WhyOptional = "optional condition" // an unmatched phrase within a long text
)

// A Correction is a word that was searched instead of another.
type Correction struct {
	Typed string `json:"typed" doc:"The word of the question, which no document has"`
	Used  string `json:"used" doc:"The word that was looked for"`
}

// An Equivalent is what was searched besides a word.
type Equivalent struct {
	Typed string   `json:"typed" doc:"The word of the question"`
	Used  []string `json:"used" doc:"What was looked for too, and counts for less"`
}

// A FacetCount says how many hits have a value.
type FacetCount struct {
	Facet string `json:"facet" doc:"What is counted" enum:"kind,category,tag,language,severity"`
	Value string `json:"value" doc:"Its value"`
	Count int    `json:"count" doc:"How many hits have it"`
}

// A Hit is a document that matched.
type Hit struct {
	Record *Record
	Score  float64 // greater is better; comparable within one answer only
	// Snippet is a part of the text around the words that were found, and Marks the byte ranges of the words in it.
	Snippet  string
	Marks    [][2]int
	Missing  []string // words of the query that the document lacks
	Title    string
	Severity string // of rules
}

// Cut reports whether the document's text goes on before and after the snippet, for those who show it to people.
func (h *Hit) Cut() (before, after bool) {
	doc, err := h.Record.Document()
	if err != nil {
		return false, false
	}
	t := doc.Text()
	for _, text := range []string{t.Lead, t.Body} {
		if lead, rest, ok := strings.Cut(text, h.Snippet); ok && h.Snippet != "" {
			return strings.TrimSpace(lead) != "", strings.TrimSpace(rest) != ""
		}
	}
	return false, false
}

// Head returns the answer without its hits.
func (h *Hits) Head() Hits {
	return Hits{
		Source: h.Source, Next: h.Next, Total: h.Total, Bounded: h.Bounded, Reading: h.Reading,
		Facets: h.Facets, At: h.At,
	}
}

// Check returns the query with its defaults filled in and its text parsed. The error is an [*InvalidError].
func (q SearchQuery) Check() (SearchQuery, *Question, error) {
	var f faults
	if len(q.Kinds) == 0 {
		q.Kinds = SearchKinds()
	}
	for _, k := range q.Kinds {
		if !slices.Contains(SearchKinds(), k) {
			f.add("/kind", "%q can't be searched: want one of %s", k, KindList(SearchKinds()))
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
	s, why := parseQuestion(q.Text, q.Literal)
	if why != "" {
		f.add("/q", "%s", why)
	}
	if _, ok := q.offset(); !ok {
		f.add("/cursor", "not a cursor of this search: take next of the page before, with the same question and "+
			"filters")
	}
	if s != nil && why == "" {
		s.narrow(&q)
	}
	if err := f.err(); err != nil {
		err.(*InvalidError).Query = true //nolint:errorlint // faults.err returns nothing else
		return q, nil, err
	}
	return q, s, nil
}

// Offset returns the number of hits before the page. The query must have been checked.
func (q SearchQuery) Offset() int {
	n, _ := q.offset()
	return n
}

func (q SearchQuery) offset() (int, bool) {
	if q.Cursor == "" {
		return 0, true
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || len(b) != 4+cursorSum || strings.ContainsAny(q.Cursor, "\r\n") {
		return 0, false
	}
	n := binary.BigEndian.Uint32(b)
	return int(n), n > 0 && n < MaxPaged && slices.Equal(b[4:], q.sum(b[:4]))
}

// NextCursor returns the cursor of the page after so many hits. It is only a count: a write between two pages may move
// a hit from one to the other.
func (q SearchQuery) NextCursor(after int) string {
	if after >= MaxPaged {
		return ""
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(after)) //nolint:gosec // below MaxPaged
	return base64.RawURLEncoding.EncodeToString(append(b, q.sum(b)...))
}

// sum covers all fields that decide the hits and their order.
func (q SearchQuery) sum(place []byte) []byte {
	kinds := slices.Clone(q.Kinds)
	if len(kinds) == 0 {
		kinds = SearchKinds()
	}
	slices.Sort(kinds)
	h := sha256.New()
	h.Write([]byte(strings.Join([]string{"tenet search cursor 1", q.Text, q.Category, q.Tag, q.Language, q.Severity},
		"\x00")))
	for _, k := range kinds {
		h.Write([]byte("\x00" + k))
	}
	if q.Literal {
		h.Write([]byte("\x00literal"))
	}
	h.Write([]byte{0})
	h.Write(place)
	return h.Sum(nil)[:cursorSum]
}

// PageOf returns the hits of a page that fit into [MaxPageBytes]: the document that reaches it is the last one.
func PageOf(found []Found, records map[Key]*Record) []Found {
	bytes := 0
	for i := range found {
		if rec := records[found[i].Key]; rec != nil {
			bytes += len(rec.JSON)
		}
		if bytes >= MaxPageBytes {
			return found[:i+1]
		}
	}
	return found
}
