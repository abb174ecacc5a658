package coherence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// What the notes on a write may cost. Most writes cost nothing: they name no other document.
const (
	mostAsked = 100             // questions to the store
	mostNotes = 100             // notes
	notesTime = 2 * time.Second // in which they are found; the write is done by then, and its answer waits
)

// Notes returns what the writers of a batch may not have meant: names of documents, tags, assistants and languages that
// are not there. What they name may come later, so that it is no fault; more often it is a slip, which nothing else
// would show before somebody misses a rule. Records are those of the receipt, which may be of a dry run. s is asked as
// its caller sees it. What s can't be asked gets no note.
func Notes(ctx context.Context, s store.Reader, ops []knowledge.Op, records []*knowledge.Record) []knowledge.Note {
	ctx, cancel := context.WithTimeout(ctx, notesTime)
	defer cancel()
	n := newNoter(s)
	for i := range ops {
		n.there[ops[i].Key] = "" // a dry run has not written it, and it is there all the same
	}
	for i := range min(len(ops), len(records)) {
		n.write(ctx, &ops[i], records[i])
	}
	return n.notes
}

// ProposedNotes returns the notes on what a proposal would write.
func ProposedNotes(ctx context.Context, s store.Reader, p *knowledge.Proposal) []knowledge.Note {
	ctx, cancel := context.WithTimeout(ctx, notesTime)
	defer cancel()
	n := newNoter(s)
	n.proposal(ctx, p)
	return n.notes
}

// ScopeNotes returns the notes on the scope of a document, for which no store is asked.
func ScopeNotes(d knowledge.Document) []knowledge.Note {
	n := &noter{}
	n.about(d.Key(), "", nil)
	n.scope(d)
	return n.notes
}

// Meant returns the document that was probably meant by a key that is none: the id may be that of another kind, or
// nearly that of a document of this one; "" for none.
func Meant(ctx context.Context, s store.Reader, key knowledge.Key) string {
	return newNoter(s).meant(ctx, key)
}

// Nearest returns the document of some kinds whose id is nearly the one given, as far as the first page of each kind
// tells; "" for none.
func Nearest(ctx context.Context, s store.Reader, id string, kinds ...knowledge.Kind) string {
	return newNoter(s).nearest(ctx, id, kinds...)
}

// A noter finds the notes on a write. It asks each question once.
type noter struct {
	s     store.Reader
	asked int                         // how many questions
	there map[knowledge.Key]string    // what to say of a document; "" for one that is there
	tags  map[string]string           // and of a tag
	ids   map[knowledge.Kind][]string // of the first page of each kind
	notes []knowledge.Note

	key    knowledge.Key              // the document that notes are about
	below  string                     // the pointer to what is looked at within it
	fields map[string]json.RawMessage // of a patch, which is about these alone; nil for a whole document
}

func newNoter(s store.Reader) *noter {
	return &noter{
		s: s, there: map[knowledge.Key]string{}, tags: map[string]string{},
		ids: map[knowledge.Kind][]string{},
	}
}

func (n *noter) about(key knowledge.Key, below string, patch json.RawMessage) {
	n.key, n.below, n.fields = key, below, nil
	_ = json.Unmarshal(patch, &n.fields) // what is none is no patch
}

// write looks at what one op has left behind.
func (n *noter) write(ctx context.Context, op *knowledge.Op, rec *knowledge.Record) {
	var doc knowledge.Document
	switch {
	case rec == nil || !rec.Active:
		return
	case op.Verb == knowledge.VerbPut:
		doc = op.Doc // of which the record was made: a large batch is not decoded again
	case op.Verb == knowledge.VerbPatch:
		doc, _ = rec.Document() // what can't be read has no notes
	}
	if doc == nil {
		return
	}
	n.about(op.Key, "", op.Patch)
	if p, ok := doc.(*knowledge.Proposal); ok {
		if op.Verb == knowledge.VerbPut || n.fields["ops"] != nil {
			n.proposal(ctx, p)
		}
		return
	}
	n.document(ctx, doc)
}

// proposal looks at what the ops of a proposal would leave behind.
func (n *noter) proposal(ctx context.Context, p *knowledge.Proposal) {
	if p.State != knowledge.ProposalOpen {
		return
	}
	ops := make([]knowledge.Op, len(p.Ops))
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return // who writes it hears why
		}
		ops[i], n.there[op.Key] = op, ""
	}
	for i := range ops {
		op, at := &ops[i], "/ops/"+strconv.Itoa(i)
		switch op.Verb {
		case knowledge.VerbPut:
			n.about(p.Key(), at+"/document", nil)
			n.document(ctx, op.Doc)
		case knowledge.VerbPatch:
			n.about(p.Key(), at+"/patch", op.Patch)
			if doc := n.patched(ctx, op); doc != nil {
				n.document(ctx, doc)
			}
		case knowledge.VerbRetire, knowledge.VerbRestore, knowledge.VerbArchive, knowledge.VerbPurge:
		}
	}
}

// patched returns the document that a patch would leave behind, nil where that can't be told.
func (n *noter) patched(ctx context.Context, op *knowledge.Op) knowledge.Document {
	if !n.ask(ctx) {
		return nil
	}
	rec, err := n.s.Get(ctx, op.Key)
	if err != nil {
		return nil
	}
	before, err := rec.Document()
	if err != nil {
		return nil
	}
	after, err := op.Next(before)
	if err != nil {
		return nil
	}
	return after
}

// ask reports whether another question may be put to the store.
func (n *noter) ask(ctx context.Context) bool {
	n.asked++
	return n.asked <= mostAsked && ctx.Err() == nil
}

// document looks at what a document refers to.
func (n *noter) document(ctx context.Context, d knowledge.Document) {
	n.scope(d)
	for _, l := range knowledge.Links(d) {
		if !n.concerns(l.Pointer) {
			continue
		}
		text, known := n.there[l.Key]
		if !known {
			text = n.notThere(ctx, l.Key)
			n.there[l.Key] = text
		}
		n.note(l.Pointer, text)
	}
	p, ok := d.(*knowledge.Pack)
	if !ok || !n.concerns("/select/tags") {
		return
	}
	for i, tag := range p.Select.Tags {
		text, known := n.tags[tag]
		if !known {
			text = n.notTagged(ctx, tag)
			n.tags[tag] = text
		}
		n.note("/select/tags/"+strconv.Itoa(i), text)
	}
}

// concerns reports whether a field was written: a patch leaves the others as they were.
func (n *noter) concerns(pointer string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return n.fields == nil || n.fields[name] != nil
}

// note adds a note about a field, unless there is nothing to say.
func (n *noter) note(pointer, text string) {
	if text == "" || len(n.notes) >= mostNotes || !n.concerns(pointer) {
		return
	}
	n.notes = append(n.notes, knowledge.Note{
		Kind: n.key.Kind, ID: n.key.ID, Pointer: n.below + pointer, Detail: text,
	})
}

// notThere says that a document is not there or not in use, and which was probably meant; "" for one that is.
func (n *noter) notThere(ctx context.Context, key knowledge.Key) string {
	if !n.ask(ctx) {
		return ""
	}
	rec, err := n.s.Get(ctx, key)
	switch {
	case err == nil && !rec.Active:
		return key.String() + " is not in use"
	case !errors.Is(err, store.ErrNotFound):
		return "" // it is there, or can't be asked for
	}
	text := "there is no " + key.String() + " yet"
	if near := n.meant(ctx, key); near != "" {
		text += ": did you mean " + near + "?"
	}
	return text
}

// notTagged says that no document has a tag; "" where one has.
func (n *noter) notTagged(ctx context.Context, tag string) string {
	for _, kind := range knowledge.SelectKinds() {
		if !n.ask(ctx) {
			return ""
		}
		page, err := n.s.List(ctx, knowledge.Query{Kind: knowledge.Kind(kind), Tag: tag, Limit: 1})
		if err != nil || len(page.Records) > 0 {
			return ""
		}
	}
	return fmt.Sprintf("no document has the tag %q yet", tag)
}

func (n *noter) meant(ctx context.Context, key knowledge.Key) string {
	if kinds := knowledge.SelectKinds(); slices.Contains(kinds, string(key.Kind)) {
		for _, kind := range kinds {
			other := knowledge.Key{Kind: knowledge.Kind(kind), ID: key.ID}
			if other == key || !n.ask(ctx) {
				continue
			}
			if _, err := n.s.Get(ctx, other); err == nil {
				return other.String()
			}
		}
	}
	if near := n.nearest(ctx, key.ID, key.Kind); near != key.String() {
		return near
	}
	return "" // it is there, but not as it was asked for
}

func (n *noter) nearest(ctx context.Context, id string, kinds ...knowledge.Kind) string {
	for _, kind := range kinds {
		ids := n.page(ctx, kind)
		for _, other := range ids {
			if strings.EqualFold(other, id) {
				return knowledge.Key{Kind: kind, ID: other}.String()
			}
		}
		if near := knowledge.Nearest(id, slices.Values(ids)); near != "" {
			return knowledge.Key{Kind: kind, ID: near}.String()
		}
	}
	return ""
}

// page returns the ids of the first page of a kind; none of one that the caller may not list.
func (n *noter) page(ctx context.Context, kind knowledge.Kind) []string {
	if ids, known := n.ids[kind]; known {
		return ids
	}
	var ids []string
	if n.ask(ctx) {
		page, err := n.s.List(ctx, knowledge.Query{Kind: kind, Order: knowledge.OrderID, Limit: knowledge.MaxLimit})
		if err == nil {
			for _, r := range page.Records {
				ids = append(ids, r.Key.ID)
			}
		}
	}
	n.ids[kind] = ids
	return ids
}

// scope names assistants and languages of a scope that tenet knows nothing of: the tool of somebody's own may ask by
// such a name, and nobody else does.
func (n *noter) scope(d knowledge.Document) {
	c := knowledge.CommonOf(d)
	if c == nil || !n.concerns("/scope") {
		return
	}
	for i, name := range c.Scope.Targets {
		known := interchange.Targets()
		if slices.Contains(known, name) {
			continue
		}
		text := fmt.Sprintf("`tenet sync` writes for no assistant %q, so that only a tool that asks by this name "+
			"gets it", name)
		if near := knowledge.Nearest(name, slices.Values(known)); near != "" {
			text += ": did you mean " + near + "?"
		}
		n.note("/scope/targets/"+strconv.Itoa(i), text)
	}
	for i, name := range c.Scope.Languages {
		if len(knowledge.GlobsOf(name)) > 0 {
			continue
		}
		text := fmt.Sprintf("no file's name tells that its language is %q, so that only a question that names it "+
			"gets it", name)
		if near := knowledge.NearestLanguage(name); near != "" {
			text += ": did you mean " + near + "?"
		}
		n.note("/scope/languages/"+strconv.Itoa(i), text)
	}
}
