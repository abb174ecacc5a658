package sqlite

import (
	"database/sql"
	"slices"
	"strings"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// maxNeighbours is the largest number of words with one first letter that are compared with a misspelled word.
const maxNeighbours = 50_000

// maxCompared is the largest number of words of a question that are compared with those of the index.
const maxCompared = 16

// A correction is a list of words that replace a word that no document contains.
type correction struct {
	slot  int
	typed string
	words []string
}

// correct replaces words that no document contains by similar words of the index.
func (l *look) correct() error {
	if l.documents == 0 {
		return nil
	}
	if l.q.Without != "" { // a similar word may be one of what is hidden
		return nil
	}
	var terms []string
	for _, slot := range l.question.Doubtful() {
		word := l.question.Slots[slot].Word
		if l.frequency[slot] > 0 || !knowledge.Spellable(word) {
			continue
		}
		words, err := l.similar(word, "", knowledge.NewSpelling(word))
		if err == nil && len(words) == 0 {
			words, err = l.composed(word)
		}
		if err != nil {
			return err
		}
		if len(words) == 0 {
			continue
		}
		if l.q.Literal {
			l.suggestions = append(l.suggestions, words[:min(3, len(words))]...)
			continue
		}
		l.question.Replace(slot, words)
		l.fixed = append(l.fixed, correction{slot, word, words})
		terms = append(terms, l.question.Slots[slot].Words[0]...)
	}
	if len(terms) == 0 {
		return nil
	}
	have := map[string]bool{}
	for i := range l.lists {
		have[l.lists[i].term] = true
	}
	slices.Sort(terms)
	terms = slices.DeleteFunc(slices.Compact(terms), func(t string) bool { return have[t] })
	if len(terms) > 0 {
		if err := l.readLists(terms); err != nil {
			return err
		}
	}
	l.count()
	return nil
}

// similar returns the words of the index that are closest to a misspelled word; with a mark the values of a field.
func (l *look) similar(word, mark string, c *knowledge.Spelling) ([]string, error) {
	if l.compared++; l.compared > maxCompared {
		return nil, nil
	}
	first, size := utf8.DecodeRuneInString(word)
	starts := []string{mark + string(first)}
	// the first two letters may be swapped, or the first may be superfluous
	if second, _ := utf8.DecodeRuneInString(word[size:]); second != first {
		starts = append(starts, mark+string(second))
	}
	if mark != "" && !knowledge.ManyValues(mark) { // values keep their case
		starts = []string{mark}
	}
	for _, start := range starts {
		if err := l.compare(start, len(mark), c); err != nil {
			return nil, err
		}
	}
	for _, x := range l.entries {
		for i := range x.entry.Postings {
			if t := x.entry.Postings[i].Term; mark == "" && t[0] > 2 {
				c.Try([]byte(t))
			} else if value, ok := strings.CutPrefix(t, mark); ok && mark != "" {
				c.Try([]byte(value))
			}
		}
	}
	return c.Best(), nil
}

// compare compares a misspelled word with those of the index that begin with a text, of which some bytes are a mark.
func (l *look) compare(start string, mark int, c *knowledge.Spelling) error {
	if mark == 0 {
		if words, err := l.vocabulary(l.ctx); err != nil || !words.cut {
			if err == nil {
				for word := range words.beginning(start) {
					c.Try([]byte(word))
				}
			}
			return err
		}
	}
	from, to := prefixRange(start)
	return l.query(l.ctx, "search.similar", "SELECT term FROM search_terms WHERE term >= ? AND term < ? LIMIT ?",
		[]any{from, to, maxNeighbours},
		func(r *sql.Rows) error {
			var term sql.RawBytes
			if err := r.Scan(&term); err != nil {
				return err
			}
			c.Try(term[mark:])
			return nil
		})
}

// composed returns the words of the index that begin or end with a word that no document contains: Fehlerbehandlung for
// Behandlung.
func (l *look) composed(word string) ([]string, error) {
	c := knowledge.NewComposed(word)
	if l.compared++; c == nil || l.compared > maxCompared {
		return nil, nil
	}
	words, err := l.vocabulary(l.ctx)
	if err != nil {
		return nil, err
	}
	for term := range words.holding(c.Stem) {
		c.Try(term)
	}
	for _, x := range l.entries {
		for i := range x.entry.Postings {
			if t := x.entry.Postings[i].Term; t[0] > 2 {
				c.Try(t)
			}
		}
	}
	return c.Best(), nil
}

// corrections returns the words that were searched instead of others: those that the first hit contains, if it contains
// any.
func (l *look) corrections(masks []uint64) []knowledge.Correction {
	list := []knowledge.Correction{}
	for _, f := range l.fixed {
		used := f.words[0]
		for _, w := range f.words {
			if len(masks) > 0 && l.holds(l.page()[0].At, w) {
				used = w
				break
			}
		}
		list = append(list, knowledge.Correction{Typed: f.typed, Used: used})
	}
	return list
}

// holds reports whether a document contains a word exactly.
func (l *look) holds(number int64, word string) bool {
	if at, ok := slices.BinarySearch(l.numbers, number); ok {
		return slices.ContainsFunc(l.entries[at].entry.Postings,
			func(p knowledge.Posting) bool { return p.Term == word })
	}
	chunk, at := number>>chunkBits, number&(chunkSize-1)
	for i := range l.lists {
		if n := &l.lists[i]; n.chunk == chunk && n.term == word {
			for doc := range n.documents.all() {
				if int64(doc) == at {
					return true
				}
			}
		}
	}
	return false
}
