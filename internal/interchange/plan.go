package interchange

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"tenet/internal/knowledge"
)

// ErrRefused says that a plan holds refusals, and that it was not told to keep going.
var ErrRefused = errors.New("something was refused, and nothing is imported by halves")

// An Outcome says what an import does with one document or file.
type Outcome string

// Outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Pruned    Outcome = "pruned"  // retired: its source no longer holds it
	Skipped   Outcome = "skipped" // a file with nothing to import in it
	Refused   Outcome = "refused"
)

// Outcomes returns every outcome, in the order of a summary.
func Outcomes() []Outcome { return []Outcome{Created, Changed, Unchanged, Pruned, Skipped, Refused} }

// A Step is what an import does with one document, or with a file that gave none.
type Step struct {
	Source  string
	Path    string        // of the file, within the source
	Place   string        // in the file, as in "line 12"; "" for the whole
	Format  Format        // "" for a skipped file, a pruned document, a category that the import needs
	Key     knowledge.Key // zero for a file that gave no document
	Outcome Outcome
	Reason  string // why it is refused or skipped
	Notes   []string
	Version int64 // the version that is there now; 0 for none

	doc  knowledge.Document // what to write, nil for none and for history
	size int                // of doc, as JSON
}

// A Current returns the document that a key names as it is now, in use or retired; nil when there is none.
type Current func(knowledge.Key) (*knowledge.Record, error)

// PlanOptions says how to plan.
type PlanOptions struct {
	Current Current // required
	// Imported lists the documents of every kind, in use or retired, that carry a tag (see [SourceTag]). Set it to prune:
	// what a source imported before and no longer holds is retired.
	Imported func(tag string) iter.Seq2[*knowledge.Record, error]
	// KeepGoing imports what is good although something is refused.
	KeepGoing bool
	// Overwrite replaces also what was edited in tenet since it was imported, or came from somewhere else.
	Overwrite bool
	// Progress is called after each file with how many of a source are done. May be nil.
	Progress func(done, of int)
}

// A Plan is what an import will do, worked out before anything is written.
type Plan struct {
	o         PlanOptions
	steps     []Step
	seen      map[knowledge.Key]int // step of each document that was read
	there     map[string]bool       // categories that are known to exist
	histories []*history
}

// NewPlan returns an empty plan.
func NewPlan(o PlanOptions) *Plan {
	return &Plan{o: o, seen: map[knowledge.Key]int{}, there: map[string]bool{}}
}

// Add reads a whole source and plans its import. The source must stay open until the batches are made. The error is that
// of Current or Imported; what is wrong with the files becomes a refused step.
func (p *Plan) Add(s *Source) error {
	first := len(p.steps)
	done := 0
	keep := map[string]bool{} // files whose documents are not pruned: nobody knows what they hold
	for it := range s.Items() {
		if it.Err != nil || it.kept {
			keep[it.Path] = true
		}
		if err := p.item(s, it); err != nil {
			return err
		}
		done++
		if p.o.Progress != nil {
			p.o.Progress(done, s.Len())
		}
	}
	if err := p.categories(s, first); err != nil {
		return err
	}
	if p.o.Imported == nil {
		return nil
	}
	return p.prune(s, keep)
}

func (p *Plan) item(s *Source, it Item) error {
	base := Step{Source: s.name, Path: it.Path, Format: it.Format, Notes: it.Notes}
	if base.Outcome, base.Reason = it.fate(); base.Outcome != "" {
		p.steps = append(p.steps, base)
		return nil
	}
	if it.History != nil {
		return p.history(base, it.History)
	}
	for _, e := range it.Entries {
		st := base
		st.Key, st.Place = e.Key, e.Place
		st.Notes = slices.Concat(base.Notes, e.Notes)
		if e.Err != nil {
			st.Outcome, st.Reason = Refused, e.Err.Error()
			if e.Key.ID != "" {
				p.claim(e.Key, len(p.steps))
			}
			p.steps = append(p.steps, st)
			continue
		}
		if err := p.entry(&st, e); err != nil {
			return err
		}
		p.steps = append(p.steps, st)
	}
	return nil
}

// fate returns what becomes of a file that gave no document, and why; nothing for one that did.
func (it *Item) fate() (Outcome, string) {
	switch {
	case it.Err != nil:
		return Refused, it.Err.Error()
	case it.Skipped != "":
		return Skipped, it.Skipped
	}
	return "", ""
}

// claim notes which step a document belongs to, the first one that it was read for.
func (p *Plan) claim(k knowledge.Key, step int) {
	if _, ok := p.seen[k]; !ok {
		p.seen[k] = step
	}
}

// entry decides what happens to one good document.
func (p *Plan) entry(st *Step, e Entry) error {
	if i, twice := p.seen[e.Key]; twice && !p.implied(i) {
		return p.again(st, e, &p.steps[i])
	} else if twice {
		p.steps[i].giveWay()
	}
	p.seen[e.Key] = len(p.steps)
	rec, err := p.o.Current(e.Key)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Key, err)
	}
	if rec == nil {
		return st.write(Created, e.Doc)
	}
	st.Version = rec.Version
	current, err := rec.Document()
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Key, err)
	}
	if e.Own {
		return st.ownChange(e.Doc, current)
	}
	return p.foreignChange(st, e.Doc, current)
}

// implied reports whether a step only makes a category that others name.
func (p *Plan) implied(step int) bool {
	st := &p.steps[step]
	return st.Key.Kind == knowledge.KindCategory && st.Format == "" && st.Outcome == Created
}

// giveWay takes back the making of a category that is met itself.
func (st *Step) giveWay() {
	st.Outcome, st.Reason, st.doc, st.size = Skipped, "what is imported holds the category itself", nil, 0
}

// again decides about a document that was read before in this import.
func (p *Plan) again(st *Step, e Entry, first *Step) error {
	if first.doc != nil && e.Doc != nil {
		same, err := sameContent(first.doc, e.Doc)
		if err != nil {
			return err
		}
		if same {
			st.Outcome = Unchanged
			st.Notes = append(st.Notes, "read before, from "+first.where())
			return nil
		}
	}
	st.Outcome, st.Reason = Refused, fmt.Sprintf("%s was read before, from %s: one of them needs another id", e.Key, first.where())
	return nil
}

func (st *Step) where() string {
	if st.Place == "" {
		return st.Path
	}
	return st.Path + ", " + st.Place
}

// write makes the step one that writes d.
func (st *Step) write(o Outcome, d knowledge.Document) error {
	b, err := knowledge.Canonical(d)
	if err != nil {
		return fmt.Errorf("encode %s: %w", d.Key(), err)
	}
	st.Outcome, st.doc, st.size = o, d, len(b)
	return nil
}

// ownChange compares a document of our own form with what is there.
func (st *Step) ownChange(d, current knowledge.Document) error {
	same, err := sameContent(d, current)
	if err != nil {
		return err
	}
	if same {
		st.Outcome = Unchanged
		return nil
	}
	return st.write(Changed, d)
}

// foreignChange compares a document made of a foreign file with what is there. The digest that the last import left tells
// an edit of the file from an edit in tenet: the first is taken over, the second is kept, and both together are refused.
func (p *Plan) foreignChange(st *Step, d, current knowledge.Document) error {
	now, _ := originOf(d)
	before, ok := originOf(current)
	if !ok || before.source != now.source {
		if !p.o.Overwrite {
			st.Outcome = Refused
			st.Reason = fmt.Sprintf("%s is there and did not come from this source: name another source, or overwrite it", d.Key())
			return nil
		}
	}
	asImported, err := digest(current)
	if err != nil {
		return err
	}
	edited := asImported != before.digest
	switch {
	case before.pruned:
		st.Notes = append(st.Notes, "in its source again: restored")
	case !current.Active():
		d.SetActive(false)
		st.Notes = append(st.Notes, "it is retired, and stays so: restore it to use it")
	}
	switch {
	case edited && now.digest == before.digest && !before.pruned && !p.o.Overwrite:
		st.Outcome = Unchanged
		st.Notes = append(st.Notes, "edited in tenet since it was imported: the edit stays")
		return nil
	case edited && now.digest != before.digest && now.digest != asImported && !p.o.Overwrite:
		st.Outcome = Refused
		st.Reason = "edited in tenet since it was imported, and now in its source too: overwrite it, or take the edit over there"
		return nil
	}
	return st.ownChange(d, current)
}

// categories plans those that the documents name and that are not there, before the steps that need them.
func (p *Plan) categories(s *Source, first int) error {
	needed := map[string]string{}
	for i := first; i < len(p.steps); i++ {
		st := &p.steps[i]
		if st.doc == nil {
			continue
		}
		id := st.doc.CategoryID()
		if id == "" || p.there[id] {
			continue
		}
		if _, ok := needed[id]; !ok {
			needed[id] = st.Path
		}
	}
	var made []Step
	for id, at := range needed {
		key := knowledge.Key{Kind: knowledge.KindCategory, ID: id}
		p.there[id] = true
		if i, ok := p.seen[key]; ok && p.steps[i].Outcome != Refused {
			continue // the source holds it
		}
		rec, err := p.o.Current(key)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if rec != nil {
			continue
		}
		name, _ := shorten(humanName(id))
		c := &knowledge.Category{ID: id, Name: name, Description: "Made by the import of " + s.name + ".", IsActive: true}
		c.Normalize()
		st := Step{Source: s.name, Path: at, Key: key, Notes: []string{"the documents name it, and it was not there"}}
		if err := c.Validate(); err != nil {
			st.Outcome, st.Reason = Refused, err.Error()
		} else if err := st.write(Created, c); err != nil {
			return err
		}
		made = append(made, st)
	}
	slices.SortFunc(made, func(a, b Step) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	for k, i := range p.seen {
		if i >= first {
			p.seen[k] = i + len(made)
		}
	}
	p.steps = slices.Insert(p.steps, first, made...)
	for i := range made {
		if p.steps[first+i].Outcome == Created {
			p.seen[made[i].Key] = first + i
		}
	}
	return nil
}

// Steps returns what the import does, in the order of sources and paths. The caller must not change them.
func (p *Plan) Steps() []Step { return p.steps }

// Count returns the number of steps of each outcome.
func (p *Plan) Count() map[Outcome]int {
	n := map[Outcome]int{}
	for i := range p.steps {
		n[p.steps[i].Outcome]++
	}
	return n
}

// Blocked reports whether something is refused and the plan is not to keep going.
func (p *Plan) Blocked() bool { return !p.o.KeepGoing && p.Count()[Refused] > 0 }

// maxBatchBytes bounds a batch's documents: a batch travels as one request and stands whole in memory on its way.
const maxBatchBytes = 4 << 20

// Batches returns the writes, each of at most maxOps ops ([knowledge.MaxBatchOps] when 0): first histories as they were,
// then documents, kinds in the order in which they refer to each other. Every op names the version that it was compared
// with, so that a document which was written meanwhile is a conflict and is not overwritten. A blocked plan gives
// [ErrRefused]. To retry a batch, keep it: its id is new in every run, since an id made of the content would make the
// store take an import after a purge for one that was done.
func (p *Plan) Batches(actor string, maxOps int) iter.Seq2[knowledge.Batch, error] {
	if maxOps <= 0 || maxOps > knowledge.MaxBatchOps {
		maxOps = knowledge.MaxBatchOps
	}
	return func(yield func(knowledge.Batch, error) bool) {
		if p.Blocked() {
			yield(knowledge.Batch{}, ErrRefused)
			return
		}
		for _, h := range p.histories {
			for b, err := range h.batches(maxOps) {
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
		var ops []knowledge.Op
		size := 0
		for _, st := range p.writes() {
			if len(ops) > 0 && (len(ops) == maxOps || size+st.size > maxBatchBytes) {
				if !yield(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops}, nil) {
					return
				}
				ops, size = nil, 0
			}
			version := st.Version
			if version == 0 {
				version = knowledge.NoVersion
			}
			ops, size = append(ops, knowledge.Put(st.doc, version)), size+st.size
		}
		if len(ops) > 0 {
			yield(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops}, nil)
		}
	}
}

// Writes returns the number of ops that the batches will hold, for a progress bar.
func (p *Plan) Writes() int {
	n := len(p.writes())
	for _, h := range p.histories {
		n += h.ops
	}
	return n
}

// writes returns the steps that write a document, parents first.
func (p *Plan) writes() []*Step {
	var out []*Step
	for i := range p.steps {
		if p.steps[i].doc != nil {
			out = append(out, &p.steps[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *Step) int {
		return cmp.Compare(slices.Index(knowledge.Kinds(), a.Key.Kind), slices.Index(knowledge.Kinds(), b.Key.Kind))
	})
	return out
}
