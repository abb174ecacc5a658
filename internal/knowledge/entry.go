package knowledge

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// IndexForm is the version of the index format. An index of another version must be rebuilt.
const IndexForm = 6

// rankForm is the version of the ranking.
const rankForm = 11

// SearchForm differs between releases that answer a search in different ways: answers that another one has saved are of
// no use.
func SearchForm() string { return fmt.Sprintf("%d %d %s", IndexForm, rankForm, equivalentsText) }

// An Entry is the index entry of a document.
type Entry struct {
	Postings []Posting // in the order of their terms
	Title    int       // words of the title
	Words    int       // of all the text
}

// A Posting says where a term occurs in a document.
type Posting struct {
	Term   string
	Where  Where
	Places []uint32 // ascending; none for a term without positions
}

// A Where says in which parts of a document a term occurs, and about how often: bit 7 the title, 6 the tags, 5 the id,
// two bits for the description, three for the rest.
type Where uint8

const (
	whereTitle Where = 1 << 7
	whereTags  Where = 1 << 6
	whereID    Where = 1 << 5
)

// And returns where one of two terms occurs: in the parts of both, and about as often as the more frequent one.
func (w Where) And(o Where) Where {
	return (w|o)&^(3<<3|7) | max(w&(3<<3), o&(3<<3)) | max(w&7, o&7)
}

// InTitle reports whether the term occurs in the title.
func (w Where) InTitle() bool { return w&whereTitle != 0 }

// First positions of the parts: a phrase never spans two parts.
const (
	titlePlaces = 1 << 10 // the title comes before this place
	partGap     = 16
)

// Prefixes of terms that are not words but values of filters.
const (
	markKind     = "\x02k:"
	markCategory = "\x02c:"
	markTag      = "\x02t:"
	markLanguage = "\x02l:"
	markSeverity = "\x02s:"
	markID       = "\x02i:"
	markPath     = "\x02p:"
)

// pathTerm returns the term of a path for the end of it, as roots differ: docs/errors.md for both of them. It returns
// "" for what is no path of a file in a directory.
func pathTerm(file string) string {
	dir, name := path.Split(strings.ToLower(file))
	name, _, _ = strings.Cut(name, ":") // a line follows
	dir = path.Base(dir)
	if strings.LastIndexByte(name, '.') < 1 || dir == "." || dir == "/" {
		return ""
	}
	return clip(markPath + dir + "/" + name)
}

// An indexer builds an entry.
type indexer struct {
	forms  *forms
	terms  map[string]*counts
	room   []counts // of the next terms
	tongue tongue
	part   uint8
	base   uint32
	last   uint32
	scan   scanner
}

type counts struct {
	where      Where
	lead, body int
	places     []uint32
}

const (
	partTitle uint8 = iota
	partID
	partTags
	partLead
	partBody
)

// NewEntry returns the index entry of a document.
func NewEntry(doc Document) *Entry {
	f := allForms.Get().(*forms) // the pool holds nothing else
	defer allForms.Put(f)
	return (&indexer{forms: f}).entry(doc)
}

// entry makes the entry of a document, the only one of this indexer.
func (x *indexer) entry(doc Document) *Entry {
	x.terms = make(map[string]*counts, 256)
	t := doc.Text()
	x.tongue = tongueOf(Words(t.Title + " " + head(t.Lead, 2000) + " " + head(t.Body, 2000)))
	x.scan.emit = x.add
	e := &Entry{}
	x.text(partTitle, t.Title)
	e.Title = x.scan.n
	x.begin(partID, titlePlaces)
	x.text(partID, doc.Key().ID)
	for _, tag := range t.Tags[min(1, len(t.Tags)):] {
		x.begin(partTags, x.last+partGap)
		x.text(partTags, tag)
	}
	x.begin(partLead, x.last+partGap)
	x.text(partLead, t.Lead)
	e.Words = x.scan.n
	x.begin(partBody, x.last+partGap)
	x.text(partBody, t.Body)
	e.Words += x.scan.n
	x.marks(doc)
	e.Postings = make([]Posting, 0, len(x.terms))
	for term, c := range x.terms {
		w := c.where | Where(bucket(c.lead, 3))<<3 | Where(bucket(c.body, 7)) //nolint:gosec // small numbers
		e.Postings = append(e.Postings, Posting{term, w, c.places})
	}
	slices.SortFunc(e.Postings, func(a, b Posting) int { return cmp.Compare(a.Term, b.Term) })
	return e
}

// head returns about the first n bytes of a text.
func head(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}

// bucket maps the number of occurrences of a word to a small number: 0, 1, 2, then one more for each doubling.
func bucket(n, most int) int {
	b := n
	if n > 2 {
		for b = 3; n > 4; n = (n + 1) / 2 {
			b++
		}
	}
	return min(b, most)
}

// begin starts another part of the document.
func (x *indexer) begin(part uint8, base uint32) {
	x.part, x.base, x.last = part, base, base
	x.scan.n = 0
}

func (x *indexer) text(part uint8, text string) {
	x.part = part
	x.scan.scan(text)
	x.last = x.base + uint32(x.scan.n) //nolint:gosec // a document is smaller
}

// add adds a piece of text.
func (x *indexer) add(p *piece) {
	at := x.base + uint32(p.at) //nolint:gosec // a document is smaller
	if p.gram || p.words > 1 && len(p.text) > maxCompound {
		x.put(p.text, at)
		return
	}
	tongue := x.tongue
	if p.words > 1 {
		tongue = inEnglish
	}
	for _, f := range x.forms.of(tongue, p.text) {
		if f.placed {
			x.put(f.term, at)
		} else {
			x.count(f.term)
		}
	}
}

func (x *indexer) put(term string, at uint32) {
	c := x.count(term)
	if n := len(c.places); n == 0 || c.places[n-1] < at {
		c.places = append(c.places, at)
	}
}

func (x *indexer) count(term string) *counts {
	term = clip(term)
	c := x.terms[term]
	if c == nil {
		if len(x.room) == 0 {
			x.room = make([]counts, 64)
		}
		c, x.room = &x.room[0], x.room[1:]
		x.terms[strings.Clone(term)] = c
	}
	switch x.part {
	case partTitle:
		c.where |= whereTitle
	case partID:
		c.where |= whereID
	case partTags:
		c.where |= whereTags
	case partLead:
		c.lead++
	case partBody:
		c.body++
	}
	return c
}

// marks adds the values of filters.
func (x *indexer) marks(doc Document) {
	x.part = partTags
	list, common := filterTerms(doc)
	for _, m := range list {
		x.terms[m] = &counts{}
	}
	if common == nil {
		return
	}
	from, _ := common.Extra[ImportedFrom].(map[string]any)
	if file, _ := from["path"].(string); file != "" {
		if term := pathTerm(file); term != "" {
			x.terms[term] = &counts{where: whereID} // it names the document
		}
	}
}

// ImportedFrom is the key of extra that says from which source and path a document came.
const ImportedFrom = "imported_from"

// filterTerms returns the terms by which filters find a document, and what documents share if it has that.
func filterTerms(doc Document) ([]string, *Common) {
	key := doc.Key()
	list := []string{markKind + string(key.Kind), markID + strings.ToLower(key.ID)}
	add := func(mark, value string) {
		if value != "" {
			list = append(list, mark+value)
		}
	}
	var c *Common
	switch d := doc.(type) {
	case *Rule:
		c = &d.Common
		add(markSeverity, d.Severity)
	case *Practice:
		c = &d.Common
	case *Template:
		c = &d.Common
	case *Category:
		return list, nil
	}
	add(markCategory, doc.CategoryID())
	if c != nil {
		for _, tag := range c.Tags {
			add(markTag, tag)
		}
		for _, l := range c.Scope.Languages {
			add(markLanguage, l)
		}
	}
	return list, c
}

// maxTerm is the length, in bytes, of the longest term; longer words are cut.
const maxTerm = 128

// clip cuts a term that is too long.
func clip(term string) string {
	if len(term) <= maxTerm {
		return term
	}
	return strings.ToValidUTF8(term[:maxTerm], "")
}
