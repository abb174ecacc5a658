package guidance

import (
	"slices"

	"tenet/internal/knowledge"
)

// A segment is an immutable index over some documents. The ordinal of a document is its place in docs, which are sorted
// by byRank: so a walk through a bitset finds documents in the order of answers.
type segment struct {
	docs    []*doc
	ordinal map[knowledge.Key]int32
	ends    []int32 // for each ordinal, the end of the run with the same weight
	strict  int32   // number of mandatory documents; they come first

	always, model bitset
	meant         map[string]bitset // documents with targets, by target
	targeted      bitset            // documents that have any target
	languages     map[string][]int32
	spoken        map[string][]int32 // the same, including documents with globs, for queries without paths
	patterns      []pattern
	folders       map[string]*folder
	excluding     bitset
	excludes      map[int32][]knowledge.Glob
	broken        []knowledge.Key // documents with a glob that can't be read: it matches nothing
}

// newSegment builds a segment of documents. It keeps the slice.
func newSegment(docs []*doc) *segment {
	slices.SortFunc(docs, byRank)
	n := len(docs)
	s := &segment{
		docs: docs, ordinal: make(map[knowledge.Key]int32, n), ends: make([]int32, n),
		always: newBitset(n), model: newBitset(n), targeted: newBitset(n), excluding: newBitset(n),
		meant: map[string]bitset{}, languages: map[string][]int32{}, spoken: map[string][]int32{},
		folders:  map[string]*folder{},
		excludes: map[int32][]knowledge.Glob{},
	}
	known := map[string]int32{}
	for i, d := range docs {
		o := int32(i)
		s.ordinal[d.key] = o
		if d.mandatory {
			s.strict++
		}
		s.add(o, d, known)
	}
	for i := n - 1; i >= 0; i-- {
		s.ends[i] = int32(i + 1) //nolint:gosec // documents in memory
		if i+1 < n && byWeight(docs[i], docs[i+1]) == 0 {
			s.ends[i] = s.ends[i+1]
		}
	}
	s.thicken()
	return s
}

// add enters one document in the lookups of the segment.
func (s *segment) add(o int32, d *doc, known map[string]int32) {
	for _, t := range d.scope.Targets {
		s.targeted.set(o)
		if s.meant[t] == nil {
			s.meant[t] = newBitset(len(s.docs))
		}
		s.meant[t].set(o)
	}
	switch d.scope.Activation {
	case "always":
		s.always.set(o)
	case "model":
		s.model.set(o)
	case "glob":
		includes := s.addGlobs(o, d, known)
		for _, l := range d.scope.Languages {
			s.spoken[l] = append(s.spoken[l], o)
			if !includes {
				s.languages[l] = append(s.languages[l], o)
			}
		}
	}
}

// addGlobs enters the globs of a document, and reports whether any of them is an include.
func (s *segment) addGlobs(o int32, d *doc, known map[string]int32) (includes bool) {
	for _, text := range d.scope.Globs {
		g, err := knowledge.ParseGlob(text)
		switch {
		case err != nil: // written before globs were checked
			includes = true
			if len(s.broken) == 0 || s.broken[len(s.broken)-1] != d.key {
				s.broken = append(s.broken, d.key)
			}
		case g.Exclude:
			s.excluding.set(o)
			s.excludes[o] = append(s.excludes[o], g)
		default:
			includes = true
			for _, p := range g.Patterns {
				s.addPattern(o, p, known)
			}
		}
	}
	return includes
}

func (s *segment) addPattern(o int32, text string, known map[string]int32) {
	i, ok := known[text]
	if !ok {
		i = int32(len(s.patterns)) //nolint:gosec // patterns in memory
		known[text] = i
		at := placeOf(text)
		s.patterns = append(s.patterns, pattern{text: text, depth: at.depth, sure: at.sure, here: at.here})
		f := s.folders[at.dir]
		if f == nil {
			f = &folder{base: map[string][]int32{}, ext: map[string][]int32{}}
			s.folders[at.dir] = f
		}
		switch {
		case at.base != "":
			f.base[at.base] = append(f.base[at.base], i)
		case at.ext != "":
			f.ext[at.ext] = append(f.ext[at.ext], i)
		default:
			f.any = append(f.any, i)
		}
	}
	p := &s.patterns[i]
	if n := len(p.docs); n == 0 || p.docs[n-1] != o {
		p.docs = append(p.docs, o)
	}
}

// thicken converts long lists into bitsets.
func (s *segment) thicken() {
	for i := range s.patterns {
		p := &s.patterns[i]
		p.docs = slices.Clip(p.docs)
		if len(p.docs) > 64 && len(p.docs) > len(s.docs)/64 {
			p.dense = newBitset(len(s.docs))
			for _, o := range p.docs {
				p.dense.set(o)
			}
		}
	}
}

// A match is the set of documents of a segment that hold for a query.
type match struct {
	s       *segment
	classes [classes]bitset // by the reason; each document is in one class at most
	depth   map[int32]uint8 // of the most specific pattern that matched, if it has literal folders
	score   map[int32]float64
	fits    map[int32]bool
	model   bitset // left to the model
	hidden  bitset // documents with a newer entry in another segment
	foreign int    // number of documents that hold only for other targets
	aimed   bitset // those documents
}

// Classes of documents that hold, in the order of answers.
const (
	classScope = iota // always, or by a glob
	classLanguage
	classTask
	classes
)

// match returns the documents that hold. hidden are documents with a newer entry in another segment; nil for none.
func (s *segment) match(q *Query, hidden bitset, hits []Relevant) *match {
	n := len(s.docs)
	m := &match{s: s, depth: map[int32]uint8{}, score: map[int32]float64{}, fits: map[int32]bool{}, hidden: hidden}
	for i := range m.classes {
		m.classes[i] = newBitset(n)
	}
	m.classes[classScope].or(s.always)
	for _, p := range q.Paths {
		s.matchPath(m, p)
	}
	spoken, by := q.spoken(), s.languages
	if len(q.Paths) == 0 {
		by = s.spoken
	}
	for _, l := range spoken {
		for _, o := range by[l] {
			if !m.classes[classScope].has(o) && !s.excludesAll(o, q, l) {
				m.classes[classLanguage].set(o)
			}
		}
	}
	m.model = slices.Clone(s.model)
	if hidden != nil {
		for _, b := range append(m.classes[:], m.model) {
			b.andNot(hidden)
		}
	}
	m.narrow(q.Target)
	m.take(hits, spoken)
	return m
}

// excludesAll reports whether a document excludes every path by which a query is about a language.
func (s *segment) excludesAll(o int32, q *Query, language string) bool {
	if !s.excluding.has(o) || slices.Contains(q.Languages, language) {
		return false
	}
	for _, p := range q.Paths {
		if slices.Contains(knowledge.LanguagesOf(p), language) &&
			!slices.ContainsFunc(s.excludes[o], func(g knowledge.Glob) bool { return g.Match(p) }) {
			return false
		}
	}
	return len(q.Paths) > 0
}

// matchPath adds the documents that hold for one path by their globs.
func (s *segment) matchPath(m *match, clean string) {
	found := m.classes[classScope]
	fresh := found
	excluding := len(s.excludes) > 0
	if excluding {
		fresh = newBitset(len(s.docs))
	}
	var deep []*pattern
	s.find(clean, func(p *pattern) {
		if p.dense != nil {
			fresh.or(p.dense)
		} else {
			for _, o := range p.docs {
				fresh.set(o)
			}
		}
		if p.depth > 0 {
			deep = append(deep, p)
		}
	})
	if excluding {
		for i := range fresh {
			for w := fresh[i] & s.excluding[i]; w != 0; w &= w - 1 {
				o := bitset{w}.next(0, 64) + int32(i)*64
				if slices.ContainsFunc(s.excludes[o], func(g knowledge.Glob) bool { return g.Match(clean) }) {
					fresh.clear(o)
				}
			}
		}
		found.or(fresh)
	}
	for _, p := range deep {
		for _, o := range p.docs {
			if fresh.has(o) {
				m.depth[o] = max(m.depth[o], p.depth)
			}
		}
	}
}

// narrow removes the documents that are meant for other targets.
func (m *match) narrow(target string) {
	if target == "" || len(m.s.meant) == 0 {
		return
	}
	others := slices.Clone(m.s.targeted)
	others.andNot(m.s.meant[target])
	m.aimed = newBitset(len(m.s.docs))
	for _, b := range append(m.classes[:], m.model) {
		for i := range b {
			m.aimed[i] |= b[i] & others[i]
		}
		b.andNot(others)
	}
	m.foreign = m.aimed.count()
}

// take moves the chosen hits from the documents left to the model into the match, and notes the scores of all others.
func (m *match) take(hits []Relevant, spoken []string) {
	for _, h := range hits {
		o, ok := m.s.ordinal[h.Key]
		if !ok {
			continue
		}
		m.score[o] = h.Score
		if !h.Fits {
			continue
		}
		m.fits[o] = true
		if m.model.has(o) && speaks(m.s.docs[o].scope.Languages, spoken) {
			m.model.clear(o)
			m.classes[classTask].set(o)
		}
	}
}

// speaks reports whether a document for some languages fits a query about others.
func speaks(of, spoken []string) bool {
	if len(of) == 0 || len(spoken) == 0 {
		return true
	}
	return slices.ContainsFunc(of, func(l string) bool { return slices.Contains(spoken, l) })
}
