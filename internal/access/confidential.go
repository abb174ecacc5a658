package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Confidential rule says who may read the documents of a category, and whose answers may carry them out of the house.
type Confidential struct {
	Category string
	// Role is the weakest role that reads them. It counts for people: what an agent reads has left the house.
	Role    string
	Readers []string // principals that read them, whatever their role
	Takers  []string // principals that read them and take them out: by assistants, guidance and exports
}

// ParseConfidential parses a rule such as "category=payroll,role=maintainer,reader=ana,taker=archive-bot".
func ParseConfidential(text string) (Confidential, error) {
	r := Confidential{Role: knowledge.RoleAdmin}
	err := pairs(text, "category=payroll,role=maintainer,reader=ana", func(part, name, value string) error {
		switch name {
		case "category":
			r.Category = value
		case "role":
			if !slices.Contains(knowledge.Roles(), value) {
				return fmt.Errorf("%q: want one of %s", part, strings.Join(knowledge.Roles(), ", "))
			}
			r.Role = value
		case "reader":
			r.Readers = append(r.Readers, value)
		case "taker":
			r.Takers = append(r.Takers, value)
		default:
			return fmt.Errorf("%q: want category, role, reader or taker", name)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	if key := (knowledge.Key{Kind: knowledge.KindCategory, ID: r.Category}); !key.Sound() {
		return r, fmt.Errorf("%q: want the id of a category, as in category=payroll", text)
	}
	return r, nil
}

// shows reports whether a caller may read the documents of the rule's category.
func (r *Confidential) shows(c *Caller, leaving bool) bool {
	switch {
	case slices.Contains(r.Takers, c.ID):
		return true
	case leaving || c.Agent:
		return false
	}
	return slices.Contains(r.Readers, c.ID) ||
		slices.Index(knowledge.Roles(), c.Role) >= slices.Index(knowledge.Roles(), r.Role)
}

// A Classification lists the confidential categories; all others are internal. The same category may have several
// rules: each opens it to more. It is the one place that decides who reads what is confidential; a door asks it
// with the context of its request.
type Classification []Confidential

// Hidden returns the confidential categories that the caller of a context may not read, sorted; nil if there are none.
func (l Classification) Hidden(ctx context.Context) []string {
	if len(l) == 0 {
		return nil
	}
	c, leaving := CallerFrom(ctx), store.Leaving(ctx)
	if c != nil && c.ID == SystemID && !leaving {
		return nil
	}
	var hidden []string
	for _, category := range l.categories() {
		shown := func(r Confidential) bool { return r.Category == category && c != nil && r.shows(c, leaving) }
		if !slices.ContainsFunc(l, shown) {
			hidden = append(hidden, category)
		}
	}
	return hidden
}

// categories returns the confidential categories, sorted.
func (l Classification) categories() []string {
	var list []string
	for i := range l {
		list = append(list, l[i].Category)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Tells returns the confidential categories that a change of a document tells of: that of the document as the change
// left it, and that of the document as it is now. So a document that becomes confidential takes its history along.
func (l Classification) Tells(ctx context.Context, s store.Past, c *knowledge.Change) ([]string, error) {
	if len(l) == 0 {
		return nil, nil
	}
	return among(s, l.categories(), func(in *inside) error { return in.change(ctx, c) })
}

// Hides reports whether a record tells of a category that is hidden from the caller of a context.
func (l Classification) Hides(ctx context.Context, s store.Past, r *knowledge.Record) (bool, error) {
	return l.hides(ctx, s, func(in *inside) error { return in.record(ctx, r) })
}

// HidesBatch reports whether an op of a batch tells of a category that is hidden from the caller of a context.
func (l Classification) HidesBatch(ctx context.Context, s store.Past, b *knowledge.Batch) (bool, error) {
	return l.hides(ctx, s, func(in *inside) error {
		for i := range b.Ops {
			if err := in.op(ctx, &b.Ops[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// hides reports whether a look finds a category that is hidden from the caller of a context. What it finds otherwise is
// shown, and marked.
func (l Classification) hides(ctx context.Context, s store.Past, look func(*inside) error) (bool, error) {
	if len(l) == 0 {
		return false, nil
	}
	found, err := among(s, l.categories(), look)
	if err != nil || len(found) == 0 {
		return false, err
	}
	for _, hidden := range l.Hidden(ctx) {
		if slices.Contains(found, hidden) {
			return true, nil
		}
	}
	store.MarksOf(ctx).Add(found...)
	return false, nil
}

// mark marks the answer of a context with the confidential categories that some shown records tell of.
func (l Classification) mark(ctx context.Context, s store.Past, records iter.Seq[*knowledge.Record]) error {
	marks := store.MarksOf(ctx)
	if len(l) == 0 || marks == nil {
		return nil
	}
	found, err := among(s, l.categories(), func(in *inside) error {
		for r := range records {
			if err := in.record(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	marks.Add(found...)
	return err
}

// hidesKey reports whether a document is hidden from the caller of a context, as it is or as it was before it left.
func (l Classification) hidesKey(ctx context.Context, s store.Past, key knowledge.Key) (bool, error) {
	return l.hides(ctx, s, func(in *inside) error {
		_, err := in.key(ctx, key)
		return err
	})
}

// Sees returns what reports whether the caller of a context may know of a document; nil if everybody may of each.
func (l Classification) Sees(s store.Past) func(ctx context.Context, key knowledge.Key) (bool, error) {
	if len(l) == 0 {
		return nil
	}
	return func(ctx context.Context, key knowledge.Key) (bool, error) {
		hidden, err := l.hidesKey(ctx, s, key)
		return !hidden, err
	}
}

// among returns those of some categories that a look finds.
func among(s store.Past, categories []string, look func(*inside) error) ([]string, error) {
	in := &inside{s: s, of: categories}
	err := look(in)
	return in.found, err
}

// An inside collects which of some categories something tells of.
type inside struct {
	s     store.Past
	of    []string
	found []string
	// A proposal outlives what it is about: one whose document was purged tells of everything.
	proposed bool
}

func (in *inside) add(category string) {
	if slices.Contains(in.of, category) && !slices.Contains(in.found, category) {
		in.found = append(in.found, category)
	}
}

// record adds the category of a record: a violation tells of its rule, and a proposal of what it proposes.
func (in *inside) record(ctx context.Context, r *knowledge.Record) error {
	in.add(r.Category)
	if !tellsOfOthers(r.Key.Kind) {
		return nil
	}
	d, err := r.Document()
	if err != nil {
		return err
	}
	return in.document(ctx, d)
}

func (in *inside) document(ctx context.Context, d knowledge.Document) error {
	in.add(d.CategoryID())
	if p := proposalOf(d); p != nil {
		in.proposed = true
		for i := range p.Ops {
			op, err := p.Ops[i].Op()
			if err != nil {
				return err
			}
			if err := in.op(ctx, &op); err != nil {
				return err
			}
		}
	}
	if parent, _, ok := knowledge.ParentOf(d); ok {
		_, err := in.key(ctx, parent) // a violation's rule
		return err
	}
	return nil
}

// tellsOfOthers reports whether documents of a kind tell of others that have a category: violations of their rule, and
// proposals of what they propose.
func tellsOfOthers(kind knowledge.Kind) bool {
	d := knowledge.Describe(kind)
	return d != nil && (kind == knowledge.KindProposal || d.Parent != "" && knowledge.Describe(d.Parent).HasCategory())
}

// op adds the categories of an op: of the document as it is, and as the op would leave it.
func (in *inside) op(ctx context.Context, op *knowledge.Op) error {
	if op.Doc != nil {
		if err := in.document(ctx, op.Doc); err != nil {
			return err
		}
	}
	var patch struct {
		Category string `json:"category"`
	}
	if json.Unmarshal(op.Patch, &patch) == nil {
		in.add(patch.Category)
	}
	if parent, _ := namedBy(op); parent.ID != "" {
		if _, err := in.key(ctx, parent); err != nil {
			return err
		}
	}
	known, err := in.key(ctx, op.Key)
	if err == nil && !known && in.proposed && op.Verb != knowledge.VerbPut {
		in.found = slices.Clone(in.of)
	}
	return err
}

// key adds the category of a document as it is, or as it was before it left, and reports whether it is known. It is for
// documents without a category, too.
func (in *inside) key(ctx context.Context, key knowledge.Key) (known bool, err error) {
	if !key.Sound() || !knowledge.Describe(key.Kind).HasCategory() && !tellsOfOthers(key.Kind) {
		return true, nil
	}
	r, err := in.s.Get(ctx, key)
	if err == nil {
		return true, in.record(ctx, r)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	last, err := in.s.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: 2})
	if err != nil {
		return false, err
	}
	for i := range last {
		if last[i].Record != nil {
			return true, in.record(ctx, last[i].Record)
		}
	}
	return false, nil
}

func (in *inside) change(ctx context.Context, c *knowledge.Change) error {
	if c.Record != nil {
		if err := in.record(ctx, c.Record); err != nil {
			return err
		}
	}
	_, err := in.key(ctx, c.Key)
	return err
}

// reasonConfidential is why the audit has a read or a write refused that is answered as if nothing were there.
const reasonConfidential = "it is confidential"

// hide returns an error for a record that is hidden from the caller: that it is there is confidential, too.
func (c call) hide(ctx context.Context, r *knowledge.Record) error {
	hidden, err := c.s.policy.Confidential.Hides(ctx, c.s.next, r)
	if hidden {
		c.tell(ctx, "", r.Key, reasonConfidential)
		return &store.NotFoundError{Key: r.Key}
	}
	return err
}

// confine refuses a batch that writes what is hidden from its caller, or writes into a category that is, as if what is
// hidden were not there. That the id of a document to be created is taken can't be hidden. It is no
// [store.ForbiddenError]: of a refused write a proposal would be made, which more people read.
func (c call) confine(ctx context.Context, b *knowledge.Batch) error {
	hidden := c.s.policy.Confidential.Hidden(ctx)
	if len(hidden) == 0 {
		return nil
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		found, err := among(c.s.next, hidden, func(in *inside) error { return in.op(ctx, op) })
		if err == nil && len(found) > 0 {
			c.tell(ctx, op.Verb, op.Key, reasonConfidential)
			err = c.denial(ctx, op, "/ops/"+strconv.Itoa(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// denial returns the error for an op that tells of what is hidden: what it would be if that were not there.
func (c call) denial(ctx context.Context, op *knowledge.Op, pointer string) error {
	hides := func(key knowledge.Key) (bool, error) {
		return c.s.policy.Confidential.hidesKey(ctx, c.s.next, key)
	}
	part := "/document"
	if op.Verb != knowledge.VerbPut {
		part = "/patch"
		if hidden, err := hides(op.Key); err != nil {
			return err
		} else if hidden {
			no := Decide(c.caller, Act{Verb: op.Verb, Key: op.Key})
			if no != nil && (!c.caller.Agent || op.Verb.Removes()) {
				return c.caller.Deny(no)
			}
			return &store.NotFoundError{Key: op.Key}
		}
	}
	if p := proposalOf(op.Doc); p != nil {
		if err := below(c.aimed(ctx, p), pointer+part); err != nil {
			return err
		}
	}
	if parent, field := namedBy(op); parent.ID != "" {
		if hidden, err := hides(parent); err != nil {
			return err
		} else if hidden {
			return knowledge.Invalid(pointer+part+"/"+field, "no %s %q: create it first", parent.Kind, parent.ID)
		}
	}
	return knowledge.Invalid(pointer, "%s: it is in a category that is confidential: ask an operator to let you in",
		op.Key)
}

// namedBy returns the document that an op says another one is of, such as the rule of a violation, with the name of the
// field; without an id for none.
func namedBy(op *knowledge.Op) (parent knowledge.Key, field string) {
	d := knowledge.Describe(op.Key.Kind)
	if !tellsOfOthers(op.Key.Kind) || d.Parent == "" {
		return parent, ""
	}
	parent.Kind = d.Parent
	if op.Doc != nil {
		parent.ID = knowledge.TextField(op.Doc, d.ParentField)
		return parent, d.ParentField
	}
	var patch map[string]json.RawMessage
	if json.Unmarshal(op.Patch, &patch) != nil || json.Unmarshal(patch[d.ParentField], &parent.ID) != nil {
		parent.ID = "" // it names none, or no valid one
	}
	return parent, d.ParentField
}

// Without returns the hidden categories in the form of [knowledge.Query].
func (l Classification) Without(ctx context.Context) string { return strings.Join(l.Hidden(ctx), ",") }

// Categories returns the confidential categories, with commas between.
func (l Classification) Categories() string { return strings.Join(l.categories(), ",") }
