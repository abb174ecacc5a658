package knowledge

import (
	"slices"
	"strings"
)

// A Doubt is a condition of a question, or one of its filters, that may have misspelled words.
type Doubt struct {
	Text  string // as it is shown
	Mark  string // what the terms of its field begin with; "" for words of the text
	Title bool   // only in the title
	Words []DoubtfulWord
}

// A DoubtfulWord is a word of a [Doubt].
type DoubtfulWord struct {
	Word     string
	Terms    []string // those of the index that match it
	from, to int      // bytes of the text
}

// With returns the condition with other words: others has one for each of its words, "" for those that stay.
func (d *Doubt) With(others []string) string {
	text := d.Text
	for i, other := range slices.Backward(others) {
		if w := d.Words[i]; other != "" {
			text = text[:w.from] + other + text[w.to:]
		}
	}
	return text
}

// Doubts returns the conditions of a question and its filters. Kinds and severities are checked elsewhere, and words of
// Chinese and other scripts without spaces can't be told to be misspelled.
func (q *Question) Doubts() []Doubt {
	var list []Doubt
	for _, c := range q.Must {
		for _, i := range c.Any {
			list = append(list, q.Slots[i].doubt())
		}
	}
	for _, c := range q.Filters {
		for _, i := range c.Any {
			for _, term := range q.Slots[i].Words[0] {
				if mark := markOf(term); mark != "" {
					value := term[len(mark):]
					list = append(list, Doubt{
						Text: value, Mark: mark, Words: []DoubtfulWord{{value, []string{term}, 0, len(value)}},
					})
				}
			}
		}
	}
	return list
}

// Terms returns the terms of the index that match a word.
func (q *Question) Terms(word string) []string { return q.terms(word, false) }

// markOf returns the mark of a value that may be misspelled.
func markOf(term string) string {
	for _, mark := range []string{markCategory, markTag, markLanguage, markID} {
		if strings.HasPrefix(term, mark) {
			return mark
		}
	}
	return ""
}

// ManyValues reports whether a field has about as many values as there are documents; they are in lower case.
func ManyValues(mark string) bool { return mark == markID }

func (t *Slot) doubt() Doubt {
	d := Doubt{Text: t.Word, Title: t.Title}
	if field, value, _ := t.Field(); field != "" {
		terms := append(slices.Clone(t.Words[0]), t.Prefix)
		at := strings.LastIndex(strings.ToLower(t.Word), strings.ToLower(value))
		if d.Mark = markOf(terms[0]); d.Mark != "" && at >= 0 {
			d.Words = []DoubtfulWord{{strings.ToLower(value), t.Words[0], at, min(at+len(value), len(t.Word))}}
		}
		return d
	}
	start := 0
	if t.Title {
		start = len("title:")
	}
	leaves := leavesOf(t.Word[start:])
	if len(leaves) != len(t.Words) {
		return d
	}
	for k, leaf := range leaves {
		if !leaf.gram {
			d.Words = append(d.Words, DoubtfulWord{leaf.text, t.Words[k], start + leaf.from, start + leaf.to})
		}
	}
	return d
}
