package knowledge

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Weights of the parts of a document, and the numbers of BM25. They were chosen by measurement; see docs/search.md.
const (
	weightTitle = 7.0
	weightID    = 4.0
	weightTags  = 3.5
	weightLead  = 1.5
	weightBody  = 1.0
	saturation  = 4.0  // k1: how soon more occurrences of a word stop counting
	flatTitle   = 0.7  // 1-b of the title
	flatText    = 0.55 // 1-b of the rest
	meanTitle   = 6.0
	meanWords   = 250.0

	partWeight  = 0.35 // of the parts of a name that occurs whole in some document
	nearWeight  = 0.3  // of two adjacent words
	hintWeight  = 0.8  // of a stop word that says something
	exactWeight = 0.6  // of a title or id equal to the query, relative to the largest score of the words
	fromWeight  = 2.0  // of the path that a document was imported from; others may hold it many times
	formWeight  = 0.06 // of a word in exactly the form of the query
	alsoWeight  = 0.5  // of each time that something else stands for a word
	broadWeight = 0.25 // of each time that something broader stands for a word
	alsoShare   = 0.9  // of the score of what else stands for a word
	weakWeight  = 0.4  // of a word that is in questions about anything
	faintWeight = 0.15 // of what every message has, or of the program that failed
	wholeWeight = 0.6  // of the share of a question that a document holds
)

// Window is the number of best hits that can get a bonus for adjacent words.
const Window = 100

// tooCommon is the number of documents from which on words in more than half of them are ignored.
const tooCommon = 50

// A Scorer ranks the documents of an index for a query.
type Scorer struct {
	q      *Question
	idf    []float64
	lead   []float64 // the weight of each wish in coverage
	bits   []wishBits
	filter []uint64
	must   []uint64
	not    uint64
	titled uint64
	hints  uint64 // the stop words that say something
	from   uint64 // the slots of what was imported from a path
	whole  uint64 // the wishes whose name occurs in some document
	total  float64
	known  float64 // of total, what some document holds
	// Common are the slots that are ignored as too common.
	Common  uint64
	leftOut []LeftOut
}

type wishBits struct{ whole, parts uint64 }

func maskOf(slots []int) uint64 {
	var m uint64
	for _, i := range slots {
		m |= 1 << i
	}
	return m
}

// Scorer returns a scorer for an index of so many documents, of which frequency[i] contain slot i.
func (q *Question) Scorer(documents int, frequency []int) *Scorer {
	s := &Scorer{
		q: q, idf: make([]float64, len(q.Slots)), lead: make([]float64, len(q.Wishes)),
		bits: make([]wishBits, len(q.Wishes)),
	}
	for i := range q.Slots {
		df := min(frequency[i], documents)
		s.idf[i] = math.Log(1 + (float64(documents-df)+0.5)/(float64(df)+0.5))
	}
	for _, c := range q.Filters {
		s.filter = append(s.filter, maskOf(c.Any))
		for _, i := range c.Any {
			s.idf[i] = 0
		}
	}
	for _, c := range q.Must {
		s.must = append(s.must, maskOf(c.Any))
		for _, i := range c.Any {
			if w := q.Slots[i].Words[0]; len(w) > 0 && strings.HasPrefix(w[0], "\x02") ||
				strings.HasPrefix(q.Slots[i].Prefix, "\x02") {
				s.idf[i] = 0.01
			}
		}
	}
	for _, c := range q.Not {
		s.not |= maskOf(c.Any)
	}
	s.titled = maskOf(q.titled)
	for _, i := range q.titled {
		s.idf[i] = 0
	}
	for _, h := range q.hints {
		s.hint(h.slot, documents, frequency)
	}
	s.not |= maskOf(q.Without.Any)
	s.weigh(documents, frequency)
	return s
}

// weigh sets the weight of each wish: that of its rarest whole, or of all its parts.
func (s *Scorer) weigh(documents int, frequency []int) {
	conditions := s.not
	for _, m := range append(slices.Clone(s.must), s.filter...) {
		conditions |= m
	}
	var common, known []int
	for i, w := range s.q.Wishes {
		s.bits[i] = wishBits{maskOf(w.Whole), maskOf(w.Parts)}
		s.from |= w.from
		whole, df := 0.0, 0
		for _, at := range w.Whole {
			if frequency[at] > 0 {
				whole = max(whole, s.idf[at])
			}
			df = max(df, frequency[at])
		}
		if df > 0 {
			s.whole |= 1 << i
			for _, at := range w.Parts {
				s.idf[at] *= partWeight
			}
		}
		s.lead[i] = whole
		if df == 0 {
			for _, at := range w.Parts {
				df = max(df, frequency[at])
				s.lead[i] += s.idf[at]
			}
		}
		switch {
		case df == 0: // an unknown word weighs like a rare one
			s.lead[i] = math.Log(1 + float64(documents)/2)
			s.known -= s.lead[i]
		case df > documents/2 && documents >= tooCommon && len(w.Parts) == 0:
			common = append(common, i)
		default:
			known = append(known, i)
		}
	}
	if len(known) > 0 || len(s.must) > 0 {
		for _, i := range common {
			s.lead[i] = 0
			s.leftOut = append(s.leftOut, LeftOut{s.q.Wishes[i].Text, WhyCommon})
			if m := s.bits[i].whole; m&conditions == 0 && s.titled == 0 {
				s.Common |= m
			}
			for _, at := range s.q.Wishes[i].Whole {
				s.idf[at] = 0
			}
		}
	}
	s.weaken()
	for _, w := range s.lead {
		s.total += w
	}
	s.known += s.total
}

// weaken lets words that are in questions about anything count for less, unless there are no others.
func (s *Scorer) weaken() {
	var weak []int
	strong := len(s.must) > 0
	for i, w := range s.q.Wishes {
		if w.weak || w.faint {
			weak = append(weak, i)
		} else if s.lead[i] > 0 {
			strong = true
		}
	}
	if !strong {
		return
	}
	for _, i := range weak {
		weight := weakWeight
		if s.q.Wishes[i].faint {
			weight = faintWeight
		}
		s.lead[i] *= weight
		for _, at := range slices.Concat(s.q.Wishes[i].Whole, s.q.Wishes[i].Parts) {
			s.idf[at] *= weight
		}
	}
}

// A Shape is the other data of a document that ranking uses.
type Shape struct{ Title, Words int }

// Part returns the score of a slot by where it occurs. Exact says that it occurs in the form of the query.
func (s *Scorer) Part(slot int, w Where, sh Shape, exact bool) float32 {
	score := s.part(slot, w, sh, 1)
	if exact {
		score *= 1 + formWeight
	}
	return float32(score)
}

func (s *Scorer) part(slot int, w Where, sh Shape, weight float64) float64 {
	idf := s.idf[slot]
	if idf == 0 {
		return 0
	}
	if s.hints&(1<<slot) != 0 {
		w &= whereTitle
	}
	tf := 0.0
	if w&whereTitle != 0 {
		tf += titleWeights[min(max(sh.Title, 0), len(titleWeights)-1)]
	}
	if w&whereID != 0 {
		tf += weightID
	}
	if w&whereTags != 0 {
		tf += weightTags
	}
	if n, m := w>>3&3, w&7; n|m != 0 {
		tf += (weightLead*times[n] + weightBody*times[m]) / (flatText + (1-flatText)*float64(sh.Words)/meanWords)
	}
	tf *= weight
	return idf * tf * (saturation + 1) / (tf + saturation)
}

// titleWeights are the weights of a word in titles of so many words.
//
//nolint:gochecknoglobals // a table
var titleWeights = func() (list [256]float64) {
	for n := range list {
		list[n] = weightTitle / (flatTitle + (1-flatTitle)*float64(n)/meanTitle)
	}
	return list
}()

// AlsoPart returns the score of one of the alternatives of a slot.
func (s *Scorer) AlsoPart(slot, alternative int, w Where, sh Shape) float32 {
	weight := alsoWeight
	if s.q.Slots[slot].Also[alternative].Broad {
		weight = broadWeight
	}
	return float32(alsoShare * s.part(slot, w, sh, weight))
}

// times maps the buckets of a [Where] to what so many occurrences count: their number to the power of 0.7, as a long
// text about anything repeats many words.
//
//nolint:gochecknoglobals // a table
var times = [8]float64{0, 1, 1.6, 2.4, 3.5, 5.7, 9.3, 15}

// Accepts reports whether a document with these slots is a hit.
func (s *Scorer) Accepts(mask uint64) bool {
	if mask&s.not != 0 {
		return false
	}
	for _, m := range s.filter {
		if mask&m == 0 {
			return false
		}
	}
	for _, m := range s.must {
		if mask&m == 0 {
			return false
		}
	}
	if len(s.must) > 0 {
		return true
	}
	for i := range s.bits {
		b := s.bits[i]
		some := b.parts
		if s.whole&(1<<i) != 0 { // some document has the name: one of its parts alone is not enough
			some = 0
		}
		if s.lead[i] > 0 && (mask&(b.whole|some) != 0 || bits.OnesCount64(b.parts) > 1 && b.met(mask)) {
			return true
		}
	}
	return false
}

// coverage is the share of the wishes that a document fulfils, weighted by their rarity.
func (s *Scorer) coverage(mask uint64) float64 {
	if s.total == 0 {
		return 1
	}
	sum := 0.0
	for i, b := range s.bits {
		switch {
		case s.lead[i] == 0:
		case b.met(mask):
			sum += s.lead[i]
		case b.parts != 0:
			sum += 0.7 * s.lead[i] * float64(bits.OnesCount64(mask&b.parts)) / float64(bits.OnesCount64(b.parts))
		}
	}
	return sum / s.total
}

func (b wishBits) met(mask uint64) bool {
	return mask&b.whole != 0 || b.parts != 0 && mask&b.parts == b.parts
}

// Final returns the score of a document from the sum of its slots: mask has the slots in it, title those in its title.
func (s *Scorer) Final(sum float32, mask, title uint64, sh Shape) float64 {
	c := 1.0
	if s.known > 0 {
		c = min(1, s.coverage(mask)*s.total/s.known)
	}
	score := float64(sum) * (1 - wholeWeight + wholeWeight*c*c)
	return score + (exactWeight*s.exact(title, sh)+fromWeight*s.named(mask))*s.most()
}

// named is the share of the paths in a query that a document was imported from.
func (s *Scorer) named(mask uint64) float64 {
	if mask&s.from == 0 || s.total == 0 {
		return 0
	}
	sum := 0.0
	for i, w := range s.q.Wishes {
		if mask&w.from != 0 {
			sum += s.lead[i]
		}
	}
	return sum / s.total
}

// most is about the largest possible score of the words.
func (s *Scorer) most() float64 { return max(s.total, 1) * (saturation + 1) }

// exact is 1 if a title consists of exactly the words of the query. If it holds them all, with the stop words of a
// query of few others, and hardly more, it is the share of the query in the title; else 0.
func (s *Scorer) exact(title uint64, sh Shape) float64 {
	if len(s.bits) == 0 || sh.Title < s.q.plain || sh.Title == 0 || len(s.must) > 0 ||
		sh.Title > s.q.plain && (s.titled == 0 || sh.Title >= 2*s.q.plain) || title&s.titled != s.titled {
		return 0
	}
	for i, b := range s.bits {
		if (s.lead[i] > 0 || s.titled != 0) && !b.met(title) {
			return 0
		}
	}
	return float64(s.q.plain) / float64(sh.Title)
}

// Missing returns the wishes that a document does not fulfil.
func (s *Scorer) Missing(mask uint64) []string {
	list := []string{}
	for i, b := range s.bits {
		if s.lead[i] > 0 && !b.met(mask) {
			list = append(list, s.q.Wishes[i].Text)
		}
	}
	return list
}

// Matched says how much of the query a document matches.
func (s *Scorer) Matched(mask uint64) string {
	switch c := s.coverage(mask); {
	case len(s.Missing(mask)) == 0:
		return MatchedAll
	case c >= 0.5:
		return MatchedMost
	}
	return MatchedSome
}

// Reading describes how the query was answered, by hits with these masks. Unknown are the wishes that no document
// fulfils.
func (s *Scorer) Reading(masks []uint64, frequency []int) Reading {
	r := Reading{
		Matched: MatchedNone, Required: []string{}, LeftOut: append(slices.Clone(s.q.LeftOut), s.leftOut...),
		SearchedFor: []Correction{},
		Suggestions: []string{}, UnknownFields: append([]string{}, s.q.Unknown...), AlsoSearched: s.q.alsoSearched(),
	}
	for i, w := range s.q.Wishes {
		df := 0
		for _, at := range slices.Concat(w.Whole, w.Parts) {
			df = max(df, frequency[at])
		}
		switch {
		case df == 0 && w.Text[0] != '"':
			r.LeftOut = append(r.LeftOut, LeftOut{w.Text, WhyUnknown})
		case len(masks) > 0 && s.lead[i] > 0 && !slices.ContainsFunc(masks,
			func(m uint64) bool { return !s.bits[i].met(m) }):
			r.Required = append(r.Required, w.Text)
		}
	}
	for _, c := range s.q.Must {
		r.Required = append(r.Required, c.Text)
	}
	for _, c := range s.q.Not {
		r.Required = append(r.Required, "-"+c.Text)
	}
	if r.LeftOut == nil {
		r.LeftOut = []LeftOut{}
	}
	if len(masks) > 0 {
		r.Matched = s.Matched(masks[0])
	}
	return r
}

// A Found is a hit whose document is not read yet.
type Found struct {
	At          int64 // its number in the index
	Score       float64
	Mask, Title uint64
	Shape       Shape
	Rank        int64 // its place in house order, as precisely as the index has it
	Key         Key
}

// CompareFound orders hits by score, then in house order.
func CompareFound(a, b *Found) int {
	switch { // most pairs part here, and cmp.Or would compare everything
	case a.Score > b.Score:
		return -1
	case a.Score < b.Score:
		return 1
	case a.Rank != b.Rank:
		return cmp.Compare(a.Rank, b.Rank)
	}
	return cmp.Or(strings.Compare(a.Key.ID, b.Key.ID), strings.Compare(string(a.Key.Kind), string(b.Key.Kind)),
		cmp.Compare(a.At, b.At))
}

// Round makes scores of equal documents equal, whatever order their parts were added in.
func Round(score float64) float64 { return math.Round(score*1e4) / 1e4 }
