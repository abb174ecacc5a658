package knowledge

import (
	"slices"
	"strings"
	"unicode"
)

// maxSlots is the largest number of words in a query: one bit of a 64-bit mask each, besides the filters.
const maxSlots = 56

// A Question is a parsed search text. Its words are wishes: documents with more of them, and rarer ones, come first.
// Its conditions must hold for every hit.
type Question struct {
	Slots   []Slot
	Wishes  []Wish
	Must    []Condition
	Not     []Condition
	Without Condition // the categories that are hidden from who asks
	Filters []Condition
	LeftOut []LeftOut
	Unknown []string // texts before a colon that are not fields

	titled []int // the stop words of a short question, which tell whether it is a title
	hints  []hint
	plain  int // words that are not operators
	stems  stemmer
	tongue tongue
}

// A Slot is one lookup: a word, or several adjacent words.
type Slot struct {
	Words  [][]string // for each word the terms that match it
	Prefix string     // the beginning of the last word: Expand replaces it by terms of the index
	Title  bool       // only in the title
	Word   string     // for messages
	typo   bool       // a similar word may replace it
	Also   []Alternative
}

// Spellings returns the words of a slot, and after them what else stands for it.
func (s *Slot) Spellings() [][][]string {
	list := make([][][]string, 1, 1+len(s.Also))
	list[0] = s.Words
	for i := range s.Also {
		list = append(list, s.Also[i].Words)
	}
	return list
}

// A Wish is an optional word. A document fulfils it with one of the slots of Whole, or with all of those of Parts.
type Wish struct {
	Text  string
	Whole []int
	Parts []int
	weak  bool   // a word of questions about anything
	faint bool   // a word of every message, or of the program that failed
	from  uint64 // of a path: the slot of what was imported from there
}

// A Condition is met by one of some slots.
type Condition struct {
	Text string
	Any  []int
}

// A questioner parses a search text.
type questioner struct {
	q    *Question
	stop []stopped // wishes when there are no others
	or   bool
	// group is the operand before OR.
	group *Condition
	also  map[string][]string // what else stands for a word
	mixed bool                // some letters are small
	last  string              // the plain word before, in lower case
	faint bool                // the word is of every message, or of the program that failed
	// theirs says that the word may be a name of the program that failed, so it is no typing error.
	theirs bool

	expressions int // of several words that are looked for too
}

// parseQuestion reads words, "a phrase", -not, OR, prefix*, title:, tag:, category:, kind: and id:. Literal leaves out
// what else stands for a word.
func parseQuestion(text string, literal bool) (*Question, string) {
	if len(text) > MaxSearchText {
		return nil, "too long: at most 8192 bytes"
	}
	text = CleanQuestion(text)
	if why := TextFault(text); why != "" {
		return nil, why
	}
	parts := cutQuestion(text)
	asPasted(parts)
	q := &Question{stems: newStemmer()}
	var plain strings.Builder
	for _, p := range parts {
		if p.plain() {
			plain.WriteString(p.text + " ")
		}
	}
	count := scanner{emit: func(*piece) {}}
	count.scan(plain.String())
	words := Words(plain.String())
	q.plain, q.tongue = count.n, tongueOf(words)
	r := &questioner{q: q, mixed: plain.String() != strings.ToUpper(plain.String())}
	if !literal {
		var l tongue
		if r.also, l = theEquivalents().equivalentsOf(q.stems, words, onlyEnglish(words)); q.tongue == inEnglish {
			q.tongue = l
		}
	}
	for i := range parts {
		if p := &parts[i]; p.not && len(parts) == 1 && p.field == "" && !p.phrase && !p.prefix { // a word with a hyphen
			p.not, p.text = false, "-"+p.text
		}
		alternative := i+2 < len(parts) && parts[i+1].or || i > 1 && parts[i-1].or
		if why := r.take(&parts[i], alternative); why != "" {
			return nil, why
		}
	}
	if len(q.Must)+len(q.Not) == 0 && len(q.Wishes) > 0 && len(q.Wishes) <= 2 && q.plain <= shortTitle {
		r.title()
	}
	r.hint()
	if len(q.Wishes) == 0 && len(q.Must) == 0 {
		for _, w := range r.stop { // no other words are left
			r.wish(w.text, false)
		}
		q.LeftOut = slices.DeleteFunc(q.LeftOut, func(l LeftOut) bool { return l.Why == whyStop && len(q.Wishes) > 0 })
	}
	if len(q.Wishes) == 0 && len(q.Must) == 0 {
		if len(q.Not) > 0 {
			return nil, "want at least one word to look for: exclusions alone find nothing"
		}
		return nil, "want at least one word to look for"
	}
	if len(q.Must)+len(q.Not) > MaxConditions {
		return nil, "too many conditions: at most 32 phrases, fields, alternatives, beginnings and exclusions"
	}
	return q, ""
}

// A part of a search text is the text between two spaces, or between two quotes.
type part struct {
	text           string
	field          string // of field:text
	not, or        bool
	phrase, prefix bool
	faint          bool // of every message, or of the program that failed
}

func (p *part) plain() bool { return p.field == "" && !p.not && !p.or && !p.phrase && !p.prefix }

func searchFields() []string { return []string{"title", "tag", "category", "kind", "id"} }

// cutQuestion cuts a question at its spaces and quotes.
func cutQuestion(text string) []part {
	var parts []part
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		var p part
		if after, ok := strings.CutPrefix(rest, "OR"); ok && (after == "" || unicode.IsSpace(rune(after[0]))) {
			parts, rest = append(parts, part{or: true}), after
			continue
		}
		if len(rest) > 1 && rest[0] == '-' && rest[1] != '-' && !isDigit(rest[1]) && !unicode.IsSpace(rune(rest[1])) {
			p.not, rest = true, rest[1:]
		}
		p.field, rest = cutField(rest)
		if r, ok := strings.CutPrefix(rest, `"`); ok {
			if inner, after, closed := strings.Cut(r, `"`); closed {
				p.text, p.phrase, rest = inner, true, after
			} else {
				rest = r // a quote without a partner is ignored
				if !p.not && p.field == "" {
					continue
				}
			}
		}
		if !p.phrase {
			end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
			if end < 0 {
				end = len(rest)
			}
			p.text, rest = rest[:end], rest[end:]
		}
		p.prefix = strings.HasSuffix(p.text, "*") && !wildcard(p.text) && strings.IndexFunc(p.text, isWord) >= 0
		if p.field == "kind" && !p.prefix && !searchable(p.text) {
			p.field, p.text, p.phrase = "", "kind:"+p.text, false // a word that is named as an unknown field
		}
		parts = append(parts, p)
	}
	return parts
}

// cutField cuts a field off the beginning of a text. A field has a value.
func cutField(text string) (field, rest string) {
	for _, f := range searchFields() {
		n := len(f)
		if len(text) <= n+1 || text[n] != ':' || !strings.EqualFold(text[:n], f) {
			continue
		}
		if f == "id" && text[:n] != f { // ID:4711 is of a message
			continue
		}
		value := strings.TrimPrefix(text[n+1:], `"`)
		if end := strings.IndexFunc(value, unicode.IsSpace); end >= 0 && value == text[n+1:] {
			value = value[:end]
		}
		if value != "" && value[0] != ':' && strings.IndexFunc(value, isWord) >= 0 {
			return f, text[n+1:]
		}
	}
	return "", text
}

// searchable reports whether a text names a kind that search finds.
func searchable(text string) bool {
	k, err := ParseKind(strings.ToLower(text))
	return err == nil && slices.Contains(SearchKinds(), k)
}

// take parses a part; alternative is set beside OR. It returns what is wrong with it.
func (r *questioner) take(p *part, alternative bool) string {
	switch {
	case p.or:
		r.or = r.group != nil
		return ""
	case p.field != "" && p.field != "title":
		return r.condition(p, r.field(p), alternative)
	case p.plain() && !alternative:
		r.group, r.or = nil, false
		if r.sign(p.text) {
			return ""
		}
		r.unknownField(p.text)
		r.faint = p.faint || inSource(p.text)
		r.theirs = r.q.plain >= pasted && (inQuotes(p.text) != "" || innerCapital(p.text))
		for _, word := range splitPlain(p.text) {
			r.wish(word, true)
			r.last = strings.ToLower(word)
		}
		r.faint, r.theirs = false, false
		return ""
	}
	slots := r.slots(p)
	if slots == nil {
		return ""
	}
	return r.condition(p, slots, alternative)
}

// condition adds a condition, or an alternative to the one before OR.
func (r *questioner) condition(p *part, slots []int, alternative bool) string {
	if slots == nil {
		r.group, r.or = nil, false
		return ""
	}
	name := p.name()
	switch {
	case p.not:
		r.q.Not = append(r.q.Not, Condition{name, slots})
		r.group = nil
	case r.or && r.group != nil:
		r.group.Any = append(r.group.Any, slots...)
		r.group.Text += " OR " + name
	default:
		r.q.Must = append(r.q.Must, Condition{name, slots})
		r.group = &r.q.Must[len(r.q.Must)-1]
		if !alternative {
			r.group = nil
		}
	}
	r.or = false
	return ""
}

func (p *part) name() string {
	name := p.text
	if p.phrase {
		name = `"` + name + `"`
	}
	if p.field != "" {
		name = p.field + ":" + name
	}
	return name
}

// unknownField records text that looks like a field but is none.
func (r *questioner) unknownField(text string) {
	name, value, ok := strings.Cut(text, ":")
	if !ok || len(name) < 2 || len(name) > 20 || value == "" || strings.Contains(value, ":") || !isWordAt(value, 0) ||
		isDigit(value[0]) {
		return
	}
	for i := range len(name) {
		if !isLower(name[i]) && name[i] != '_' {
			return
		}
	}
	if name == "kind" { // the field is known, and its value is not
		name = text
	}
	if !slices.Contains(r.q.Unknown, name) && len(r.q.Unknown) < 8 {
		r.q.Unknown = append(r.q.Unknown, name)
	}
}

// field returns the slots of a filter.
func (r *questioner) field(p *part) []int {
	text := strings.TrimSuffix(p.text, "*")
	var terms []string
	s := Slot{Word: p.name()}
	switch p.field {
	case "kind":
		if k, err := ParseKind(strings.ToLower(text)); err == nil {
			text = string(k)
		}
		terms = []string{markKind + text}
	case "category":
		terms = []string{markCategory + text, markCategory + strings.ToLower(text)}
	case "tag":
		terms = []string{markTag + text, markTag + strings.ToLower(text)}
	case "id":
		terms = []string{markID + strings.ToLower(text)}
	}
	if p.prefix && !p.phrase {
		s.Words, s.Prefix = [][]string{nil}, terms[len(terms)-1]
	} else {
		s.Words = [][]string{slices.Compact(terms)}
	}
	return r.slot(s)
}

// slots returns the slots of a phrase, an alternative, a beginning, an exclusion or a title.
func (r *questioner) slots(p *part) []int {
	text := p.text
	if p.prefix {
		text = strings.TrimRight(text, "*")
	}
	leaves := leavesOf(text)
	if len(leaves) == 0 {
		return nil
	}
	s := Slot{Title: p.field == "title", Word: p.name()}
	for i, leaf := range leaves {
		last := i == len(leaves)-1
		if last && (p.prefix || leaf.gram && len([]rune(leaf.text)) == 1) {
			s.Prefix = fold(leaf.text)
			s.Words = append(s.Words, nil)
			continue
		}
		s.Words = append(s.Words, r.terms(leaf.text, leaf.gram))
	}
	return r.slot(s)
}

// leavesOf returns the words of a text, one for each position: for c++ and .net the name, and for a run without spaces
// its pairs.
func leavesOf(text string) []piece {
	var leaves []piece
	ending := false // the last one is the last character of a run
	(&scanner{emit: func(p *piece) {
		n := len(leaves)
		before := ending
		ending = p.gram && p.at > 0 && n > 0 && leaves[n-1].gram && leaves[n-1].to == p.to
		switch {
		case p.words > 1:
			ending = before
		case n > 0 && leaves[n-1].at == p.at && picture([]rune(leaves[n-1].text)[0]):
			leaves[n-1] = *p
		case n > 0 && leaves[n-1].at == p.at:
		default:
			leaves = append(leaves, *p)
		}
	}}).scan(text)
	if ending { // the run may go on in a document
		leaves = leaves[:len(leaves)-1]
	}
	return leaves
}

// slot adds a slot, or returns the existing one.
func (r *questioner) slot(s Slot) []int {
	for i := range r.q.Slots {
		o := &r.q.Slots[i]
		if o.Prefix == s.Prefix && o.Title == s.Title && len(o.Also) == len(s.Also) && slices.EqualFunc(o.Words,
			s.Words, slices.Equal[[]string]) {
			return []int{i}
		}
	}
	if len(r.q.Slots) == maxSlots {
		return nil
	}
	r.q.Slots = append(r.q.Slots, s)
	return []int{len(r.q.Slots) - 1}
}

// wish adds a wish for a word, or for a name with its parts.
func (r *questioner) wish(text string, stops bool) {
	var pieces []piece
	(&scanner{emit: func(p *piece) { pieces = append(pieces, *p) }}).scan(text)
	if len(pieces) == 0 {
		return
	}
	if len(pieces) == 1 && stops && stopWord(r.q.tongue, pieces[0].text) && !r.named(text) {
		r.stop = append(r.stop, stopped{text, len(r.q.Wishes)})
		r.leave(pieces[0].text, whyStop)
		return
	}
	w := Wish{Text: strings.ToLower(text[pieces[0].from:max(pieces[0].to, pieces[len(pieces)-1].to)])}
	for i, p := range pieces {
		last := p.gram && i > 0 && i == len(pieces)-1 && len([]rune(p.text)) == 1
		if last || slices.ContainsFunc(r.q.Wishes, func(o Wish) bool { return o.Text == w.Text }) {
			continue
		}
		if !p.gram && p.words == 1 && i > 0 && (len(p.text) == 1 || stopWord(r.q.tongue, p.text)) {
			continue
		}
		whole := p.words > 1 || len(pieces) == 1 || i == 0 && (p.text[0] == '.' || p.text[0] == '-' ||
			strings.HasSuffix(p.text, everything))
		s := Slot{Word: p.text, typo: !p.gram && !r.theirs}
		switch {
		case whole && pieces[len(pieces)-1].gram && p.words > 1:
			s = r.run(p.text)
		case p.gram && len([]rune(p.text)) == 1:
			s.Words, s.Prefix = [][]string{nil}, p.text
		default:
			s.Words = [][]string{r.terms(p.text, p.gram)}
			if dotted := strings.ContainsAny(text, ".:"); !dotted || len(pieces) == 1 {
				s.Also = r.alternatives(p.text)
			}
		}
		at := r.slot(s)
		switch {
		case at == nil:
			r.leave(p.text, whyTooMany)
		case whole:
			w.Whole = append(w.Whole, at...)
		case !slices.Contains(w.Parts, at[0]):
			w.Parts = append(w.Parts, at...)
		}
	}
	w.weak = len(pieces) == 1 && r.q.tongue == inEnglish && weakWords()[pieces[0].text]
	w.faint = r.faint || len(pieces) == 1 && r.q.plain >= pasted && places(pieces[0].text)
	if len(w.Whole) == 1 && len(pieces) == 1 && !pieces[0].gram {
		w.Parts = r.compound(pieces[0].text)
	}
	if term := pathTerm(slashes(w.Text)); term != "" { // what was imported from there
		from := r.slot(Slot{Word: w.Text, Words: [][]string{{term}}})
		w.Whole, w.from = append(w.Whole, from...), maskOf(from)
	}
	r.translate(&w)
	if len(w.Whole)+len(w.Parts) > 0 {
		r.q.Wishes = append(r.q.Wishes, w)
	}
}

// run returns the slot of a run of characters without spaces.
func (r *questioner) run(text string) Slot {
	s := Slot{Word: text}
	for _, leaf := range leavesOf(text) {
		s.Words = append(s.Words, r.terms(leaf.text, leaf.gram))
	}
	return s
}

func (r *questioner) leave(word, why string) {
	l := LeftOut{word, why}
	if !slices.Contains(r.q.LeftOut, l) && len(r.q.LeftOut) < maxSlots {
		r.q.LeftOut = append(r.q.LeftOut, l)
	}
}
