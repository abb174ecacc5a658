package sqlite

import (
	"cmp"
	"database/sql"
	"maps"
	"math"
	"slices"
)

// A list holds the documents of a chunk that contain a term.
type list struct {
	chunk     int64
	term      string
	documents documentList
	n         int // of them
}

// ofTerms looks up the lists of each term in each chunk.
const ofTerms = " FROM json_each(?) t CROSS JOIN search_terms n ON n.term = t.value CROSS JOIN search_chunks c " +
	"CROSS JOIN search_words w ON w.number = (c.chunk << 32 | n.number)"

// readAll reads the lists of all terms of the query. Those of filters and exclusions are read whatever they take, but
// for beginnings: without one of them hits would be shown that must not be, or none.
func (l *look) readAll() error {
	if err := l.readBeginnings(); err != nil {
		return err
	}
	read := map[string]bool{}
	for i := range l.lists {
		read[l.lists[i].term] = true
	}
	var needed, others []string
	for i := range l.question.Slots {
		for _, words := range l.question.Slots[i].Spellings() {
			for _, term := range slices.Concat(words...) {
				switch {
				case read[term]:
				case l.question.Decides(i):
					needed = append(needed, term)
				default:
					others = append(others, term)
				}
			}
		}
	}
	slices.Sort(needed)
	needed = slices.Compact(needed)
	if len(l.chunks) > 0 && len(needed) > 0 {
		if _, err := l.readWithin(needed, math.MaxInt); err != nil {
			return err
		}
	}
	l.needed = len(l.lists)
	slices.Sort(others)
	return l.readLists(slices.DeleteFunc(slices.Compact(others), func(term string) bool {
		_, read := slices.BinarySearch(needed, term)
		return read
	}))
}

// readLists reads the lists of some terms, those of the rarest if they are too long together.
func (l *look) readLists(terms []string) error {
	if len(l.chunks) == 0 || len(terms) == 0 {
		return nil
	}
	room, before := l.f.opts.SearchBytes, len(l.lists)
	for i := range l.lists[l.needed:] {
		room -= len(l.lists[l.needed+i].documents)
	}
	fits, err := l.readWithin(terms, room)
	if err != nil || fits {
		return err
	}
	l.lists, l.bounded = l.lists[:before], true
	rare, common, err := l.byRarity(terms, room)
	if err != nil {
		return err
	}
	l.unread = append(l.unread, common...)
	if len(rare) == 0 {
		return nil
	}
	_, err = l.readWithin(rare, room)
	return err
}

// readWithin reads the lists of some terms, and reports whether they have no more than so many bytes.
func (l *look) readWithin(terms []string, room int) (fits bool, err error) {
	fits = true
	err = l.query(l.ctx, "search.lists", "SELECT c.chunk, n.term, w.documents"+ofTerms, []any{asJSON(terms)},
		func(r *sql.Rows) error {
			var n list
			var b sql.RawBytes
			if !fits {
				return nil
			}
			if err := r.Scan(&n.chunk, &n.term, &b); err != nil {
				return err
			}
			if room -= len(b); room < 0 {
				fits = false
				return nil
			}
			n.documents = slices.Clone(documentList(b))
			n.n = n.documents.len()
			l.lists = append(l.lists, n)
			return nil
		})
	return fits, err
}

// byRarity parts terms into those whose lists are the shortest, as many as have no more than so many bytes together,
// and the others.
func (l *look) byRarity(terms []string, room int) (rare, common []string, err error) {
	sizes := map[string]int{}
	err = l.query(l.ctx, "search.sizes", "SELECT n.term, octet_length(w.documents)"+ofTerms, []any{asJSON(terms)},
		func(r *sql.Rows) error {
			var term string
			var n int
			err := r.Scan(&term, &n)
			sizes[term] += n
			return err
		})
	terms = slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[a], sizes[b]), cmp.Compare(a, b))
	})
	for i, term := range terms {
		if room -= sizes[term]; room < 0 {
			return terms[:i], terms[i:], err
		}
	}
	return terms, nil, err
}

// count counts the documents of each slot. The count is approximate: removed documents count until their chunk is
// tidied.
func (l *look) count() {
	of := map[string]int{}
	for i := range l.lists {
		of[l.lists[i].term] += l.lists[i].n
	}
	l.frequency = make([]int, len(l.question.Slots))
	for i := range l.question.Slots {
		if l.frequency[i] = l.countSlot(i, of, false); l.frequency[i] == 0 {
			l.frequency[i] = l.countSlot(i, of, true)
		}
		if l.frequency[i] == 0 && l.notRead(i) { // it is no word that no document has
			l.frequency[i] = l.documents
		}
	}
}

// notRead reports whether a list of a slot was too long to be read.
func (l *look) notRead(slot int) bool {
	return slices.ContainsFunc(slices.Concat(l.question.Slots[slot].Words...), func(term string) bool {
		return slices.Contains(l.unread, term)
	})
}

// countSlot counts broader words only if broadly is set: they make no rare word common.
func (l *look) countSlot(i int, of map[string]int, broadly bool) int {
	s := &l.question.Slots[i]
	n := countWords(s.Words, of, s.Prefix != "")
	for _, a := range s.Also { // a common equivalent makes no word too common to count
		if a.Broad && !broadly {
			continue
		}
		also := countWords(a.Words, of, false)
		if len(a.Words) > 1 {
			also = (also + apart) / (apart + 1)
		}
		n = max(n, min(also, l.documents/2))
	}
	for _, x := range l.entries {
		if l.question.Holds(i, x.entry, broadly) {
			n++
		}
	}
	return min(n, l.documents)
}

// apart is about how many documents hold the words of an expression apart for each that holds them together.
const apart = 3

// countWords counts the documents that hold all of some adjacent words, at most: those of the rarest. The terms of a
// beginning add up.
func countWords(words [][]string, of map[string]int, beginning bool) int {
	n := -1
	for _, terms := range words {
		most := 0
		for _, t := range terms {
			if beginning {
				most += of[t]
			} else {
				most = max(most, of[t])
			}
		}
		if n < 0 || most < n {
			n = most
		}
	}
	return n
}
