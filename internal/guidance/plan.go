package guidance

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"tenet/internal/knowledge"
)

// A choice is a document of an answer, with its form.
type choice struct {
	*candidate
	form  string
	known bool
	cost  int
}

// A plan is an answer without texts.
type plan struct {
	choices []choice
	left    Omissions
	used    int
	reserve int
	notes   []string
	tag     string
}

// plan returns the answer of the snapshot to a checked query. It is a pure function of the snapshot, the query and the
// hits.
func (s *snapshot) plan(q *Query, hits []Relevant) *plan {
	found := s.find(q, hits)
	fam, _ := family(q.Budget.Family)
	p := &plan{
		left:    Omissions{Counts: map[string]int{}, First: []Omission{}},
		reserve: int(float64(q.Budget.Tokens) * reserve),
	}
	f := filler{q: q, fam: fam, room: q.Budget.Tokens - p.reserve, p: p}
	total := 0
	for _, m := range found {
		for _, b := range m.classes {
			total += b.count()
		}
	}
	g := newMerge(found)
	if q.Budget.Explain {
		p.reserve = 0
		f.explain(g)
	} else {
		c := f.mandatory(g)
		f.keep(found)
		f.others(g, c)
	}
	p.leave(LeftBudget, total-len(p.choices)-p.left.Counts[LeftBound])
	p.leaveFound(q, found)
	for _, m := range found {
		p.noteBroken(m)
	}
	p.tag = p.etag(q)
	return p
}

// A filler spends the budget of a plan.
type filler struct {
	q    *Query
	fam  Family
	room int
	kept int          // of room, what is kept for the documents that the task is about
	each map[*doc]int // of kept, what is kept for each of them
	p    *plan
}

func (f *filler) cost(c *candidate, form string) int {
	return f.fam.cost(c.tokens[slices.Index([]string{FormFull, FormBrief, FormLink}, form)])
}

func (f *filler) take(c *candidate, form string, known bool) {
	cost := f.cost(c, form)
	f.room -= cost
	f.p.used += cost
	f.p.choices = append(f.p.choices, choice{c, form, known, cost})
}

func (f *filler) isKnown(c *candidate) bool {
	return slices.Contains(f.q.Known, Known{c.key, c.version})
}

// explain adds every document that holds, without its text.
func (f *filler) explain(g *merge) {
	for c := g.next(); c != nil; c = g.next() {
		if len(f.p.choices) == MaxItems {
			f.p.leaveOne(LeftBound, c)
			continue
		}
		f.p.choices = append(f.p.choices, choice{candidate: c, form: FormLink, known: f.isKnown(c)})
	}
}

// mandatory adds every mandatory document: in full while the budget also covers links to the mandatory ones behind it,
// then in brief, then as a link. It returns the first candidate that is not mandatory.
func (f *filler) mandatory(g *merge) *candidate {
	var list []*candidate
	links := 0
	c := g.next()
	for ; c != nil && c.mandatory; c = g.next() {
		if len(list) == MaxItems {
			f.p.leaveOne(LeftBound, c)
			continue
		}
		list = append(list, c)
		links += f.cost(c, FormLink)
	}
	if links > f.room {
		f.p.notes = append(f.p.notes, fmt.Sprintf(
			"%s %s even as links: the budget is overdrawn", knowledge.Count(len(list), "mandatory document takes",
				"mandatory documents take"), knowledge.Count(links, "token", "tokens")))
	}
	if n := f.p.left.Counts[LeftBound]; n > 0 {
		f.p.notes = append(f.p.notes, fmt.Sprintf(
			"%d mandatory documents are left out: an answer holds %d at most; ask for fewer paths", n, MaxItems))
	}
	for _, c := range list {
		links -= f.cost(c, FormLink)
		form := FormLink
		known := f.isKnown(c)
		if !known {
			for _, better := range []string{FormFull, FormBrief} {
				if f.cost(c, better)+links <= f.room {
					form = better
					break
				}
			}
		}
		f.take(c, form, known)
	}
	return c
}

// misses is the number of documents in a row that did not fit after which the rest is only counted.
const misses = 200

// taskRoom is the share of the room behind the mandatory documents that is kept for what the task is about.
const taskRoom = 0.5

// keep keeps room for the documents that the task is about. They are what was asked for, and the rules that hold for
// every file would leave them none. All of them in a few words are worth more than one in full: each gets a link first,
// then each its brief form and then its full text, the one that fits best first.
func (f *filler) keep(found [2]*match) {
	var list []candidate
	for _, m := range found {
		for o := range m.fits {
			for class, b := range m.classes {
				if b.has(o) && !m.s.docs[o].mandatory {
					list = append(list, m.candidate(o, class))
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), byKey(a.doc, b.doc))
	})
	f.each = make(map[*doc]int, len(list))
	share := int(taskRoom * float64(max(f.room, 0)))
	for _, form := range []string{FormLink, FormBrief, FormFull} {
		for i := range list {
			c := &list[i]
			more := f.cost(c, form) - f.each[c.doc]
			if f.isKnown(c) && form != FormLink || f.kept+more > share || form != FormLink && f.each[c.doc] == 0 {
				continue
			}
			f.each[c.doc] += more
			f.kept += more
		}
	}
}

// forms are the forms that a document may have which is not mandatory, the best first. One that the task is about may
// be shortened.
func (f *filler) forms(c *candidate) []string {
	forms := []string{FormFull, FormBrief, FormLink}
	switch {
	case f.isKnown(c):
		return forms[2:]
	case c.class != classTask && f.each[c.doc] == 0:
		return forms[:1]
	}
	return forms
}

// others adds the remaining candidates that fit, in order.
func (f *filler) others(g *merge, c *candidate) {
	for missed := 0; c != nil && missed < misses && len(f.p.choices) < MaxItems; c = g.next() {
		f.kept -= f.each[c.doc]
		form, fits := f.fitting(c, f.room-f.kept, f.forms(c)...)
		if !fits {
			missed++
			f.p.name(LeftBudget, c.doc, firstLeft)
			continue
		}
		missed = 0
		f.take(c, form, f.isKnown(c))
	}
	if c != nil {
		f.p.name(LeftBudget, c.doc, firstLeft)
	}
}

// fitting returns the first of some forms of a document that some room is enough for.
func (f *filler) fitting(c *candidate, room int, forms ...string) (string, bool) {
	for _, form := range forms {
		if f.cost(c, form) <= room {
			return form, true
		}
	}
	return "", false
}

// leaveOne counts an omitted document, and names it if it is one of the first.
func (p *plan) leaveOne(reason string, c *candidate) {
	p.left.Counts[reason]++
	p.name(reason, c.doc, firstLeft)
}

func (p *plan) name(reason string, d *doc, most int) {
	if len(p.left.First) < most {
		p.left.First = append(p.left.First, Omission{
			Kind: d.key.Kind, ID: d.key.ID, Title: d.title, Severity: d.severity, Enforcement: d.enforcement, Reason: reason,
			Tokens: int(d.tokens[0]),
		})
	}
}

// leave adds n omitted documents to the count of a reason.
func (p *plan) leave(reason string, n int) {
	if n > 0 {
		p.left.Counts[reason] = n
		return
	}
	delete(p.left.Counts, reason)
}

// leaveFound counts the documents that might have held: those left to the model, and those for other targets.
func (p *plan) leaveFound(q *Query, found [2]*match) {
	most := firstLeft
	if q.Budget.Explain {
		most = MaxItems
	}
	model, foreign := 0, 0
	for _, m := range found {
		model += m.model.count()
		foreign += m.foreign
	}
	p.leave(LeftModel, model)
	p.leave(LeftTarget, foreign)
	for _, m := range found {
		p.nameAll(LeftModel, m.s, m.model, most)
	}
	for _, m := range found {
		if m.aimed != nil {
			p.nameAll(LeftTarget, m.s, m.aimed, most)
		}
	}
	for _, n := range p.left.Counts {
		p.left.Total += n
	}
}

func (p *plan) nameAll(reason string, s *segment, b bitset, most int) {
	end := int32(len(s.docs)) //nolint:gosec // documents in memory
	for o := b.next(0, end); o >= 0 && len(p.left.First) < most; o = b.next(o+1, end) {
		p.name(reason, s.docs[o], most)
	}
}

// noteBroken adds a note about documents with globs that can't be read.
func (p *plan) noteBroken(m *match) {
	for _, key := range m.s.broken {
		if m.hidden != nil && m.hidden.has(m.s.ordinal[key]) {
			continue
		}
		if len(p.notes) >= 20 {
			return
		}
		p.notes = append(p.notes, key.String()+
			" has a glob that can't be read and matches nothing: write the document again to see which")
	}
}

// etag returns the entity tag of an answer.
func (p *plan) etag(q *Query) string {
	h := sha256.New()
	num := func(n uint64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	text := func(s string) {
		num(uint64(len(s)))
		h.Write([]byte(s))
	}
	text(q.Budget.Family)
	for i := range p.choices {
		c := &p.choices[i]
		text(c.key.String())
		text(c.form)
		num(uint64(c.version)) //nolint:gosec // a sum
		num(c.sum)
		h.Write(c.pending[:])
	}
	for _, l := range p.left.First {
		text(string(l.Kind) + "/" + l.ID + " " + l.Reason)
	}
	for _, reason := range []string{LeftBudget, LeftModel, LeftTarget, LeftBound} {
		num(uint64(p.left.Counts[reason])) //nolint:gosec // a sum
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:12]) + `"`
}

// because returns why a document holds for a query: for each path the first glob that includes it, up to a few.
func because(d *doc, class int, q *Query) []Reason {
	const most = 5
	switch {
	case class == classTask:
		return []Reason{{By: ByTask}}
	case d.scope.Activation == "always":
		return []Reason{{By: ByAlways}}
	}
	var list []Reason
	if class == classLanguage {
		for _, l := range q.spoken() {
			if slices.Contains(d.scope.Languages, l) {
				list = append(list, Reason{By: ByLanguage, Language: l})
			}
		}
		return list
	}
	var globs []knowledge.Glob
	for _, text := range d.scope.Globs {
		g, err := knowledge.ParseGlob(text)
		if err != nil {
			g = knowledge.Glob{} // it matches nothing, and keeps the indexes aligned
		}
		globs = append(globs, g)
	}
	for _, p := range q.Paths {
		if i := including(globs, p); i >= 0 && len(list) < most {
			list = append(list, Reason{By: ByGlob, Glob: d.scope.Globs[i], Path: p})
		}
	}
	return list
}

// including returns the index of the glob that includes a path, or -1 if none does or one excludes the path.
func including(globs []knowledge.Glob, clean string) int {
	by := -1
	for i := range globs {
		switch {
		case globs[i].Exclude && globs[i].Match(clean):
			return -1
		case by < 0 && !globs[i].Exclude && globs[i].Match(clean):
			by = i
		}
	}
	return by
}
