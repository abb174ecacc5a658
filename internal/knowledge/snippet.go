package knowledge

import (
	"iter"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of snippets.
const (
	snippetBytes = 200     // the approximate length of one
	snippetText  = 1 << 16 // the part of a text that is searched for it
	snippetMarks = 500     // the largest number of words marked
)

// A marker finds the words of a query in texts.
type marker struct {
	terms    map[string]uint64 // the slots that a term matches
	prefixes []prefixMark
	phrases  []*Slot
	slots    []int     // of the phrases
	first    [256]bool // how those begin
	starts   [256]bool // how the words of the phrases begin
	stems    stemmer
	tongues  bool

	text  string
	last  []piece
	marks []mark
}

type prefixMark struct {
	text string
	slot uint64
}

type mark struct {
	from, to int
	slots    uint64
}

// newMarker returns a marker for the words of a query.
func (q *Question) newMarker() *marker {
	m := &marker{terms: map[string]uint64{}, stems: newStemmer(), tongues: q.tongue != inEnglish}
	wanted := uint64(0)
	for _, w := range q.Wishes {
		wanted |= maskOf(w.Whole) | maskOf(w.Parts)
	}
	for _, c := range q.Must {
		wanted |= maskOf(c.Any)
	}
	for _, c := range q.Not {
		wanted &^= maskOf(c.Any)
	}
	for i := range q.Slots {
		s := &q.Slots[i]
		m.tongues = m.tongues || !ascii(s.Word)
		if wanted&(1<<i) == 0 || s.Title || strings.HasPrefix(s.Prefix, "\x02") {
			continue
		}
		if len(s.Words) > 1 {
			m.follow(s, i)
		} else if s.Prefix != "" {
			m.prefixes = append(m.prefixes, prefixMark{s.Prefix, 1 << i})
			m.first[s.Prefix[0]] = true
		}
		m.learn(s.Words, 1<<i, len(s.Words) == 1 && s.Prefix == "")
		for k := range s.Also {
			words := s.Also[k].Words
			if m.learn(words, 1<<i, len(words) == 1); len(words) > 1 {
				m.follow(&Slot{Words: words}, i)
			}
		}
	}
	return m
}

// follow notes a phrase of a slot.
func (m *marker) follow(phrase *Slot, slot int) {
	m.phrases, m.slots = append(m.phrases, phrase), append(m.slots, slot)
	if phrase.Prefix != "" {
		m.starts[phrase.Prefix[0]] = true
	}
	for _, terms := range phrase.Words {
		for _, t := range terms {
			if bare := strings.TrimPrefix(t, stemMark); bare == t {
				m.starts[t[0]] = true
			} else if len(bare) > 1 { // behind the language
				m.starts[bare[1]] = true
			}
		}
	}
}

// learn notes how the words of a slot begin, and with alone that each of its terms stands for it.
func (m *marker) learn(words [][]string, slot uint64, alone bool) {
	for _, terms := range words {
		for _, t := range terms {
			bare := strings.TrimPrefix(t, stemMark)
			if t[0] == 2 || len(bare) < 2 {
				continue
			}
			if alone {
				m.terms[t] |= slot
			}
			if bare != t {
				bare = bare[1:]
			}
			m.first[bare[0]] = true
		}
	}
}

// find returns the places in a text where words of the query occur.
func (m *marker) find(text string) []mark {
	m.text, m.last, m.marks = text, m.last[:0], nil
	if len(m.terms)+len(m.prefixes)+len(m.phrases) > 0 {
		(&scanner{emit: m.piece}).scan(text)
	}
	return m.marks
}

func (m *marker) piece(p *piece) {
	if len(m.marks) >= snippetMarks {
		return
	}
	if p.words == 1 && len(m.phrases) > 0 {
		m.phrase(p)
	}
	c := p.text[0]
	if c < utf8.RuneSelf && !m.first[c] {
		return
	}
	if slots := m.slotsOf(p.text, p.gram); slots != 0 {
		m.add(p.from, p.to, slots)
	}
}

// slotsOf returns the slots that a word matches.
func (m *marker) slotsOf(word string, gram bool) uint64 {
	if gram {
		return m.terms[word] | m.beginning(word)
	}
	slots := uint64(0)
	for t := range m.termsOf(word) {
		slots |= m.terms[t]
		if t[0] >= ' ' {
			slots |= m.beginning(t)
		}
	}
	return slots
}

// termsOf yields the terms that a word of a text may stand under in the index: see [forms.find].
func (m *marker) termsOf(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, word := range []string{fold(text), spelled(text)} {
			if word = clip(word); word == "" {
				continue
			}
			if !yield(word) || !yield(inEnglish.mark()+m.stems.stem(inEnglish, word)) {
				return
			}
			if !m.tongues && ascii(text) {
				continue
			}
			for l := inGerman; l < tongues; l++ {
				if !yield(l.mark() + m.stems.stem(l, word)) {
					return
				}
			}
		}
	}
}

func (m *marker) beginning(word string) uint64 {
	var slots uint64
	for _, p := range m.prefixes {
		if strings.HasPrefix(word, p.text) {
			slots |= p.slot
		}
	}
	return slots
}

// phrase checks whether a phrase ends with a word.
func (m *marker) phrase(p *piece) {
	if n := len(m.last); n > 0 && m.last[n-1].at == p.at {
		return
	}
	if m.last = append(m.last, *p); len(m.last) > 32 {
		m.last = append(m.last[:0], m.last[16:]...)
	}
	for i, s := range m.phrases {
		n := len(s.Words)
		if len(m.last) < n {
			continue
		}
		if list := m.last[len(m.last)-n:]; m.stands(s, list) {
			m.add(list[0].from, list[n-1].to, 1<<m.slots[i])
		}
	}
}

// stands reports whether words are a phrase.
func (m *marker) stands(s *Slot, list []piece) bool {
	for k := range list { // most words begin otherwise, and finding a stem takes long
		if c := list[k].text[0]; c < utf8.RuneSelf && !m.starts[c] {
			return false
		}
	}
	for k := range s.Words {
		prefix, ok := "", false
		if k == len(s.Words)-1 {
			prefix = s.Prefix
		}
		for t := range m.termsOf(list[k].text) {
			ok = ok || slices.Contains(s.Words[k], t) || prefix != "" && strings.HasPrefix(t, prefix)
		}
		if !ok {
			return false
		}
	}
	return true
}

// add marks a range. If ranges overlap, the first and longer one stays.
func (m *marker) add(from, to int, slots uint64) {
	for len(m.marks) > 0 {
		l := &m.marks[len(m.marks)-1]
		switch {
		case l.to <= from:
			m.marks = append(m.marks, mark{from, to, slots})
			return
		case l.from >= from: // the new one covers it
			slots |= l.slots
			to = max(to, l.to)
			m.marks = m.marks[:len(m.marks)-1]
		default:
			l.slots |= slots
			l.to = max(l.to, to)
			return
		}
	}
	m.marks = append(m.marks, mark{from, to, slots})
}

// Snippet cuts the part out of a document's description, or the rest of its text, that shows the most words of the
// question, or else the beginning of the description. The marks are the words' byte ranges.
func (q *Question) Snippet(t *Text, m *marker) (string, [][2]int) {
	lead, body := head(t.Lead, snippetText), head(t.Body, snippetText)
	inLead := m.find(lead)
	best, n := densest(inLead)
	if wanted := len(q.Wishes) + len(q.Must); n < wanted || n == 0 {
		inBody := m.find(body)
		if b, more := densest(inBody); more > n {
			return cut(body, inBody[b:])
		}
	}
	if n > 0 {
		return cut(lead, inLead[best:])
	}
	if lead != "" {
		return cut(lead, nil)
	}
	return cut(body, nil)
}

// densest returns the mark at which a snippet begins that shows the most different words, and their number.
func densest(marks []mark) (best, most int) {
	for i := range marks {
		var seen uint64
		for j := i; j < len(marks) && marks[j].to-marks[i].from <= snippetBytes*3/4; j++ {
			seen |= marks[j].slots
		}
		if n := bits.OnesCount64(seen); n > most {
			best, most = i, n
		}
	}
	return best, most
}

func cut(text string, marks []mark) (string, [][2]int) {
	from := 0
	if len(marks) > 0 {
		from = max(0, marks[0].from-snippetBytes/4)
	}
	if from > 0 {
		if i := strings.IndexAny(text[from:marks[0].from], " \n"); i >= 0 {
			from += i + 1
		}
	}
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	to := min(len(text), from+snippetBytes)
	if to < len(text) {
		if i := strings.LastIndexAny(text[from:to], " \n"); i > snippetBytes/2 {
			to = from + i
		}
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	kept := [][2]int{}
	for _, m := range marks {
		if m.from >= from && m.to <= to {
			kept = append(kept, [2]int{m.from - from, m.to - from})
		}
	}
	return text[from:to], kept
}

// Hits builds the hits of a page, with snippets and missing words.
func (s *Scorer) Hits(found []Found, records map[Key]*Record) ([]Hit, error) {
	m := s.q.newMarker()
	hits := make([]Hit, 0, len(found))
	for i := range found {
		rec := records[found[i].Key]
		if rec == nil {
			continue
		}
		doc, err := rec.Document()
		if err != nil {
			return nil, err
		}
		t := doc.Text()
		h := Hit{Record: rec, Score: found[i].Score, Missing: s.Missing(found[i].Mask)}
		h.Snippet, h.Marks = s.q.Snippet(&t, m)
		h.Title = t.Title
		if r, ok := doc.(*Rule); ok {
			h.Severity = r.Severity
		}
		hits = append(hits, h)
	}
	return hits, nil
}
