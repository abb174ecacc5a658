package knowledge

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// snippetBytes is about how long a snippet is.
const snippetBytes = 200

// snippet cuts a part around the first match out of the description, or the body, or else the beginning of the description.
func (s *Search) snippet(t *Text) (string, [][2]int) {
	for _, text := range []string{t.Lead, t.Body} {
		if marks := s.marks(text); len(marks) > 0 {
			return cut(text, marks)
		}
	}
	if t.Lead != "" {
		return cut(t.Lead, nil)
	}
	return cut(t.Body, nil)
}

// marks returns the byte ranges of the words that the search looks for. The text is scanned in its own case, since lower
// case may have another length.
func (s *Search) marks(text string) [][2]int {
	var out [][2]int
	for _, g := range s.Groups {
		for i := range g {
			if t := &g[i]; !t.Not && !t.Title {
				out = t.marks(text, out)
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], b[1]-a[1]) })
	return apart(out)
}

// marks adds the byte ranges at which the term stands.
func (t *Term) marks(text string, out [][2]int) [][2]int {
	last := make([]string, 0, len(t.Words)) // the words before, as many as the term has
	starts := make([]int, 0, len(t.Words))
	at := 0
	for word := range rawWords(text) {
		at += strings.Index(text[at:], word)
		if len(last) == len(t.Words) {
			last, starts = append(last[:0], last[1:]...), append(starts[:0], starts[1:]...)
		}
		last, starts = append(last, word), append(starts, at)
		at += len(word)
		if len(last) == len(t.Words) && t.stands(last) {
			out = append(out, [2]int{starts[0], at})
		}
	}
	return out
}

// stands reports whether words, each in its own case, are the term's.
func (t *Term) stands(words []string) bool {
	for i, word := range words {
		if !begins(word, t.Words[i]) || !sameWord(strings.ToLower(word), t.Words[i], t.Prefix && i == len(words)-1) {
			return false
		}
	}
	return true
}

// begins reports whether a word in its own case may begin as another in lower case does. It spares most words the lower case.
func begins(word, lower string) bool {
	c := word[0]
	// Beyond ASCII a letter's lower case may begin with any byte.
	return c >= utf8.RuneSelf || c == lower[0] || 'A' <= c && c <= 'Z' && c+'a'-'A' == lower[0]
}

// apart keeps of sorted ranges that overlap the first.
func apart(ranges [][2]int) [][2]int {
	kept := ranges[:0]
	for _, r := range ranges {
		if len(kept) == 0 || r[0] >= kept[len(kept)-1][1] {
			kept = append(kept, r)
		}
	}
	return kept
}

func cut(text string, marks [][2]int) (string, [][2]int) {
	from := 0
	if len(marks) > 0 {
		from = max(0, marks[0][0]-snippetBytes/4)
	}
	if from > 0 {
		if i := strings.IndexAny(text[from:marks[0][0]], " \n"); i >= 0 {
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
		if m[0] >= from && m[1] <= to {
			kept = append(kept, [2]int{m[0] - from, m[1] - from})
		}
	}
	return text[from:to], kept
}
