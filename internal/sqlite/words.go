package sqlite

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"tenet/internal/knowledge"
)

// words is what the full-text table keeps of a document. The stems answer words and phrases; what stemming has changed is
// kept once more, whole, for the beginnings of words.
type words struct {
	title, tags, lead, body string // stems
	titleForms, forms       string // the words whose stem is another, each once
	facets                  string // the kind and the languages, to narrow a search while the words are matched
}

func wordsOf(kind knowledge.Kind, doc knowledge.Document, text *knowledge.Text) words {
	var w words
	titleForms, forms := formSet{}, formSet{}
	w.title = stems(text.Title, titleForms)
	w.tags = stems(strings.Join(text.Tags, "\n"), forms)
	w.lead = stems(text.Lead, forms)
	w.body = stems(text.Body, forms)
	w.titleForms, w.forms = titleForms.text(), forms.text()
	marks := []string{kindMark(kind)}
	for _, f := range facetsOf(doc) {
		if f.name == "language" {
			marks = append(marks, languageMark(f.value))
		}
	}
	w.facets = strings.Join(marks, " ")
	return w
}

// formSet is a set of words, in the order in which they came.
type formSet map[string]int

func (f formSet) add(word string) {
	if _, ok := f[word]; !ok {
		f[word] = len(f)
	}
}

func (f formSet) text() string {
	list := make([]string, len(f))
	for w, i := range f {
		list[i] = w
	}
	return strings.Join(list, " ")
}

// stems returns the stems of a text's words, and adds the words that differ from theirs to forms.
func stems(text string, forms formSet) string {
	list := knowledge.Words(text)
	for i, w := range list {
		if s := stem(fold(w)); s != w {
			forms.add(w)
			list[i] = s
		}
	}
	return strings.Join(list, " ")
}

// fold takes the accents off a word, so that it is found with them and without.
func fold(word string) string {
	if len(word) == utf8.RuneCountInString(word) {
		return word // nothing but ASCII
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if r >= 0x0300 && r <= 0x036f { // the combining marks of European scripts; elsewhere they are letters
			return -1
		}
		return r
	}, norm.NFD.String(word)))
}

// kindMark and languageMark are words that no question holds by chance and that are looked for in their own column only.
func kindMark(kind knowledge.Kind) string { return "kind" + string(kind) }

func languageMark(language string) string {
	return "language" + strings.Join(knowledge.Words(language), "")
}
