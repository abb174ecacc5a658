package knowledge

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what counts as a typing error.
const (
	shortestSpelled = 4
	longestOneError = 7 // up to this length only one error is allowed, not two
	sureHead        = 6 // letters at the beginning after which a long word may have one error more
	maxCorrections  = 5
)

// Spellable reports whether a word may be misspelled. Names and numbers are never corrected.
func Spellable(word string) bool {
	n := 0
	for _, r := range word {
		if !unicode.IsLetter(r) && r != '-' && r != '_' && r != '.' || denseScript(r) {
			return false
		}
		n++
	}
	return n >= shortestSpelled && n <= maxCompound
}

// A Spelling collects the words that are closest to one word.
type Spelling struct {
	word   []rune
	head   []byte // its first letters
	dotted bool
	value  bool // of a field, which may have any signs
	limit  int
	best   []candidate
	rows   [3][]int
	other  []rune // room for the word that is compared
}

type candidate struct {
	word     string
	distance int
	head     bool // the first letters are the same
	swapped  bool // it has the same letters, two neighbours swapped
}

// NewSpelling returns a spelling for a word.
func NewSpelling(word string) *Spelling {
	s := &Spelling{word: []rune(fold(word)), limit: 1}
	if len(s.word) > longestOneError {
		s.limit = 2
	}
	s.dotted = strings.Contains(word, ".")
	s.head = []byte(string(s.word[:min(sureHead, len(s.word))]))
	for i := range s.rows {
		s.rows[i] = make([]int, maxCompound+4)
	}
	return s
}

// NewValueSpelling returns a spelling for the value of a field, such as an id.
func NewValueSpelling(value string) *Spelling {
	s := NewSpelling(clip(strings.ToLower(value)))
	s.value, s.dotted = true, false
	return s
}

// Try compares a word.
func (s *Spelling) Try(term []byte) {
	limit := s.limit
	if len(s.word) > sureHead+2 && bytes.HasPrefix(term, s.head) {
		limit++
	}
	if d := utf8.RuneCount(term) - len(s.word); d > limit || -d > limit {
		return
	}
	other := s.other[:0] // of the thousands of words few come further
	for _, r := range string(term) {
		other = append(other, r)
	}
	if s.value {
		other = []rune(fold(strings.ToLower(string(term))))
	}
	s.other = other
	if len(other) < shortestSpelled-1 || len(other) > maxCompound {
		return
	}
	moved := false
	d := s.distance(other, limit+1)
	if d == limit+1 && limit == 1 && rearranged(s.word, other) { // a letter at another place is one error, not two
		d, moved = limit, true
	}
	if d == 0 || d > limit {
		return
	}
	word := string(term)
	if s.dotted && !sameParts(string(s.word), word) {
		return
	}
	if !s.value && !Spellable(word) && len(other) >= shortestSpelled ||
		slices.ContainsFunc(s.best, func(c candidate) bool { return c.word == word }) {
		return
	}
	s.best = append(s.best, candidate{word, d, other[0] == s.word[0], !moved && rearranged(s.word, other)})
}

// sameParts reports whether two names with dots differ only in parts that are long enough to be misspelled: a.ts is not
// b.ts.
func sameParts(name, other string) bool {
	a, b := strings.Split(name, "."), strings.Split(other, ".")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && len(a[i]) < shortestSpelled {
			return false
		}
	}
	return true
}

// rearranged reports whether two words have the same letters, in another order.
func rearranged(a, b []rune) bool {
	return len(a) == len(b) && slices.Equal(slices.Sorted(slices.Values(a)),
		slices.Sorted(slices.Values(b)))
}

// Best returns the closest words, at most five; only those with the letters of the word, if there are any. Of stop
// words, which say nothing about what is looked for, it returns none.
func (s *Spelling) Best() []string {
	slices.SortStableFunc(s.best, func(a, b candidate) int {
		head := 0
		if a.head != b.head {
			head = 1
			if a.head {
				head = -1
			}
		}
		swap := 0
		if a.swapped != b.swapped {
			swap = 1
			if a.swapped {
				swap = -1
			}
		}
		return cmp.Or(cmp.Compare(a.distance, b.distance), swap, head)
	})
	var words []string
	for _, c := range s.best {
		if c.distance == s.best[0].distance && c.swapped == s.best[0].swapped && len(words) < maxCorrections &&
			(s.value || !stopWord(inEnglish, c.word)) {
			words = append(words, c.word)
		}
	}
	return words
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours between two words. A result
// above the limit only means more than the limit.
func (s *Spelling) distance(other []rune, limit int) int {
	before, last, row := s.rows[0], s.rows[1], s.rows[2]
	for j := range len(other) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(s.word); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(other); j++ {
			cost := 1
			if s.word[i-1] == other[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s.word[i-1] == other[j-2] && s.word[i-2] == other[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return least
		}
		before, last, row = last, row, before
	}
	return last[len(other)]
}
