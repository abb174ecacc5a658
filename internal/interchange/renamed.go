package interchange

import (
	"cmp"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// minAlike is the part of the longer of two texts that both must have, in whole lines, for one to be the other, renamed
// and edited: that of git.
const minAlike = 0.5

// linesIn are the lines of a text and how often each stands there, without their indentation.
type linesIn struct {
	count map[string]int
	size  int
}

func linesOf(text string) linesIn {
	l := linesIn{count: map[string]int{}}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			l.count[line]++
			l.size += len(line)
		}
	}
	return l
}

// alike returns the part of the longer text that both texts have.
func (l linesIn) alike(other linesIn) float64 {
	shared := 0
	for line, n := range l.count {
		shared += len(line) * min(n, other.count[line])
	}
	return float64(shared) / float64(max(l.size, other.size, 1))
}

// A renaming is a new file and one that is gone, of which one may be the other, renamed and edited at once.
type renaming struct {
	step  int
	was   *orphan
	alike float64
}

// renames finds files that hold one document each and were renamed and edited at once, as git does: of those whose
// texts are alike the ones that are most.
func (p *Plan) renames(gone []*orphan, first int) error {
	gone = slices.DeleteFunc(slices.Clone(gone), func(o *orphan) bool { return o.taken || o.origin.entry != "" })
	was := make([]linesIn, len(gone))
	for i, o := range gone {
		was[i] = linesOf(mainText(o.doc))
	}
	var found []renaming
	for i := first; i < len(p.steps); i++ {
		st := &p.steps[i]
		if st.fresh == nil || st.Outcome != Created {
			continue
		}
		if o, _ := originOf(st.fresh); o.entry != "" {
			continue
		}
		now := linesOf(mainText(st.fresh))
		for j, o := range gone {
			if o.rec.Key.Kind != st.fresh.Key().Kind {
				continue
			}
			if p.pairs++; p.pairs > maxMovePairs {
				st.note(tooManyMoved)
				break
			}
			if a := now.alike(was[j]); a >= minAlike {
				found = append(found, renaming{i, o, a})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b renaming) int { return cmp.Compare(b.alike, a.alike) })
	moved := map[int]bool{}
	for _, r := range found {
		if r.was.taken || moved[r.step] {
			continue
		}
		moved[r.step] = true
		if err := p.move(r.step, r.was); err != nil {
			return err
		}
	}
	return nil
}

// mainText returns the text that a file of a document is mostly made of.
func mainText(d knowledge.Document) string {
	switch d := d.(type) {
	case *knowledge.Rule:
		return d.Description
	case *knowledge.Practice:
		return d.ImplementationGuide
	case *knowledge.Template:
		return d.TemplateContent
	}
	return ""
}

// note adds a note, once.
func (st *Step) note(text string) {
	if !slices.Contains(st.Notes, text) {
		st.Notes = append(st.Notes, text)
	}
}
