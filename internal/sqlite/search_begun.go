package sqlite

import (
	"math"
	"slices"

	"tenet/internal/knowledge"
)

// The lists of all words that the beginnings of a question stand for take a part of what a search may read, or a
// question of the whole alphabet would read the whole index.
const (
	begunPart = 6
	// listBytes is what a list counts for beside its bytes: finding one takes as long as scoring so many.
	listBytes = 1 << 10
	// placedTimes is how often the bytes of a word in a phrase count, whose positions are read too.
	placedTimes = 4
	// begunAtOnce is the number of words whose lists are read before their bytes are counted.
	begunAtOnce = 16
)

// A begun is a word that beginnings stand for.
type begun struct {
	term   string
	placed bool // one of them is in a phrase
}

// readBeginnings reads the lists of the words that beginnings stand for, the first one of each beginning before the
// second one of any, as far as there is room. The beginnings forget the other words.
func (l *look) readBeginnings() error {
	words := l.begun()
	for room := l.f.opts.SearchBytes / begunPart; len(words) > 0 && len(l.chunks) > 0; {
		if room <= 0 {
			l.bounded = true
			l.forget(words)
			return nil
		}
		n, before := min(begunAtOnce, len(words)), len(l.lists)
		terms, times := make([]string, n), make(map[string]int, n)
		for i, w := range words[:n] {
			if terms[i], times[w.term] = w.term, 1; w.placed {
				times[w.term] = placedTimes
			}
		}
		if _, err := l.readWithin(terms, math.MaxInt); err != nil {
			return err
		}
		for i := range l.lists[before:] {
			list := &l.lists[before+i]
			room -= (listBytes + len(list.documents)) * times[list.term]
		}
		words = words[n:]
	}
	return nil
}

// begun returns the words that beginnings stand for, in the order in which they are read: those of filters and
// exclusions first.
func (l *look) begun() []begun {
	var words []begun
	at := map[string]int{}
	for _, decides := range []bool{true, false} {
		for turn, more := 0, true; more; turn++ {
			more = false
			for i := range l.question.Slots {
				list := beginningOf(&l.question.Slots[i])
				if turn >= len(list) || l.question.Decides(i) != decides {
					continue
				}
				more = true
				k, seen := at[list[turn]]
				if !seen {
					k = len(words)
					at[list[turn]], words = k, append(words, begun{term: list[turn]})
				}
				words[k].placed = words[k].placed || len(l.question.Slots[i].Words) > 1
			}
		}
	}
	return words
}

// beginningOf returns the words that the beginning of a slot stands for, nothing for a slot without one.
func beginningOf(s *knowledge.Slot) []string {
	if s.Prefix == "" {
		return nil
	}
	return s.Words[len(s.Words)-1]
}

// forget removes words from those that beginnings stand for.
func (l *look) forget(words []begun) {
	gone := make(map[string]bool, len(words))
	for _, w := range words {
		gone[w.term] = true
	}
	for i := range l.question.Slots {
		s := &l.question.Slots[i]
		if list := beginningOf(s); len(list) > 0 {
			s.Words[len(s.Words)-1] = slices.DeleteFunc(list, func(term string) bool { return gone[term] })
		}
	}
}
