package sqlite

import (
	"database/sql"
	"iter"
	"math/bits"
	"slices"

	"tenet/internal/knowledge"
)

// A phrase is a spelling of several words in a chunk.
type phrase struct {
	spelling
	documents documentSet // those that hold all of the words, next to each other or not
	cursors   [][]cursor  // of the terms of each word
}

// phrases returns the phrases of the query that documents of a chunk may hold. Positions are read by one statement for
// all of them, and only where all the words of a phrase meet: the positions of common words are most of the index.
func (l *look) phrases(chunk int64, lists map[string]documentList) ([]phrase, error) {
	var found []phrase
	var terms []string
	for i := range l.question.Slots {
		if l.scorer.Common&(1<<i) != 0 {
			continue
		}
		for k, words := range l.question.Slots[i].Spellings() {
			if len(words) < 2 {
				continue
			}
			if set, some := holdAll(words, lists, l.question.Slots[i].Title); some {
				found = append(found, phrase{spelling: spelling{i, words, k - 1}, documents: set})
				terms = append(terms, slices.Concat(words...)...)
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	slices.Sort(terms)
	read := make(map[string]cursor, len(terms))
	err := l.query(l.ctx, "search.places", placesQuery, []any{asJSON(slices.Compact(terms)), chunk},
		func(r *sql.Rows) error {
			var term string
			var c cursor
			err := r.Scan(&term, (*[]byte)(&c.documents), (*[]byte)(&c.places))
			read[term] = c
			return err
		})
	for i := range found {
		p := &found[i]
		p.cursors = make([][]cursor, len(p.words))
		for k, terms := range p.words {
			for _, t := range terms {
				if c := read[t]; len(c.places) > 0 {
					p.cursors[k] = append(p.cursors[k], c)
				}
			}
		}
	}
	return found, err
}

// scanPhrase scores the documents in which the words of a phrase are adjacent.
func (l *look) scanPhrase(b *bench, p *phrase, shapes []byte) {
	title, bit := l.question.Slots[p.slot].Title, uint64(1)<<p.slot
	for doc := range p.documents.all() {
		places, where := p.at(b, doc)
		if len(places) == 0 {
			continue
		}
		inTitle := knowledge.PlaceInTitle(places[0])
		if title && !inTitle {
			continue
		}
		sh, _ := shapeAt(shapes, int(doc))
		b.score(doc, bit, inTitle, l.part(p.spelling, where.Only(inTitle), sh, false))
	}
}

// at returns the positions of the last word of the phrase in a document, and where its words stand. Documents are
// asked for in ascending order.
func (p *phrase) at(b *bench, doc uint16) (places []uint32, where knowledge.Where) {
	before, next := b.before[:0], b.next[:0]
	for k := range p.cursors {
		next = next[:0]
		for j := range p.cursors[k] {
			w, own := p.cursors[k][j].at(doc)
			if len(own) == 0 {
				continue
			}
			where |= w
			from := len(next)
			if next = own.decode(next); k > 0 {
				next = next[:from+following(before, next[from:])]
			}
		}
		if len(p.cursors[k]) > 1 {
			slices.Sort(next)
		}
		if before, next = next, before; len(before) == 0 {
			break
		}
	}
	b.before, b.next = before, next
	return before, where
}

// following keeps the positions that directly follow one of some others, and returns how many these are. Both lists are
// ascending.
func following(before, list []uint32) (n int) {
	j := 0
	for _, place := range list {
		for j < len(before) && before[j]+1 < place {
			j++
		}
		if j < len(before) && before[j]+1 == place {
			list[n] = place
			n++
		}
	}
	return n
}

// A documentSet is a set of documents of a chunk.
type documentSet [chunkSize / 64]uint64

// holdAll returns the documents that hold one of the terms of each word, in their title if that is wanted.
func holdAll(words [][]string, lists map[string]documentList, title bool) (all documentSet, some bool) {
	for k, terms := range words {
		var set documentSet
		for _, t := range terms {
			for at, w := range lists[t].all() {
				if !title || w.InTitle() {
					set[at/64] |= 1 << (at % 64)
				}
			}
		}
		if k == 0 {
			all = set
			continue
		}
		some = false
		for i := range all {
			all[i] &= set[i]
			some = some || all[i] != 0
		}
		if !some {
			return all, false
		}
	}
	return all, some
}

// all returns the documents in ascending order.
func (s *documentSet) all() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(uint16(i*64 + bits.TrailingZeros64(word))) { //nolint:gosec // below chunkSize
					return
				}
			}
		}
	}
}

// A cursor reads a list of documents with the positions of a term in each, in ascending order.
type cursor struct {
	documents documentList
	places    placeList
	last      uint16
}

// next returns the next document of the list.
func (c *cursor) next() (doc uint16, w knowledge.Where, own placeList, ok bool) {
	doc, w, rest, ok := c.documents.next(c.last)
	if !ok {
		return 0, 0, nil, false
	}
	c.documents, c.last = rest, doc
	own, c.places = c.places.cut()
	return doc, w, own, true
}

// at returns where a document holds the term; nothing if it does not, or if the term has no positions. Documents are
// asked for in ascending order.
func (c *cursor) at(doc uint16) (knowledge.Where, placeList) {
	for {
		ahead, w, rest, ok := c.documents.next(c.last)
		if !ok || ahead > doc {
			return 0, nil
		}
		var own placeList
		c.documents, c.last = rest, ahead
		if own, c.places = c.places.cut(); ahead == doc {
			return w, own
		}
	}
}
