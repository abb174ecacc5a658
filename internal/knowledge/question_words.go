package knowledge

import (
	"slices"
	"strings"
	"sync"
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

// A stopped is a stop word of a question, with the number of wishes before it.
type stopped struct {
	text   string
	before int
}

// A hint is the slot of a stop word that says something, as before and too do. It finds nothing, and lets documents
// come first that have it in the title, or beside a word of the question; before is the number of wishes before it.
type hint struct{ slot, before int }

// mostHints is the number of hints that a question has at most: reading where one stands costs as much as a word.
const mostHints = 2

// shortTitle is the number of words up to which a question may be a title of which most words say little, such as "use
// before define".
const shortTitle = 5

// title adds slots for the stop words of a question.
func (r *questioner) title() {
	for _, word := range r.stop {
		r.q.titled = append(r.q.titled, r.stopSlot(word.text)...)
	}
}

// hint adds slots for the stop words of a question that say something.
func (r *questioner) hint() {
	if len(r.q.Wishes) == 0 || r.q.plain >= pasted {
		return
	}
	for _, word := range r.stop {
		if !hinting()[strings.ToLower(word.text)] || len(r.q.hints) == mostHints {
			continue
		}
		for _, at := range r.stopSlot(word.text) {
			if !slices.ContainsFunc(r.q.hints, func(h hint) bool { return h.slot == at }) {
				r.q.hints = append(r.q.hints, hint{at, word.before})
			}
		}
	}
}

// stopSlot returns the slot of a stop word, none if it is a word of the question too, as in "get it with GET".
func (r *questioner) stopSlot(word string) []int {
	leaves, before := leavesOf(word), len(r.q.Slots)
	if len(leaves) != 1 {
		return nil
	}
	at := r.slot(Slot{Word: word, Words: [][]string{r.terms(leaves[0].text, leaves[0].gram)}})
	if at != nil && at[0] < before && !slices.Contains(r.q.titled, at[0]) {
		return nil
	}
	return at
}

// hinting are the stop words that say something.
//
//nolint:gochecknoglobals // made once, never written again
var hinting = sync.OnceValue(func() map[string]bool {
	return wordSet(`above after again against all before below between both cannot down during each every few many more
		most never no not off once only other out over own same too under until up without
		bevor kein keine nicht nie nur ohne zwischen`)
})
