package knowledge

import (
	"slices"
	"sort"
	"strings"
)

// Look matches an entry, for stores that scan all documents. It returns the slots in it, those in its title, and the
// sum of their scores.
func (s *Scorer) Look(e *Entry) (mask, title uint64, sum float32) {
	sh := Shape{e.Title, e.Words}
	for i := range s.q.Slots {
		slot := &s.q.Slots[i]
		own := float32(0)
		if w, exact, ok := slot.in(e); ok {
			mask, own = mask|1<<i, s.Part(i, w, sh, exact)
			title |= w.titleBit(i)
		}
		for k, a := range slot.Also {
			if w, _, ok := (&Slot{Words: a.Words}).in(e); ok {
				mask, own = mask|1<<i, max(own, s.AlsoPart(i, k, w, sh))
				title |= w.titleBit(i)
			}
		}
		sum += own
	}
	return mask, title, sum
}

func (w Where) titleBit(slot int) uint64 {
	if w.InTitle() {
		return 1 << slot
	}
	return 0
}

// Holds reports whether an entry contains a slot, for stores that count; broadly, with a broader word too.
func (q *Question) Holds(slot int, e *Entry, broadly bool) bool {
	_, _, ok := q.Slots[slot].in(e)
	for _, a := range q.Slots[slot].Also {
		if !ok && (broadly || !a.Broad) {
			_, _, ok = (&Slot{Words: a.Words}).in(e)
		}
	}
	return ok
}

// in looks a slot up in an entry.
func (t *Slot) in(e *Entry) (w Where, exact, ok bool) {
	if len(t.Words) == 1 {
		for i, p := range t.postings(e, 0) {
			if !t.Title || p.Where.InTitle() {
				exact = exact || i == 0 && t.Prefix == "" && len(t.Words[0]) > 0 && p.Term == t.Words[0][0]
				w, ok = w.And(p.Where), true
			}
		}
		return w, exact, ok
	}
	var at []uint32
	for k := range t.Words {
		var next []uint32
		for _, p := range t.postings(e, k) {
			w |= p.Where
			for _, x := range p.Places {
				if k == 0 || has(at, x-1) {
					next = append(next, x)
				}
			}
		}
		slices.Sort(next)
		if at = next; len(at) == 0 {
			return 0, false, false
		}
	}
	if t.Title && at[0] >= titlePlaces {
		return 0, false, false
	}
	if at[0] >= titlePlaces {
		w &^= whereTitle
	}
	return w, false, true
}

func has(list []uint32, x uint32) bool {
	_, ok := slices.BinarySearch(list, x)
	return ok
}

// postings returns the postings of an entry for word k of a slot.
func (t *Slot) postings(e *Entry, k int) []*Posting {
	var list []*Posting
	for _, term := range t.Words[k] {
		if i, ok := e.find(term); ok {
			list = append(list, &e.Postings[i])
		}
	}
	if t.Prefix != "" && k == len(t.Words)-1 {
		i, _ := e.find(t.Prefix)
		for ; i < len(e.Postings) && strings.HasPrefix(e.Postings[i].Term, t.Prefix); i++ {
			list = append(list, &e.Postings[i])
			if k > 0 && len(e.Postings[i].Places) == 0 {
				if j, ok := e.find(inEnglish.mark() + newStemmer().stem(inEnglish, e.Postings[i].Term)); ok {
					list = append(list, &e.Postings[j])
				}
			}
		}
	}
	return list
}

func (e *Entry) find(term string) (int, bool) {
	return sort.Find(len(e.Postings), func(i int) int { return strings.Compare(term, e.Postings[i].Term) })
}

// Places returns the positions of a slot of one word in an entry.
func (q *Question) Places(slot int, e *Entry) []uint32 {
	var out []uint32
	for _, p := range q.Slots[slot].postings(e, 0) {
		out = append(out, p.Places...)
	}
	slices.Sort(out)
	return out
}

// PlaceInTitle reports whether a position is in the title.
func PlaceInTitle(place uint32) bool { return place < titlePlaces }

// Only returns where a phrase stands whose words stand there: in the title where that is known.
func (w Where) Only(title bool) Where {
	if !title {
		return w &^ whereTitle
	}
	return w
}
