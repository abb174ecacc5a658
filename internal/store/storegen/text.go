package storegen

import (
	"tenet/internal/knowledge"
)

func (g *generator) word() string { return g.words[g.rnd.Uint32()&(vocabularySize-1)] }

// title returns one line of a few words.
func (g *generator) title() string {
	g.text = append(g.text[:0], verbs[g.rnd.IntN(len(verbs))]...)
	for range 2 + g.rnd.IntN(6) {
		g.text = append(g.text, ' ')
		g.text = append(g.text, g.word()...)
	}
	return string(g.text)
}

// prose returns sentences and paragraphs of about n bytes. Half of the longer ones hold the common word, all of them a
// rare one.
func (g *generator) prose(n int) string {
	g.text = g.text[:0]
	common := n > 200 && g.rnd.IntN(2) == 0
	rare := n > 200
	for len(g.text) < n {
		g.sentence()
		if common && len(g.text) > n/3 {
			g.text = append(g.text, " The "...)
			g.text = append(g.text, CommonWord...)
			g.text = append(g.text, " decides."...)
			common = false
		}
		if rare && len(g.text) > n/2 {
			g.text = append(g.text, " See "...)
			g.text = append(g.text, RareWord(g.rnd.IntN(rareWords))...)
			g.text = append(g.text, '.')
			rare = false
		}
		if g.rnd.IntN(5) == 0 {
			g.text = append(g.text, '\n', '\n')
		} else {
			g.text = append(g.text, ' ')
		}
	}
	return string(g.text[:max(0, len(g.text)-1)])
}

func (g *generator) sentence() {
	from := len(g.text)
	words := 6 + g.rnd.IntN(12)
	for i := range words {
		if i > 0 {
			g.text = append(g.text, ' ')
		}
		g.text = append(g.text, g.word()...)
		if i == words/2 && words > 12 {
			g.text = append(g.text, ',')
		}
	}
	if c := g.text[from]; c >= 'a' && c <= 'z' {
		g.text[from] = c - 'a' + 'A'
	}
	g.text = append(g.text, '.')
}

// examples returns one or two examples of n bytes of code together.
func (g *generator) examples(n int) []knowledge.Example {
	count := 1 + g.rnd.IntN(2)
	list := make([]knowledge.Example, count)
	for i := range list {
		list[i] = knowledge.Example{Title: g.title(), Language: "go", Code: g.code(n / count), Note: g.title()}
	}
	return list
}

func (g *generator) code(n int) string {
	g.text = append(g.text[:0], "func "...)
	g.text = append(g.text, asciiWords[g.rnd.IntN(len(asciiWords))]...)
	g.text = append(g.text, "(ctx context.Context) error {\n"...)
	for len(g.text) < n {
		g.text = append(g.text, '\t')
		g.text = append(g.text, asciiWords[g.rnd.IntN(len(asciiWords))]...)
		g.text = append(g.text, " := "...)
		g.text = append(g.text, asciiWords[g.rnd.IntN(len(asciiWords))]...)
		g.text = append(g.text, ".Get(ctx)\n"...)
	}
	return string(append(g.text, "\treturn nil\n}"...))
}
