package knowledge

import (
	"slices"
	"strings"
)

// splitPlain splits text that is not a name at its punctuation, so that each word is a separate wish.
func splitPlain(text string) []string {
	text = slashes(text)
	var b strings.Builder
	for i, r := range text {
		if !joins(r) && !picture(r) && (r != '*' || i == 0 || !everythingAt(text, i-1)) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.Fields(b.String())
}

// wildcard reports whether a text is a name with everything behind it, such as s3:*, and not the beginning of a field.
func wildcard(text string) bool {
	name, ok := strings.CutSuffix(text, everything)
	return ok && everythingAt(text, len(name)) && !slices.Contains(searchFields(), strings.ToLower(name))
}

// named reports whether a stop word is meant as a name: GET, PUT, IT, and Go where a language is spoken of.
func (r *questioner) named(word string) bool {
	switch word {
	case "GET", "PUT", "IT", "CAN", "GO":
		return r.mixed
	case "Go":
		return r.last != ""
	case "go":
		return slices.Contains([]string{"in", "en", "mit", "with", "using"}, r.last)
	}
	return false
}

// alternatives returns what else stands for a word.
func (r *questioner) alternatives(word string) []Alternative {
	var list []Alternative
	for _, text := range r.also[word] {
		a := Alternative{Text: text, Broad: theEquivalents().broader(word, text)}
		leaves := leavesOf(text)
		for _, leaf := range leaves {
			a.Words = append(a.Words, r.terms(leaf.text, leaf.gram))
		}
		if len(leaves) == 1 && strings.HasSuffix(leaves[0].text, "ing") && r.q.tongue == inEnglish {
			// As a name of something it is found as it is written: with the stem of paging come all pages.
			word := clip(fold(leaves[0].text))
			a.Words[0] = []string{word, word + "s"}
		}
		if len(a.Words) > 1 { // where its words stand has to be read
			if r.expressions == maxExpressions {
				continue
			}
			r.expressions++
		}
		list = append(list, a)
	}
	return list
}

// compound returns the slots of the halves of a German compound, if it has any.
func (r *questioner) compound(word string) []int {
	if r.also == nil || len(r.also[word]) > 0 {
		return nil
	}
	halves := theEquivalents().halves(r.q.stems, fold(word))
	if len(halves) == 0 || len(r.q.Slots)+len(halves) > maxSlots {
		return nil
	}
	var parts []int
	of, _ := theEquivalents().equivalentsOf(r.q.stems, halves, false)
	for _, half := range halves {
		r.also[half] = of[half]
		parts = append(parts, r.slot(Slot{
			Word: half, Words: [][]string{r.terms(half, false)},
			Also: r.alternatives(half),
		})...)
	}
	return parts
}

// translate adds to a name of two parts what else stands for it if something else stands for one of them:
// for Datenbank-Migration the adjacent words database and migration.
func (r *questioner) translate(w *Wish) {
	if len(w.Whole) != 1 || len(w.Parts) != 2 || r.expressions == maxExpressions {
		return
	}
	a := Alternative{}
	for i, at := range w.Parts {
		s := &r.q.Slots[at]
		if len(s.Words) != 1 {
			return
		}
		text, terms := s.Word, slices.Clone(s.Words[0])
		for k := range s.Also {
			if o := &s.Also[k]; len(o.Words) == 1 {
				// Its own terms may lack the stem, which alone has places.
				if terms = append(terms, r.terms(o.Text, false)...); text == s.Word {
					text = o.Text
				}
			}
		}
		a.Words = append(a.Words, terms)
		a.Text += strings.Repeat(" ", i) + text
	}
	if own := r.q.Slots[w.Parts[0]].Word + " " + r.q.Slots[w.Parts[1]].Word; a.Text != own {
		r.expressions++
		s := r.q.Slots[w.Whole[0]]
		s.Also = append(s.Also, a)
		r.q.Slots[w.Whole[0]] = s
	}
}
