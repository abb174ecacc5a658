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

// An Outcome says what an import does with a document or a file.
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

// A Step is the action of an import for one document, or for a file without documents.
type Step struct {
	Source   string
	Path     string        // of the file, within the source
	Place    string        // in the file, as in "line 12"; "" for the whole
	Format   Format        // "" for a skipped file, a pruned document, a category that the import needs
	Key      knowledge.Key // zero for a file that gave no document
	Outcome  Outcome
	Reason   string // why it is refused or skipped
	Notes    []string
	Versions int      // of a document of an export with history, how many are written
	Invalid  []string // faults of a document of the export that is taken all the same, where the options say so
	Version  int64    // the version that is there now; 0 for none
	Edited   bool     // of a file, that somebody has edited what tenet wrote into it: the edit is not imported

	doc  knowledge.Document // what to write, nil for none and for history
	was  knowledge.Document // what is there now, of a change
	size int                // of doc, as JSON

	fresh    knowledge.Document // what a foreign file holds that is not there under its id, as it was read
	ownNotes []string           // the notes of fresh
}

// Documents returns what is there now and what will be, of a step that changes a document; nil for others.
func (st *Step) Documents() (was, will knowledge.Document) { return st.was, st.doc }

// A Current returns the document that a key names as it is now, in use or retired; nil when there is none.
type Current func(knowledge.Key) (*knowledge.Record, error)

// PlanOptions says how to plan.
type PlanOptions struct {
	Current Current // required
	// Position returns the seq of a version of a document. With it, the labels of an export with history name the
	// same position as there; without it they keep their numbers.
	Position func(knowledge.Key, int64) (knowledge.Seq, error)
	// Imported lists the documents of every kind, in use or retired, that carry a tag (see [SourceTag]). With it, what
	// a source imported before is compared without asking for each document, and is known again by its place in the
	// source whatever its id is.
	Imported func(tag string) iter.Seq2[*knowledge.Record, error]
	// All lists every document of the kinds [Listed], in use or retired. With it, an import of many documents is
	// compared by a few pages.
	All func() iter.Seq2[*knowledge.Record, error]
	// Recognize leaves out what is there already from another folder or checkout: the same text that holds for the
	// same. It needs All.
	Recognize bool
	// Status is what a rule gets that is created; the file's, or ACTIVE, when empty.
	Status string
	// Strict refuses templates with placeholders that no variable declares, or variables that their text does not use.
	Strict bool
	// Prune retires what a source imported before and no longer holds. It needs Imported.
	Prune bool
	// KeepGoing imports what is good although something is refused.
	KeepGoing bool
	// Invalid takes documents of an export with history that have faults, as they are: what was written past tenet into
	// the database that was exported.
	Invalid bool
	// Overwrite replaces also what was edited in tenet since it was imported, or came from somewhere else.
	Overwrite bool
	// Progress is called after each file with how many of a source are done. May be nil.
	Progress func(done, of int)
	// Entries is called now and then within a file of many documents. May be nil.
	Entries func(path string, done, of int)
}

// A Plan is what an import will do, worked out before anything is written.
type Plan struct {
	o         PlanOptions
	steps     []Step
	seen      map[knowledge.Key]int // step of each document that was read
	there     map[string]bool       // categories that are known to exist
	histories []*history
	before    *imported // what the source that is being read imported before
	shelf     *shelf    // what the store holds; nil before it is needed, and for a large store
	filled    bool      // the shelf was asked for
	asked     int       // documents that were asked for one by one
	pairs     int       // pairs of documents that were compared to find what was moved
}

// NewPlan returns an empty plan.
func NewPlan(o PlanOptions) *Plan {
	return &Plan{o: o, seen: map[knowledge.Key]int{}, there: map[string]bool{}}
}

// Add reads a whole source and plans its import. The source must stay open until the batches are made. The error is
// that of Current or Imported; what is wrong with the files becomes a refused step.
func (p *Plan) Add(s *Source) error {
	first := len(p.steps)
	done := 0
	var err error
	if p.before, err = p.loadImported(s); err != nil {
		return err
	}
	keep := map[string]bool{} // files whose documents are not pruned: nobody knows what they hold
	for it := range s.Items() {
		if it.Err != nil || it.kept || slices.ContainsFunc(it.Entries, func(e Entry) bool { return e.Err != nil }) {
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
	if err := p.moves(s, first, keep); err != nil {
		return err
	}
	if err := p.categories(s, first); err != nil {
		return err
	}
	if !p.o.Prune || p.o.Imported == nil {
		return nil
	}
	return p.prune(s, keep)
}

func (p *Plan) item(s *Source, it Item) error {
	base := Step{Source: s.name, Path: it.Path, Format: it.Format, Notes: it.Notes, Edited: it.Edited}
	if base.Outcome, base.Reason = it.fate(); base.Outcome != "" {
		p.steps = append(p.steps, base)
		return nil
	}
	if it.History != nil {
		return p.history(base, it.History)
	}
	for i, e := range it.Entries {
		if p.o.Entries != nil && i%100 == 0 {
			p.o.Entries(it.Path, i, len(it.Entries))
		}
		if err := p.known(&e); err != nil {
			return err
		}
		st := base
		st.Key, st.Place = e.Key, e.Place
		st.Notes = slices.Concat(base.Notes, e.Notes, p.loose(&e))
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

// fate returns the outcome of a file without documents, and the reason; "" for a file with documents.
func (it *Item) fate() (Outcome, string) {
	switch {
	case it.Err != nil:
		return Refused, it.Err.Error()
	case it.Skipped != "":
		return Skipped, it.Skipped
	}
	return "", ""
}

// claim records the step of a document: the first one that read it.
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
	rec, err := p.current(e.Key)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Key, err)
	}
	if rec == nil && e.Key.Kind != knowledge.KindLabel && e.Key.Kind != knowledge.KindProposal {
		return p.create(st, e)
	}
	var current knowledge.Document
	if rec != nil {
		st.Version = rec.Version
		if current, err = rec.Document(); err != nil {
			return fmt.Errorf("read %s: %w", e.Key, err)
		}
	}
	if elsewhere(e.Doc, current) {
		st.Outcome, st.Reason = Skipped, "it names a position of the log that it comes from, which is another one here: "+
			"set it here with tenet label set "+e.Key.ID
		return nil
	}
	if why := undecidable(e.Doc, current); why != "" {
		st.Outcome, st.Reason = Skipped, why
		return nil
	}
	if e.Own {
		return st.ownChange(e.Doc, current)
	}
	return p.foreignChange(st, e.Doc, current)
}

// elsewhere reports whether a document is a label at another position than the store's, if it has one: without the log
// that it was set in it names nothing.
func elsewhere(d, current knowledge.Document) bool {
	l, ok := d.(*knowledge.Label)
	if !ok {
		return false
	}
	there, ok := current.(*knowledge.Label)
	return !ok || there.Seq != l.Seq
}

// undecidable says why a proposal is not written, "" for other documents and for a proposal that is there as it is: who
// has written it and what others have said of it, an import can't say in their names.
func undecidable(d, current knowledge.Document) string {
	if d.Key().Kind != knowledge.KindProposal {
		return ""
	}
	if current != nil {
		if same, err := sameContent(d, current); err == nil && same {
			return ""
		}
	}
	return "a proposal and its reviews belong to the instance in which they were made: only JSON lines with their history " +
		"bring them; tenet propose makes a new one"
}

// create decides about a document that is not there under its id.
func (p *Plan) create(st *Step, e Entry) error {
	key, here, err := p.here(&e)
	if err != nil {
		return err
	}
	if _, foreign := originOf(e.Doc); foreign && !e.Own && len(p.before.list) > 0 {
		if st.fresh, err = knowledge.Clone(e.Doc); err != nil {
			return err
		}
		st.ownNotes = slices.Clone(st.Notes)
	}
	if here {
		delete(p.seen, e.Key)
		st.Outcome, st.Key = Unchanged, key
		st.Notes = append(st.Notes, "is here already as "+key.String())
		return nil
	}
	if err := p.begin(e.Doc, e.Own); err != nil {
		return err
	}
	st.Notes = append(st.Notes, p.supersedes(e)...)
	return st.write(Created, e.Doc)
}

// begin gives a rule that is created the status that was asked for.
func (p *Plan) begin(d knowledge.Document, own bool) error {
	rule, ok := d.(*knowledge.Rule)
	if !ok || p.o.Status == "" || rule.Status == p.o.Status {
		return nil
	}
	rule.Status = p.o.Status
	if o, foreign := originOf(d); foreign && !own {
		o.status = p.o.Status
		o.put(d)
		return sign(d)
	}
	return nil
}

// loose names what a template's writer may not have meant. A strict plan refuses it.
func (p *Plan) loose(e *Entry) []string {
	t, ok := e.Doc.(*knowledge.Template)
	if !ok {
		return nil
	}
	faults := t.Loose()
	if len(faults) > 0 && p.o.Strict {
		e.Doc, e.Err = nil, &knowledge.InvalidError{Faults: faults}
		return nil
	}
	var out []string
	for _, f := range faults {
		out = append(out, f.Detail)
	}
	return out
}

// implied reports whether a step only makes a category that others name.
func (p *Plan) implied(step int) bool { return p.steps[step].Implied() }

// Implied reports whether a step makes a category that others name and no file holds.
func (st *Step) Implied() bool {
	return st.Key.Kind == knowledge.KindCategory && st.Format == "" && st.Outcome == Created
}

// giveWay cancels the creation of a category that the import contains itself.
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
	st.Outcome, st.Reason = Refused, fmt.Sprintf("%s was read before, from %s: one of them needs another id", e.Key,
		first.where())
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
	st.was = current
	return st.write(Changed, d)
}

// foreignChange compares a document made of a foreign file with what is there. The digest that the last import left
// tells an edit of the file from an edit in tenet: the first is taken over, the second is kept, and both together are
// refused.
func (p *Plan) foreignChange(st *Step, d, current knowledge.Document) error {
	now, _ := originOf(d)
	before, ok := originOf(current)
	if !ok || before.source != now.source {
		if !p.o.Overwrite {
			st.Outcome = Refused
			st.Reason = fmt.Sprintf("%s is there and did not come from this source: name another source "+
				"(--source), or overwrite it (--overwrite)", d.Key())
			st.was = current
			return nil
		}
	}
	if rule, ok := d.(*knowledge.Rule); ok && before.status != "" { // the status is decided here, and not by the file
		now.status = before.status
		now.put(d)
		rule.Status = statusOf(current)
		if err := sign(d); err != nil {
			return err
		}
		now, _ = originOf(d)
	}
	asImported, err := digest(current)
	if err != nil {
		return err
	}
	edited := asImported != before.digest
	if now.digest == before.digest { // what a later tenet notes of the origin alone is no change
		now.entry = before.entry
		now.put(d)
	}
	switch {
	case before.pruned:
		st.Notes = append(st.Notes, "in its source again: restored")
	case before.off && current.Active() && now.digest == before.digest:
		d.SetActive(true) // a person switched it on here
	case before.off && d.Active():
		st.Notes = append(st.Notes, "switched on again in its source: restored")
	case !current.Active() && d.Active():
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
		st.Reason = "edited in tenet since it was imported, and now in its source too: --overwrite takes the " +
			"source's text; to keep the edit, make it in the source too"
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
		rec, err := p.current(key)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if rec != nil {
			continue
		}
		name, _ := shorten(humanName(id))
		c := &knowledge.Category{
			ID: id, Name: name, Description: "Made by the import of " + s.name + ".",
			IsActive: true,
		}
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
