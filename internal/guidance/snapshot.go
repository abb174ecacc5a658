package guidance

import (
	"cmp"
	"slices"

	"tenet/internal/knowledge"
)

// A snapshot is an immutable index of every document that may hold, as of one change.
type snapshot struct {
	seq    knowledge.Seq
	base   *segment
	recent *segment // documents that changed since base was built
	hidden bitset   // documents of base that have changed or no longer hold
}

// A Relevant is a hit of the search for the words of a task.
type Relevant struct {
	Key   knowledge.Key
	Score float64 // greater is better
	Fits  bool    // it is what the task is about: if it is left to the model, it holds by its words alone
}

// A candidate is a document that holds.
type candidate struct {
	*doc
	class int
	depth uint8
	score float64
	fits  bool // what the task is about
}

// before reports whether a candidate comes before another in an answer.
func before(a, b *candidate) int {
	if a.mandatory != b.mandatory {
		return first(a.mandatory)
	}
	if a.class != b.class {
		return a.class - b.class
	}
	if c := byWeight(a.doc, b.doc); c != 0 {
		return c
	}
	if c := within(a, b); c != 0 {
		return c
	}
	return byKey(a.doc, b.doc)
}

// within orders candidates of the same weight: the more specific one first.
func within(a, b *candidate) int {
	if a.depth != b.depth {
		return int(b.depth) - int(a.depth)
	}
	return cmp.Compare(b.score, a.score)
}

// A cursor returns the candidates of a segment in order, lazily.
type cursor struct {
	m     *match
	stage int   // mandatory by class, then the others by class
	at    int32 // the next ordinal of the stage
	group []candidate
}

// next returns the next candidate, nil at the end.
func (c *cursor) next() *candidate {
	for len(c.group) == 0 {
		if c.stage == 2*classes {
			return nil
		}
		s := c.m.s
		from, end := int32(0), s.strict
		if c.stage >= classes {
			from, end = s.strict, int32(len(s.docs)) //nolint:gosec // documents in memory
		}
		class := c.stage % classes
		o := c.m.classes[class].next(max(from, c.at), end)
		if o < 0 {
			c.stage++
			c.at = 0
			continue
		}
		c.fill(class, o, min(s.ends[o], end))
		c.at = min(s.ends[o], end)
	}
	first := &c.group[0]
	c.group = c.group[1:]
	return first
}

// fill collects the candidates of the next weight.
func (c *cursor) fill(class int, o, end int32) {
	sorted := true
	for ; o >= 0; o = c.m.classes[class].next(o+1, end) {
		c.group = append(c.group, c.m.candidate(o, class))
		if n := len(c.group); n > 1 && within(&c.group[n-2], &c.group[n-1]) > 0 {
			sorted = false
		}
	}
	if !sorted {
		slices.SortStableFunc(c.group, func(a, b candidate) int { return within(&a, &b) })
	}
}

// candidate returns a document of a match as a candidate of a class.
func (m *match) candidate(o int32, class int) candidate {
	return candidate{m.s.docs[o], class, m.depth[o], m.score[o], m.fits[o]}
}

// A merge returns the candidates of both segments in order.
type merge struct {
	cursors [2]cursor
	heads   [2]*candidate
}

func newMerge(found [2]*match) *merge {
	g := &merge{}
	for i, m := range found {
		g.cursors[i] = cursor{m: m}
		g.heads[i] = g.cursors[i].next()
	}
	return g
}

func (g *merge) next() *candidate {
	i := 0
	if g.heads[0] == nil || g.heads[1] != nil && before(g.heads[1], g.heads[0]) < 0 {
		i = 1
	}
	c := g.heads[i]
	if c != nil {
		g.heads[i] = g.cursors[i].next()
	}
	return c
}

// find returns a merge over the documents of both segments that hold.
func (s *snapshot) find(q *Query, hits []Relevant) [2]*match {
	return [2]*match{s.base.match(q, s.hidden, hits), s.recent.match(q, nil, hits)}
}
