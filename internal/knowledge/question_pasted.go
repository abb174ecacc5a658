package knowledge

import (
	"strings"
	"unicode"
)

// pasted is the number of words besides those in quotation marks from which on a question may be a pasted message.
const pasted = 8

// unquote takes the quotation marks off single words of a long text. There they come from a message that was pasted,
// such as a name in an error, and are not meant as a condition.
func unquote(parts []part) {
	plain := 0
	for i := range parts {
		if parts[i].plain() {
			plain++
		}
	}
	if plain < pasted {
		return
	}
	for i := range parts {
		p := &parts[i]
		if p.phrase && !p.not && p.field == "" && strings.IndexFunc(strings.TrimSpace(p.text), unicode.IsSpace) < 0 {
			p.phrase, p.prefix = false, false
		}
	}
}

// places reports whether a word is a number of one or two digits: in a pasted message a line, a column or a count.
func places(word string) bool {
	return len(word) < 3 && strings.IndexFunc(word, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// sign adds a wish for a sign that stands alone and has a name, and reports whether it did: for => the name arrow
// function. In a pasted text signs say nothing.
func (r *questioner) sign(text string) bool {
	names := signNames[text]
	if len(names) == 0 || r.also == nil || r.q.plain >= pasted {
		return false
	}
	s := Slot{Word: text, Words: [][]string{{text}}}
	for _, name := range names {
		a := Alternative{Text: name}
		for _, leaf := range leavesOf(name) {
			a.Words = append(a.Words, r.terms(leaf.text, leaf.gram))
		}
		s.Also = append(s.Also, a)
	}
	if at := r.slot(s); at != nil {
		r.q.Wishes = append(r.q.Wishes, Wish{Text: text, Whole: at})
	}
	return true
}

// signNames are the names of operators, which texts use in their place.
//
//nolint:gochecknoglobals // a table
var signNames = map[string][]string{
	"=>":  {"arrow function"},
	"==":  {"equality", "equal"},
	"===": {"equality", "equal"},
	"!=":  {"inequality", "equality"},
	"!==": {"inequality", "equality"},
	"&&":  {"logical and", "logical"},
	"||":  {"logical or", "logical"},
	"??":  {"nullish coalescing", "nullish"},
	"?.":  {"optional chaining"},
	"?:":  {"ternary"},
	"++":  {"increment"},
	"**":  {"exponentiation"},
	"+=":  {"assignment operator"},
	"-=":  {"assignment operator"},
	":=":  {"short variable declaration"},
	"<-":  {"channel"},
}
