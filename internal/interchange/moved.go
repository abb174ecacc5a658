package interchange

import (
	"fmt"

	"tenet/internal/knowledge"
)

// maxMovePairs is how many pairs of an edited document and a new file are compared at most.
const maxMovePairs = 10_000

// tooManyMoved is the note of a document that was not compared with all that are gone.
const tooManyMoved = "so many files are new, and so many gone, that it can't be told whether this one was moved and " +
	"edited: it counts as new; import the parts of the source one by one to know"

// An orphan is a document that the source imported before and that no longer stands where it did.
type orphan struct {
	rec    *knowledge.Record
	doc    knowledge.Document
	origin origin
	taken  bool
}

// A nameIn is what names a document in its file.
type nameIn struct {
	kind  knowledge.Kind
	entry string
}

// moves finds what was moved within the source: an entry that stands in another file under the id that it has there, a
// file with the same text under another name, or with most of it. It stays the document that it was, with its history.
func (p *Plan) moves(s *Source, first int, keep map[string]bool) error {
	gone, err := p.gone(s, keep)
	if err != nil || len(gone) == 0 {
		return err
	}
	byName := p.sameName(gone, first)
	byText := map[string]*orphan{}
	for _, o := range gone {
		if h, err := textHash(o.doc); err == nil && h != "" && byText[h] == nil {
			byText[h] = o
		}
	}
	for i := first; i < len(p.steps); i++ {
		fresh := p.steps[i].fresh
		if fresh == nil {
			continue
		}
		o := byName[i]
		if h, err := textHash(fresh); o == nil && err == nil && h != "" {
			o = byText[h]
		}
		if o == nil || o.taken {
			var all bool
			if o, all, err = p.editedTwin(gone, fresh); err != nil {
				return err
			}
			if !all {
				p.steps[i].note(tooManyMoved)
			}
		}
		if o == nil {
			continue
		}
		if err := p.move(i, o); err != nil {
			return err
		}
	}
	return p.renames(gone, first)
}

// gone returns what the source imported before, from where it was read now, and no longer holds there.
func (p *Plan) gone(s *Source, keep map[string]bool) ([]*orphan, error) {
	var out []*orphan
	for _, rec := range p.before.list {
		if _, read := p.seen[rec.Key]; read {
			continue
		}
		d, err := rec.Document()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", rec.Key, err)
		}
		o, ok := originOf(d)
		if !ok || o.source != s.name || kept(keep, o.path) || !s.covers(o.path) {
			continue
		}
		out = append(out, &orphan{rec: rec, doc: d, origin: o})
	}
	return out, nil
}

// sameName returns for the steps from first on the document that has the name of theirs; none where several have it.
func (p *Plan) sameName(gone []*orphan, first int) map[int]*orphan {
	before := map[nameIn][]*orphan{}
	for _, o := range gone {
		if o.origin.entry != "" {
			name := nameIn{o.rec.Key.Kind, o.origin.entry}
			before[name] = append(before[name], o)
		}
	}
	now := map[nameIn][]int{}
	for i := first; i < len(p.steps); i++ {
		if st := &p.steps[i]; st.fresh != nil {
			if o, _ := originOf(st.fresh); o.entry != "" {
				name := nameIn{st.fresh.Key().Kind, o.entry}
				now[name] = append(now[name], i)
			}
		}
	}
	out := map[int]*orphan{}
	for name, steps := range now {
		if was := before[name]; len(steps) == 1 && len(was) == 1 {
			out[steps[0]] = was[0]
		}
	}
	return out
}

// editedTwin returns the document that was imported with the same text and edited in tenet since; nil for none. all is
// false where not all that are gone were compared.
func (p *Plan) editedTwin(gone []*orphan, fresh knowledge.Document) (twin *orphan, all bool, err error) {
	for _, o := range gone {
		if o.taken || o.rec.Key.Kind != fresh.Key().Kind {
			continue
		}
		if p.pairs++; p.pairs > maxMovePairs {
			return nil, false, nil
		}
		d, err := renamed(fresh, o.rec.Key.ID)
		if err != nil {
			return nil, false, err
		}
		if now, _ := originOf(d); now.digest == o.origin.digest {
			return o, true, nil
		}
	}
	return nil, true, nil
}

// move makes a step that would create a document one that keeps the document which was moved there.
func (p *Plan) move(i int, o *orphan) error {
	st := &p.steps[i]
	o.taken = true
	if p.seen[st.Key] == i {
		delete(p.seen, st.Key)
	}
	doc, err := renamed(st.fresh, o.rec.Key.ID)
	if err != nil {
		return err
	}
	st.Key, st.Version, st.Notes, st.doc = o.rec.Key, o.rec.Version, st.ownNotes, nil
	st.Notes = append(st.Notes, "it was in "+o.origin.path+" before")
	p.seen[st.Key] = i
	if err := p.foreignChange(st, doc, o.doc); err != nil || st.Outcome != Unchanged {
		return err
	}
	// The edit that was made here stays, and where its file is now is noted.
	now, _ := originOf(doc)
	kept, err := knowledge.Clone(o.doc)
	if err != nil {
		return err
	}
	at := o.origin
	at.path, at.entry = now.path, now.entry
	at.put(kept)
	return st.ownChange(kept, o.doc)
}
