// Package storegen makes plausible documents in any number, the same ones for the same seed, to fill stores that are
// measured.
package storegen

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"

	"tenet/internal/knowledge"
)

// CommonWord stands in about half of the documents.
const CommonWord = "database"

// rareWords is how many rare words there are: with n documents each stands in about n/rareWords of them.
const rareWords = 20_000

// RareWord returns one of the words that stand in few documents. Numbers that differ by less than 20,000 give different
// words.
func RareWord(i int) string {
	i %= rareWords
	a, b, c := i%len(syllables), i/len(syllables)%len(syllables), i/(len(syllables)*len(syllables))%len(syllables)
	return "q" + syllables[a] + syllables[b] + syllables[c]
}

// Generate yields the categories of [Categories] and then n documents: eight in ten are rules, the others practices and
// templates. They are normalized and valid, belong to the categories as unevenly as in life, and hold about 2 KB of
// text each, between 0.5 and 4. The same seed gives the same documents; those of different seeds have different ids.
func Generate(seed uint64, n int) iter.Seq[knowledge.Document] {
	return func(yield func(knowledge.Document) bool) {
		for _, c := range Categories() {
			if !yield(c) {
				return
			}
		}
		g := newGenerator(seed)
		for i := range n {
			if !yield(g.document(i)) {
				return
			}
		}
	}
}

// Categories returns the categories of the documents that [Generate] makes, the largest first.
func Categories() []*knowledge.Category {
	list := make([]*knowledge.Category, len(subjects))
	for i, s := range subjects {
		list[i] = &knowledge.Category{
			ID: s, Name: strings.ToUpper(s[:1]) + strings.ReplaceAll(s[1:], "-", " "), Description: "What holds for " +
				s + ".", IsActive: true,
		}
	}
	return list
}

// A generator makes the documents of one seed, one after the other.
type generator struct {
	seed    uint64
	rnd     *rand.Rand
	subject *rand.Zipf
	words   []string // as often in it as in a text
	text    []byte   // the text being written
}

// vocabularySize is the length of the table of words: a power of two, so that a word costs a mask.
const vocabularySize = 1 << 12

func newGenerator(seed uint64) *generator {
	rnd := rand.New(rand.NewPCG(seed, 0x7e4e7)) //nolint:gosec // the same documents each time are what is wanted
	last := uint64(len(subjects) - 1)           //nolint:gosec // a short list
	g := &generator{
		seed: seed, rnd: rnd, subject: rand.NewZipf(rnd, 1.2, 2, last),
		words: make([]string, vocabularySize),
	}
	// The k-th word stands in proportion to 1/(k+10): uneven as in any language, and no word is everywhere.
	total := 0.0
	for k := range vocabulary {
		total += 1 / float64(k+10)
	}
	at := 0
	for k, w := range vocabulary {
		count := max(1, int(float64(vocabularySize)/total/float64(k+10)))
		for range count {
			if at < vocabularySize {
				g.words[at] = w
				at++
			}
		}
	}
	for ; at < vocabularySize; at++ {
		g.words[at] = vocabulary[at%len(vocabulary)]
	}
	return g
}

func (g *generator) document(i int) knowledge.Document {
	switch i % 10 {
	case 4:
		return g.practice(i)
	case 9:
		return g.template(i)
	default:
		return g.rule(i)
	}
}

func (g *generator) id(kind knowledge.Kind, i int) string {
	return fmt.Sprintf("%s-%d-%07d", kind, g.seed, i)
}

func (g *generator) rule(i int) *knowledge.Rule {
	long := g.size()
	r := &knowledge.Rule{
		RuleID:                g.id(knowledge.KindRule, i),
		Category:              g.category(),
		Title:                 g.title(),
		Description:           g.prose(long * 6 / 10),
		Severity:              g.severity(),
		Enforcement:           knowledge.Enforcements()[g.rnd.IntN(3)],
		Examples:              g.examples(long * 2 / 10),
		AntiPatterns:          g.examples(long / 10),
		ViolationsConsequence: g.prose(long / 10),
		Priority:              int64(g.rnd.IntN(201) - 100),
		Status:                knowledge.StatusActive,
		IsActive:              g.rnd.IntN(50) > 0,
		Common:                g.common(),
	}
	switch g.rnd.IntN(20) {
	case 0:
		r.Status = knowledge.StatusDraft
	case 1:
		r.Status = knowledge.StatusDeprecated
	}
	r.Normalize()
	return r
}

func (g *generator) practice(i int) *knowledge.Practice {
	long := g.size()
	score, adoption := float64(g.rnd.IntN(101))/100, float64(g.rnd.IntN(101))/100
	p := &knowledge.Practice{
		PracticeID:          g.id(knowledge.KindPractice, i),
		Category:            g.category(),
		Title:               g.title(),
		Description:         g.prose(long * 4 / 10),
		Benefits:            []string{g.prose(long / 20), g.prose(long / 20)},
		ImplementationGuide: g.prose(long * 3 / 10),
		AntiPatterns:        g.examples(long / 10),
		References:          []knowledge.Reference{{Title: g.title(), URL: "https://example.com/" + g.word()}},
		Examples:            g.examples(long / 10),
		EffectivenessScore:  &score,
		AdoptionRate:        &adoption,
		IsRequired:          g.rnd.IntN(4) == 0,
		IsActive:            g.rnd.IntN(50) > 0,
		Common:              g.common(),
	}
	p.Normalize()
	return p
}

func (g *generator) template(i int) *knowledge.Template {
	long := g.size()
	t := &knowledge.Template{
		TemplateID:      g.id(knowledge.KindTemplate, i),
		Category:        g.category(),
		Name:            g.title(),
		Description:     g.prose(long * 2 / 10),
		TemplateContent: "# {{title}}\n\n" + g.prose(long*8/10) + "\n\n{{details}}\n",
		Variables: []knowledge.Variable{
			{Name: "title", Title: "Title", Required: true},
			{Name: "details", Title: "Details", Type: knowledge.TypeMultiline, Default: "none"},
		},
		IsActive: g.rnd.IntN(50) > 0,
		Common:   g.common(),
	}
	t.Normalize()
	return t
}

// size is how many bytes of text a document gets: two draws between 0.25 and 2 KB, most often about 2 KB together.
func (g *generator) size() int { return 512 + g.rnd.IntN(1700) + g.rnd.IntN(1700) }

func (g *generator) category() string { return subjects[g.subject.Uint64()] }

// severity is WARNING in half of the rules and CRITICAL in few.
func (g *generator) severity() string {
	switch n := g.rnd.IntN(20); {
	case n == 0:
		return knowledge.SeverityCritical
	case n < 6:
		return knowledge.SeverityError
	case n < 16:
		return knowledge.SeverityWarning
	default:
		return knowledge.SeverityInfo
	}
}

func (g *generator) common() knowledge.Common {
	lang := languages[min(g.rnd.IntN(len(languages)), g.rnd.IntN(len(languages)))] // the first ones more often
	c := knowledge.Common{
		Tags:  g.some(tags, 4),
		Scope: knowledge.Scope{Activation: knowledge.Activations()[g.rnd.IntN(4)]},
	}
	if g.rnd.IntN(3) > 0 {
		c.Scope.Languages = []string{lang.name}
		c.Scope.Globs = []string{"**/*" + lang.extension}
	}
	return c
}

// some returns up to n different entries of a list.
func (g *generator) some(list []string, n int) []string {
	out := make([]string, 0, n)
	at := g.rnd.IntN(len(list))
	for range g.rnd.IntN(n + 1) {
		out = append(out, list[at%len(list)])
		at += 1 + g.rnd.IntN(len(list)/n-1)
	}
	return out
}
