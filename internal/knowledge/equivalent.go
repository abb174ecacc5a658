package knowledge

import (
	_ "embed" // for equivalents.txt
	"slices"
	"strings"
	"sync"
)

//go:embed equivalents.txt
var equivalentsText string

// Bounds of the equivalents of one question.
const (
	maxEquivalents = 4 // of a word
	maxExpressions = 8 // of all words together that have several words themselves
	longestKey     = 4 // words of an abbreviation's long form, or of an expression
	shortestHalf   = 4 // letters of each half of a compound
)

// An Alternative is what else stands for a word of a question: a word, or several adjacent ones.
type Alternative struct {
	Text  string     // as it is shown
	Words [][]string // as in a [Slot]
	Broad bool       // it says less than the word does, as token does for JWT
}

// equivalents holds the table of equivalents.txt: for each language the expressions, as stems with spaces between, and
// what else stands for each.
type equivalents struct {
	of    [tongues]map[string][]string
	start [tongues]map[string]bool // the first words of the expressions
	broad map[[2]string]bool       // English words, and what is broader than each
	alike map[string]bool          // English words that look like inflected ones of the other languages
}

// theEquivalents reads the table once.
//
//nolint:gochecknoglobals // made once, never written again
var theEquivalents = sync.OnceValue(func() *equivalents { return readEquivalents(equivalentsText) })

func readEquivalents(text string) *equivalents {
	e := &equivalents{alike: map[string]bool{}, broad: map[[2]string]bool{}}
	stems, l := newStemmer(), inEnglish
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line == "[not]" {
			l = tongues
			continue
		}
		if line[0] == '[' {
			l = tongue(strings.Index("en de fr es", line[1:3]) / 3) //nolint:gosec // 0 to 3
			e.of[l], e.start[l] = map[string][]string{}, map[string]bool{}
			continue
		}
		left, right, oneWay := strings.Cut(line, ">")
		names, others := splitList(left), splitList(right)
		for i, name := range names {
			switch {
			case l == tongues:
				e.alike[name] = true
			case oneWay:
				e.put(stems, l, name, others)
				if l == inEnglish {
					e.widen(name, others)
				}
			default:
				e.put(stems, l, name, slices.Delete(slices.Clone(names), i, i+1))
			}
		}
	}
	return e
}

// widen notes that some words say less than another one.
func (e *equivalents) widen(name string, others []string) {
	for _, o := range others {
		e.broad[[2]string{name, o}] = true
	}
}

// broader reports whether another word says less than a word does, and not the other way round too.
func (e *equivalents) broader(word, other string) bool {
	return e.broad[[2]string{word, other}] && !e.broad[[2]string{other, word}]
}

func splitList(text string) []string {
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// put adds what else stands for an expression, as it is written and with its umlauts as two letters.
func (e *equivalents) put(stems stemmer, l tongue, name string, others []string) {
	words := Words(name)
	for _, spell := range []func(string) string{fold, spelled} {
		key := make([]string, len(words))
		for i, w := range words {
			if key[i] = spell(w); key[i] == "" {
				key[i] = fold(w)
			}
			key[i] = fold(stems.stem(l, key[i]))
		}
		whole := strings.Join(key, " ")
		for _, o := range others {
			if !slices.Contains(e.of[l][whole], o) {
				e.of[l][whole] = append(e.of[l][whole], o)
			}
		}
		e.start[l][key[0]] = true
	}
}

// equivalentsOf returns what else stands for the words of a question, by word, and the language of most of those that
// another language has. English says that the other languages have nothing to do with the question.
func (e *equivalents) equivalentsOf(stems stemmer, words []string, english bool) (map[string][]string, tongue) {
	all, best, most := map[string][]string{}, inEnglish, 0
	words = words[:min(len(words), maxSlots)]
	last := inSpanish
	if english {
		last = inEnglish
	}
	keys := make([]string, len(words))
	for l := inEnglish; l <= last; l++ {
		for i, w := range words {
			keys[i] = fold(stems.stem(l, fold(w)))
			// PRs is its own stem
			if short, ok := strings.CutSuffix(keys[i], "s"); ok && l == inEnglish && e.of[l][short] != nil {
				keys[i] = short
				add(all, stems, l, words[i:i+1], []string{short})
			}
		}
		found := 0
		for i := range keys {
			if !e.start[l][keys[i]] || l != inEnglish && e.alike[words[i]] {
				continue
			}
			for n := min(longestKey, len(keys)-i); n > 0; n-- {
				if others := e.of[l][strings.Join(keys[i:i+n], " ")]; others != nil {
					found += add(all, stems, l, words[i:i+n], others)
				}
			}
		}
		if found > most && l != inEnglish {
			best, most = l, found
		}
	}
	return all, best
}

// add notes what else stands for each of some words, and returns for how many.
func add(all map[string][]string, stems stemmer, l tongue, words, others []string) int {
	n := 0
	for _, w := range words {
		if len(words) > 1 && stopWord(l, w) {
			continue
		}
		list := all[w]
		for _, other := range others {
			if len(list) < maxEquivalents && !slices.Contains(list, other) && stems.stem(inEnglish,
				other) != stems.stem(inEnglish, w) {
				list = append(list, other)
			}
		}
		if len(list) > len(all[w]) {
			all[w] = list
			n++
		}
	}
	return n
}

// halves splits a German compound into two words of the table.
func (e *equivalents) halves(stems stemmer, word string) []string {
	has := func(w string) bool { return len(e.of[inGerman][fold(stems.stem(inGerman, fold(w)))]) > 0 }
	for i := len(word) - shortestHalf; i >= shortestHalf; i-- {
		if word[i]&0xc0 == 0x80 || !has(word[i:]) { // within a letter
			continue
		}
		for _, link := range []string{"", "s", "n", "en", "es", "er"} {
			if left, ok := strings.CutSuffix(word[:i], link); ok && len(left) >= shortestHalf && has(left) {
				return []string{left, word[i:]}
			}
		}
	}
	return nil
}
