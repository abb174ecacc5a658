package knowledge

import "math"

// hint sets the weight of a stop word. One in more than half of all documents neither decides nor costs.
func (s *Scorer) hint(slot, documents int, frequency []int) {
	if df := min(frequency[slot], documents); df <= documents/2 || documents < tooCommon {
		s.hints |= 1 << slot
		s.idf[slot] = hintWeight * math.Log(1+(float64(documents-df)+0.5)/(float64(df)+0.5))
	} else if s.titled&(1<<slot) == 0 {
		s.Common |= 1 << slot
	}
}

// Near returns the bonus for adjacent words. Places returns the positions of a slot in the document.
func (s *Scorer) Near(mask uint64, places func(slot int) []uint32) float64 {
	bonus, before, hints := 0.0, -1, s.q.hints
	var beside []int // the hints since the word before
	for i, w := range s.q.Wishes {
		for ; len(hints) > 0 && hints[0].before <= i; hints = hints[1:] {
			if at := hints[0].slot; mask&s.hints&(1<<at) != 0 {
				bonus += s.beside(before, at, places)
				beside = append(beside, at)
			}
		}
		if s.lead[i] == 0 || len(w.Whole) == 0 || mask&(1<<w.Whole[0]) == 0 || len(s.q.Slots[w.Whole[0]].Words) > 1 {
			before, beside = -1, nil
			continue
		}
		at := w.Whole[0]
		for _, h := range beside {
			bonus += s.beside(h, at, places)
		}
		bonus += s.beside(before, at, places)
		before, beside = at, nil
	}
	for _, h := range hints {
		if mask&s.hints&(1<<h.slot) != 0 {
			bonus += s.beside(before, h.slot, places)
		}
	}
	return bonus * (saturation + 1)
}

// beside returns what two words count that stand together; -1 is none.
func (s *Scorer) beside(before, at int, places func(slot int) []uint32) float64 {
	if before < 0 || at == before {
		return 0
	}
	switch gap := closest(places(before), places(at)); {
	case gap <= 1:
		return nearWeight * min(s.idf[before], s.idf[at])
	case gap <= 3:
		return nearWeight / 2 * min(s.idf[before], s.idf[at])
	}
	return 0
}

// NearSlots are the slots whose positions [Scorer.Near] may need.
func (s *Scorer) NearSlots() []int {
	var list []int
	for i, w := range s.q.Wishes {
		if s.lead[i] > 0 && len(w.Whole) > 0 && len(s.q.Slots[w.Whole[0]].Words) == 1 {
			list = append(list, w.Whole[0])
		}
	}
	if len(list) > 0 {
		for _, h := range s.q.hints {
			if s.hints&(1<<h.slot) != 0 {
				list = append(list, h.slot)
			}
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// closest is the smallest distance between two ascending lists; a pair in the order of the query counts one less than
// in the reverse order.
func closest(a, b []uint32) int {
	best, j := 1<<20, 0
	for _, x := range a {
		for j < len(b) && b[j] < x {
			j++
		}
		if j < len(b) {
			best = min(best, int(b[j]-x))
		}
		if j > 0 {
			best = min(best, int(x-b[j-1])+1)
		}
	}
	return best
}
