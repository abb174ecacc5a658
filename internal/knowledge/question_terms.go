package knowledge

import (
	"slices"
	"strings"
	"unicode"
)

// terms returns the index terms of a word of a query.
func (r *questioner) terms(word string, gram bool) []string { return r.q.terms(word, gram) }

func (q *Question) terms(word string, gram bool) []string {
	word = strings.ToLower(word)
	if gram {
		if other := otherKana(word); other != "" {
			return []string{word, other}
		}
		return []string{word}
	}
	bare := fold(word)
	if bare == "" { // accents that stand alone
		return nil
	}
	list := []string{clip(bare)}
	add := func(term string) {
		if term = clip(term); !slices.Contains(list, term) {
			list = append(list, term)
		}
	}
	s := q.stems.stem(inEnglish, bare)
	if !letters(bare) {
		return append(list, sameThing()[word]...)
	}
	add(s)
	add(inEnglish.mark() + s)
	for l := inGerman; l < tongues; l++ {
		add(l.mark() + fold(q.stems.stem(l, bare)))
		if !ascii(word) {
			add(l.mark() + fold(q.stems.stem(l, word)))
		}
	}
	if also := spelled(word); also != "" { // a document may have been written without umlauts
		add(also)
		for l := range tongues {
			add(l.mark() + fold(q.stems.stem(l, also)))
		}
	}
	for _, other := range sameThing()[word] {
		add(other)
	}
	if other := otherNumber(bare); other != "" {
		add(other)
	}
	return list
}

// kanaApart is the distance between a letter of hiragana and the same one of katakana.
const kanaApart = 'ァ' - 'ぁ'

// otherKana returns a piece of Japanese that is all in hiragana in katakana, and the other way round: people type names
// from abroad in either. It returns "" for any other piece.
func otherKana(piece string) string {
	hiragana, katakana := false, false
	other := strings.Map(func(r rune) rune {
		switch {
		case 'ぁ' <= r && r <= 'ゖ':
			hiragana = true
			return r + kanaApart
		case 'ァ' <= r && r <= 'ヶ':
			katakana = true
			return r - kanaApart
		case r == 'ー':
			return r
		}
		hiragana, katakana = true, true // another script, or both
		return r
	}, piece)
	if hiragana == katakana {
		return ""
	}
	return other
}

// otherNumber returns the plural of an abbreviation, or the abbreviation of a plural: cves for cve, cpu for cpus. The
// stemmer knows only words that have a vowel before the letter that an s follows.
func otherNumber(word string) string {
	base, plural := strings.CutSuffix(word, "s")
	n := len(base)
	if n < 3 || n > 4 || base == "http" || !ascii(base) || strings.ContainsAny(base[:n-1], "aeiouy") || base[n-1] == 's' {
		return ""
	}
	if plural {
		return base
	}
	return base + "s"
}

// narrow adds the filters of a query.
func (q *Question) narrow(by *SearchQuery) {
	add := func(terms ...string) {
		q.Slots = append(q.Slots, Slot{Words: [][]string{terms}})
		q.Filters = append(q.Filters, Condition{Any: []int{len(q.Slots) - 1}})
	}
	if len(by.Kinds) < len(SearchKinds()) {
		var terms []string
		for _, k := range by.Kinds {
			terms = append(terms, markKind+string(k))
		}
		add(terms...)
	}
	if by.Category != "" {
		add(markCategory + by.Category)
	}
	if by.Without != "" {
		var terms []string
		for _, id := range Listed(by.Without) {
			terms = append(terms, markCategory+id)
		}
		q.Slots = append(q.Slots, Slot{Words: [][]string{terms}})
		q.Without.Any = []int{len(q.Slots) - 1}
	}
	if by.Tag != "" {
		add(markTag + by.Tag)
	}
	if by.Language != "" {
		add(markLanguage + by.Language)
	}
	if by.Severity != "" {
		add(markSeverity + by.Severity)
	}
}

// Decides reports whether a slot is one of a filter or of an exclusion: without it no document can be judged.
func (q *Question) Decides(slot int) bool {
	return slices.ContainsFunc(slices.Concat(q.Filters, q.Not, []Condition{q.Without}), func(c Condition) bool {
		return slices.Contains(c.Any, slot)
	})
}

// wordy is the number of wishes from which on a text with quotation marks may be a pasted one.
const wordy = 4

// Relax turns the phrases of a long text without hits, such as a pasted error message, into wishes. It reports whether
// there are any.
func (q *Question) Relax() bool {
	if len(q.Wishes) < wordy || len(q.Must) == 0 {
		return false
	}
	for _, c := range q.Must {
		if c.Text[0] != '"' || len(c.Any) > 1 {
			return false
		}
	}
	for _, c := range q.Must {
		q.Wishes = append(q.Wishes, Wish{Text: c.Text, Whole: c.Any})
		q.LeftOut = append(q.LeftOut, LeftOut{c.Text, WhyOptional})
	}
	q.Must = nil
	return true
}

// Expand replaces the prefix of a slot by the terms of the index that begin with it.
func (q *Question) Expand(slot int, terms []string) {
	s := &q.Slots[slot]
	last := len(s.Words) - 1
	if s.Words[last] = terms; last == 0 {
		return
	}
	s.Words[last] = make([]string, 0, 2*len(terms))
	for _, t := range terms { // a word that has a stem has no places of its own
		s.Words[last] = append(s.Words[last], t, inEnglish.mark()+q.stems.stem(inEnglish, t))
	}
}

// Replace replaces a word that no document contains by other words.
func (q *Question) Replace(slot int, words []string) {
	s := &q.Slots[slot]
	s.Words[0] = nil
	for _, w := range words {
		s.Words[0] = append(s.Words[0], q.terms(w, false)...)
	}
}

// alsoSearched lists what else stands for the words of a question.
func (q *Question) alsoSearched() []Equivalent {
	list := []Equivalent{}
	for i := range q.Slots {
		s := &q.Slots[i]
		if len(s.Also) == 0 {
			continue
		}
		e := Equivalent{Typed: s.Word}
		for _, a := range s.Also {
			e.Used = append(e.Used, a.Text)
		}
		if n := len(list) - 1; n >= 0 && slices.Equal(list[n].Used, e.Used) { // the words of an expression
			list[n].Typed += " " + s.Word
			continue
		}
		list = append(list, e)
	}
	return list
}

// Doubtful returns the slots of words that may be misspelled if no document contains them.
func (q *Question) Doubtful() []int {
	var list []int
	for i := range q.Slots {
		if s := &q.Slots[i]; s.typo && len(s.Words) == 1 && len(s.Words[0]) > 0 {
			list = append(list, i)
		}
	}
	return list
}

// letters reports whether a word consists of letters only.
func letters(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) < 0
}

// Field returns the field and the value that a slot requires, except for the title; "" for none. With prefix the value
// is a prefix.
func (t *Slot) Field() (field, value string, prefix bool) {
	term := t.Prefix
	if term == "" && len(t.Words) > 0 && len(t.Words[0]) > 0 {
		term = t.Words[0][0]
	}
	for field, mark := range map[string]string{
		"kind": markKind, "category": markCategory, "tag": markTag,
		"language": markLanguage, "severity": markSeverity, "id": markID,
	} {
		if v, ok := strings.CutPrefix(term, mark); ok {
			return field, v, t.Prefix != ""
		}
	}
	return "", "", false
}

// BareStem returns the stem of a stem term without the mark of its language; "" for other terms.
func BareStem(term string) string {
	if lead := inEnglish.mark(); len(term) > len(lead) && term[0] == lead[0] {
		return term[len(lead):]
	}
	return ""
}

// FormerTerms returns, for the term of a name with a sign in it such as n+1 or s3:*, the terms of each of its words;
// nil for other terms. An index of form 5 holds the words and not the name.
func FormerTerms(term string) [][]string {
	name, all := strings.CutSuffix(term, everything)
	if !all && (term == "" || term[0] < ' ' || levelAt(term, 0, len(term), 0) != signs) {
		return nil
	}
	q := &Question{stems: newStemmer()}
	var list [][]string
	for _, leaf := range leavesOf(name) {
		list = append(list, q.terms(leaf.text, leaf.gram))
	}
	return list
}

// StemsOfBeginning returns the stems of words that begin with a prefix, as far as the prefix goes beyond them:
// transact for the prefix transactio.
func StemsOfBeginning(prefix string) []string {
	if !letters(prefix) {
		return nil
	}
	var list []string
	stems, runes := newStemmer(), []rune(prefix)
	for n := max(shortestStem, len(runes)-longestEnding); n <= len(runes); n++ {
		if s := stems.stem(inEnglish, string(runes[:n])); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// The number of letters of the shortest word that is not its own stem, and of the longest ending that stems lack.
const (
	shortestStem  = 3
	longestEnding = 10
)
