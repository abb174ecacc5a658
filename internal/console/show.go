package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A home is what the first page shows.
type home struct {
	Ready   bool
	Reasons []string
	Version string  // for who is known
	Shelves []shelf // for who is known
}

// A shelf is a kind with how many documents in use it has.
type shelf struct {
	Name  string
	About string
	Count string // with the word for what is counted
}

func (d *Door) home(ctx context.Context, v *view) (*home, error) {
	h := &home{Reasons: d.o.Ready(ctx)}
	h.Ready = len(h.Reasons) == 0
	if v.Caller == nil || !h.Ready {
		return h, nil
	}
	h.Version = d.o.Version
	for _, k := range knowledge.Described() {
		if k.Hidden {
			continue
		}
		q := knowledge.Query{Kind: k.Kind, Limit: 1, Total: true}
		name, one, many := k.Plural, string(k.Kind), k.Plural
		if k.Kind == knowledge.KindProposal { // the others wait for nobody
			q.Status, one, many = knowledge.ProposalOpen, "open "+one, "open "+many
			name += "?" + url.Values{"status": {q.Status}}.Encode()
		}
		page, err := d.o.Store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		h.Shelves = append(h.Shelves, shelf{name, k.About, knowledge.Count(page.Total, one, many)})
	}
	return h, nil
}

// capital returns a text with a capital at its start.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// sentence returns a message of the program as a sentence of a page. One that begins with a key such as rule/SEC-001
// keeps it as it is.
func sentence(text string) string {
	if first, _, _ := strings.Cut(text, " "); !strings.ContainsAny(first, "/:_") {
		text = capital(text)
	}
	if text == "" || strings.ContainsAny(text[len(text)-1:], ".!?:") {
		return text
	}
	return text + "."
}

// A line is a document on a list or among hits.
type line struct {
	Path, Key, Title string
	Marked           []piece // the part of its text that answers
	Notes            string  // category, severity
	Off              string  // why it is not in use
}

// A piece is a part of a text, which was searched for or not.
type piece struct {
	Text string
	Hit  bool
}

// A listing is a page of documents.
type listing struct {
	Plural string
	Lines  []line
	Total  int
	Next   string // the path of the next page
	All    string // the path of the same without filters, "" where there are none
	Said   []string
}

func (d *Door) list(r *http.Request, v *view, kind knowledge.Kind) (*listing, error) {
	form, filters := r.URL.Query(), url.Values{}
	for _, name := range []string{"category", "status"} {
		if value := form.Get(name); value != "" {
			filters.Set(name, value)
		}
	}
	category, status := filters.Get("category"), filters.Get("status")
	v.Title, v.Kind = capital(strings.TrimSpace(status+" "+kind.Plural())), string(kind)
	page, err := d.o.Store.List(r.Context(), knowledge.Query{
		Kind: kind, Total: true, Category: category, Status: status, Cursor: form.Get("cursor"),
	})
	if err != nil {
		return nil, err
	}
	l := &listing{Plural: kind.Plural(), Total: page.Total}
	if category != "" {
		v.Title += " of " + category
	}
	if len(filters) > 0 {
		l.All = readPath + kind.Plural()
	}
	records := page.Records
	if kind == knowledge.KindProposal {
		if records, err = store.NewestFirst(records); err != nil {
			return nil, err
		}
	}
	for _, rec := range records {
		doc, err := rec.Document()
		if err != nil {
			return nil, err
		}
		one := lineOf(rec, doc.Text().Title)
		one.Notes = strings.TrimSpace(standing(doc) + " " + one.Notes)
		l.Lines = append(l.Lines, one)
	}
	if page.Next != "" {
		filters.Set("cursor", page.Next)
		l.Next = readPath + kind.Plural() + "?" + filters.Encode()
	}
	return l, nil
}

// standing says how much a document weighs, or where it stands.
func standing(doc knowledge.Document) string {
	switch d := doc.(type) {
	case *knowledge.Rule:
		return d.Severity + " " + d.Enforcement
	case *knowledge.Proposal:
		return d.State
	}
	return ""
}

func lineOf(rec *knowledge.Record, title string) line {
	l := line{
		Path: readPath + string(rec.Key.Kind) + "/" + url.PathEscape(rec.Key.ID), Key: rec.Key.String(),
		Title: title, Notes: rec.Category,
	}
	if !rec.Active {
		l.Off = knowledge.Describe(rec.Key.Kind).Off
	}
	return l
}

func (d *Door) search(r *http.Request, v *view) (*listing, error) {
	form := r.URL.Query()
	v.Query, v.Title = form.Get("q"), "Search"
	if strings.TrimSpace(v.Query) == "" {
		return &listing{Said: []string{"Type what you look for, as you would ask."}}, nil
	}
	q := knowledge.SearchQuery{Text: v.Query, Cursor: form.Get("cursor")}
	if kind := form.Get("kind"); kind != "" {
		k, err := knowledge.ParseKind(kind)
		if err != nil {
			return nil, knowledge.BadQuery("kind", "%s", err)
		}
		q.Kinds, v.Kind = []knowledge.Kind{k}, string(k)
	}
	found, err := d.o.Store.Search(r.Context(), q)
	if err != nil {
		return nil, err
	}
	l := &listing{Total: found.Total, Said: said(&found.Reading)}
	for i := range found.Hits {
		hit := &found.Hits[i]
		one := lineOf(hit.Record, hit.Title)
		one.Marked, one.Notes = marked(hit), strings.TrimSpace(hit.Severity+" "+one.Notes)
		l.Lines = append(l.Lines, one)
	}
	if found.Bounded {
		l.Said = append(l.Said, "Not everything was looked at, since the question would have cost too much.")
	}
	if len(found.Hits) == 0 {
		l.Said = slices.Insert(l.Said, 0, "Nothing matches.")
	}
	if found.Next != "" {
		next := url.Values{"q": {v.Query}, "cursor": {found.Next}}
		if v.Kind != "" {
			next.Set("kind", v.Kind)
		}
		l.Next = searchPath + "?" + next.Encode()
	}
	return l, nil
}

// said tells how a question was understood where that is not as it was typed.
func said(r *knowledge.Reading) []string {
	var list []string
	for _, c := range r.SearchedFor {
		list = append(list, "Searched for “"+c.Used+"”, since no document holds “"+c.Typed+"”.")
	}
	for _, e := range r.AlsoSearched {
		list = append(list, "For “"+e.Typed+"” also searched for "+strings.Join(e.Used, ", ")+".")
	}
	for _, word := range r.Suggestions {
		list = append(list, "There is “"+word+"”.")
	}
	if r.Matched == knowledge.MatchedMost || r.Matched == knowledge.MatchedSome {
		list = append(list, "No document holds all of these words: these hold "+r.Matched+" of them.")
	}
	return list
}

// marked cuts a text into what was searched for and what lies between.
func marked(hit *knowledge.Hit) []piece {
	var list []piece
	before, after := hit.Cut()
	if before {
		list = append(list, piece{Text: "…"})
	}
	text, at := hit.Snippet, 0
	for _, m := range hit.Marks {
		if m[0] < at || m[1] > len(text) || m[0] > m[1] {
			continue
		}
		list = append(list, piece{Text: text[at:m[0]]}, piece{Text: text[m[0]:m[1]], Hit: true})
		at = m[1]
	}
	if list = append(list, piece{Text: text[at:]}); after {
		list = append(list, piece{Text: "…"})
	}
	return list
}

// A sheet is a document as a page shows it.
type sheet struct {
	Key    string
	Plural string
	Off    string
	Text   value
	Fields []field
	Within []shelf // of a category, the documents in it
	Past   []past  // the newest changes
	Older  bool    // there are more changes than these
}

// A past is a change of a document.
type past struct {
	Version             int64
	Verb, By, At, About string
}

// pastShown is how many changes of a document its page shows.
const pastShown = 20

// past adds the newest changes of a document to its page.
func (d *Door) past(ctx context.Context, s *sheet, key knowledge.Key) error {
	changes, err := d.o.Store.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: pastShown})
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		s.Past = append(s.Past, past{c.Version, string(c.Verb), c.Actor, c.At.Format("2006-01-02 15:04"), c.Message})
	}
	s.Older = len(changes) > 0 && changes[len(changes)-1].Version > 1
	return nil
}

// within adds to the page of a category how many documents of each kind it has.
func (d *Door) within(ctx context.Context, s *sheet, key knowledge.Key) error {
	if key.Kind != knowledge.KindCategory {
		return nil
	}
	for _, kind := range knowledge.SearchKinds() {
		if !knowledge.Describe(kind).HasCategory() {
			continue
		}
		page, err := d.o.Store.List(ctx, knowledge.Query{Kind: kind, Category: key.ID, Limit: 1, Total: true})
		if err != nil {
			return err
		}
		if page.Total > 0 {
			s.Within = append(s.Within, shelf{
				Name:  kind.Plural() + "?" + url.Values{"category": {key.ID}}.Encode(),
				Count: knowledge.Count(page.Total, string(kind), kind.Plural()),
			})
		}
	}
	return nil
}

// A field is a field of a document with its value for people.
type field struct {
	Name, Doc string
	value
}

// A value is what a field holds: a text, which may be of several lines, fields of its own, or a list of those.
type value struct {
	Text   string
	Long   bool // of several lines
	Prose  bool // in words; any other text of several lines is shown as code
	Fields []field
	List   []value
}

// prose reports whether a field holds sentences, which people write in lines of any length.
func prose(name string) bool {
	switch name {
	case "description", "implementation_guide", "why", "message", "fix", "note", "comment", "violations_consequence",
		"waiver_reason", "reason":
		return true
	}
	return false
}

func (v *value) empty() bool { return v.Text == "" && len(v.Fields) == 0 && len(v.List) == 0 }

func (d *Door) document(ctx context.Context, v *view, key knowledge.Key) (*sheet, error) {
	rec, err := d.o.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	doc, err := rec.Document()
	if err != nil {
		return nil, err
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(rec.JSON, &values); err != nil {
		return nil, err
	}
	described := knowledge.Describe(key.Kind)
	s := &sheet{Key: key.String(), Plural: described.Plural}
	if !rec.Active {
		s.Off = described.Off
	}
	v.Title = doc.Text().Title
	for _, f := range knowledge.FieldsOf(key.Kind) {
		raw, ok := values[f.Name]
		if !ok || f.Name == described.TitleField {
			continue
		}
		value, err := readable(raw)
		value.Prose = prose(f.Name)
		switch {
		case err != nil:
			return nil, err
		case value.empty():
		case f.Name == described.TextField:
			s.Text = value
			s.Text.Long = true
		default:
			s.Fields = append(s.Fields, field{f.Name, f.Doc, value})
		}
	}
	if err := d.within(ctx, s, key); err != nil {
		return nil, err
	}
	return s, d.past(ctx, s, key)
}

// readable returns a value of JSON for people, without what says nothing.
func readable(raw json.RawMessage) (value, error) {
	var v value
	dec := json.NewDecoder(bytes.NewReader(raw))
	first, err := dec.Token()
	if err != nil {
		return v, fmt.Errorf("read a field: %w", err)
	}
	switch first {
	case json.Delim('{'):
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return v, fmt.Errorf("read a field: %w", err)
			}
			inner, err := next(dec)
			if err != nil {
				return v, err
			}
			if text, ok := name.(string); ok && !inner.empty() {
				inner.Prose = prose(text)
				v.Fields = append(v.Fields, field{Name: text, value: inner})
			}
		}
	case json.Delim('['):
		for dec.More() {
			inner, err := next(dec)
			if err != nil {
				return v, err
			}
			if !inner.empty() {
				v.List = append(v.List, inner)
			}
		}
		v.join()
	case nil:
	default:
		v.Text = strings.TrimSpace(string(raw))
		if text, ok := first.(string); ok {
			v.Text, v.Long = text, strings.Contains(text, "\n")
		}
	}
	return v, nil
}

// next returns the next value as [readable] does.
func next(dec *json.Decoder) (value, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return value{}, fmt.Errorf("read a field: %w", err)
	}
	return readable(raw)
}

// join makes one text of a list of short ones.
func (v *value) join() {
	texts := make([]string, len(v.List))
	for i, one := range v.List {
		if one.Text == "" || one.Long {
			return
		}
		texts[i] = one.Text
	}
	v.Text, v.List = strings.Join(texts, ", "), nil
}
