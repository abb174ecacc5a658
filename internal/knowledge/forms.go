package knowledge

import (
	"strings"
	"sync"
)

// A form is a term as which a word is indexed.
type form struct {
	term   string
	placed bool // with its positions
}

// A forms knows the forms of words. It is for one goroutine, and remembers words: finding a form costs much more than
// reading it, and most words of a document are in those before it too.
type forms struct {
	stems stemmer
	known [tongues]map[string][]form
	bytes int // of what is known
}

// maxForms is about how many bytes of words and terms a forms remembers before it forgets all of them.
const maxForms = 2 << 20

//nolint:gochecknoglobals // what is remembered is the same for all documents
var allForms = sync.Pool{New: func() any { return &forms{stems: newStemmer()} }}

// of returns the forms of a word in lower case, in a text of a language.
func (f *forms) of(l tongue, word string) []form {
	if list, ok := f.known[l][word]; ok {
		return list
	}
	if f.bytes > maxForms {
		*f = forms{stems: f.stems}
	}
	if f.known[l] == nil {
		f.known[l] = map[string][]form{}
	}
	list := f.find(l, word)
	word = strings.Clone(word) // it is a part of a document
	f.bytes += 2*len(word) + 96*len(list)
	f.known[l][word] = list
	return list
}

// find determines the forms: the word without accents, the word with its umlauts written as two letters, and in other
// languages than English the stems of both and of the word itself.
func (f *forms) find(l tongue, text string) []form {
	word, also := fold(text), spelled(text)
	list := f.english(nil, word)
	if also != "" && also != word {
		list = f.english(list, also)
	}
	if l == inEnglish {
		return list
	}
	first := fold(f.stems.stem(l, text))
	if first != "" {
		list = append(list, form{l.mark() + first, true})
	}
	for _, w := range []string{word, also} {
		if s := fold(f.stems.stem(l, w)); s != "" && s != first {
			list = append(list, form{l.mark() + s, true})
		}
	}
	return list
}

// english adds a word and its English stem. If both are equal it adds only the word, else the stem with positions and
// the word without.
func (f *forms) english(list []form, word string) []form {
	if word == "" { // accents that stand alone
		return list
	}
	s := f.stems.stem(inEnglish, word)
	if s == word {
		return append(list, form{strings.Clone(word), true})
	}
	return append(list, form{inEnglish.mark() + s, true}, form{strings.Clone(word), false})
}
