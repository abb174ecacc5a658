package knowledge

import (
	"cmp"
	"slices"
	"strings"
)

// Limits of what counts as composed.
const (
	shortestComposed = 5 // letters of the stem that is looked for
	shortestOther    = 3 // letters of what stands before it
	longestMore      = 2 // letters by which an ending may be longer
)

// A Composed collects the words that begin or end with another one, as German ones do.
type Composed struct {
	Stem  string
	tail  int // letters that may follow the stem at the end of a word
	words []string
}

// NewComposed returns what collects the words that are composed of one and others; nil if that is too short, or no
// word.
func NewComposed(word string) *Composed {
	word = fold(strings.ToLower(word))
	if !letters(word) {
		return nil
	}
	stem := word
	for _, l := range []tongue{inGerman, inEnglish} { // the shorter a stem is, the less it says
		if s := newStemmer().stem(l, word); strings.HasPrefix(word, s) && len(s) >= shortestComposed {
			stem = s
			break
		}
	}
	if len(stem) < shortestComposed {
		return nil
	}
	return &Composed{Stem: stem, tail: len(word) - len(stem) + longestMore}
}

// Try looks at a word.
func (c *Composed) Try(word string) {
	at := strings.LastIndex(word, c.Stem)
	rest := len(word) - at - len(c.Stem)
	if at < 0 || !letters(word) || at > 0 && (at < shortestOther || rest > c.tail) {
		return
	}
	if !slices.Contains(c.words, word) {
		c.words = append(c.words, word)
	}
}

// Best returns at most five words, the shortest first.
func (c *Composed) Best() []string {
	slices.SortFunc(c.words, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return c.words[:min(len(c.words), maxCorrections)]
}
