// Package coherence refuses writes whose documents would not fit together: packs that extend each other in a ring, that
// loosen what they extend, that name packs which are not there, or that leave use while others extend them; labels at
// positions that the log has not reached; repositories with assistants that nothing can be written for; principals that
// stand for erased people.
package coherence

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Store looks at what a batch writes together with what is there, before it hands the batch on. What two writers do
// at the same time may still not fit: who reads packs and labels says so then, and does not rely on it.
type Store struct {
	next store.Store
	sees func(ctx context.Context, key knowledge.Key) (bool, error) // nil: every caller all
}

var _ store.Store = (*Store)(nil)

// New returns a store over next.
func New(next store.Store) *Store { return &Store{next: next} }

// WithSight sets a function that reports whether the caller of a context may know of a document: an error tells nothing
// of the others. It returns s, and must be called before s is used.
func (s *Store) WithSight(sees func(ctx context.Context, key knowledge.Key) (bool, error)) *Store {
	s.sees = sees
	return s
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return s.next.Get(ctx, key)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.next.List(ctx, q)
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.next.Search(ctx, q)
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := s.check(ctx, &b); err != nil {
		return knowledge.Receipt{}, err
	}
	return s.next.Apply(ctx, b)
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return s.next.Changes(ctx, q)
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error { return s.next.Wait(ctx, after) }

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error { return s.next.Ping(ctx) }

// Close implements [store.Store].
func (s *Store) Close() error { return s.next.Close() }

func valid(b *knowledge.Batch) bool { return b.Validate() == nil }

// check returns what does not fit, as faults of the batch. A batch of the past, which only a restore writes, is taken
// as it is: positions are those of the log that it comes from.
func (s *Store) check(ctx context.Context, b *knowledge.Batch) error {
	if !b.At.IsZero() || !concerns(b) || !valid(b) { // what is not valid the engine names
		return nil
	}
	w := &writing{s: s, batch: b, after: make(map[knowledge.Key]knowledge.Document, len(b.Ops))}
	var faults []knowledge.Fault
	for i := range b.Ops {
		err := w.op(ctx, &b.Ops[i])
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
			part := ""
			switch b.Ops[i].Verb {
			case knowledge.VerbPut:
				part = "/document"
			case knowledge.VerbPatch:
				part = "/patch"
			case knowledge.VerbRetire, knowledge.VerbRestore, knowledge.VerbArchive, knowledge.VerbPurge:
			}
			faults = append(faults, invalid.Below("/ops/"+strconv.Itoa(i)+part).Faults...)
		} else if err != nil {
			return err
		}
	}
	if len(faults) == 0 {
		return nil
	}
	// A batch that was done before gets its receipt again, whatever has become of the documents since.
	if done, err := s.next.Changes(ctx, knowledge.ChangeQuery{Batch: b.ID, Limit: 1}); err == nil && len(done) > 0 {
		return nil
	}
	return &knowledge.InvalidError{Faults: faults}
}

// concerns reports whether a batch writes anything that must fit to something else.
func concerns(b *knowledge.Batch) bool {
	for i := range b.Ops {
		switch b.Ops[i].Key.Kind {
		case knowledge.KindPack, knowledge.KindLabel, knowledge.KindPrincipal, knowledge.KindRepository:
			return true
		default:
		}
	}
	return false
}

// writing is a batch with the documents as it will leave them.
type writing struct {
	s     *Store
	batch *knowledge.Batch
	after map[knowledge.Key]knowledge.Document // those that were asked for; nil for none
}

// look returns a document as the batch leaves it, nil for none.
func (w *writing) look(ctx context.Context, key knowledge.Key) (knowledge.Document, error) {
	if d, ok := w.after[key]; ok {
		return d, nil
	}
	d, err := w.current(ctx, key)
	if err != nil {
		return nil, err
	}
	for i := range w.batch.Ops {
		op := &w.batch.Ops[i]
		if op.Key != key || d == nil && op.Verb != knowledge.VerbPut {
			continue
		}
		if d, err = op.Next(d); err != nil {
			return nil, nil //nolint:nilerr // the engine says what is wrong with it
		}
	}
	w.after[key] = d
	return d, nil
}

func (w *writing) current(ctx context.Context, key knowledge.Key) (knowledge.Document, error) {
	if seen, err := w.seen(ctx, key); !seen {
		return nil, err
	}
	rec, err := w.s.next.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, err
	}
	return rec.Document()
}

func (w *writing) seen(ctx context.Context, key knowledge.Key) (bool, error) {
	if w.s.sees == nil {
		return true, nil
	}
	return w.s.sees(ctx, key)
}

func (w *writing) pack(ctx context.Context, id string) (*knowledge.Pack, error) {
	d, err := w.look(ctx, knowledge.Key{Kind: knowledge.KindPack, ID: id})
	p, _ := d.(*knowledge.Pack)
	if err != nil || p == nil || !p.IsActive {
		return nil, err
	}
	return p, nil
}

// op returns what is wrong with what one op leaves behind.
func (w *writing) op(ctx context.Context, op *knowledge.Op) error {
	if op.Key.Kind == knowledge.KindPrincipal {
		return w.principal(ctx, op.Key)
	}
	if k := op.Key.Kind; k != knowledge.KindPack && k != knowledge.KindLabel && k != knowledge.KindRepository {
		return nil
	}
	d, err := w.look(ctx, op.Key)
	if err != nil {
		return err
	}
	switch d := d.(type) {
	case nil:
		if op.Key.Kind == knowledge.KindPack && op.Verb.Removes() {
			return w.extended(ctx, op.Key)
		}
	case *knowledge.Pack:
		if !d.IsActive {
			if err := w.extended(ctx, op.Key); err != nil || op.Verb == knowledge.VerbRetire {
				return err
			}
		}
		return d.Loosens(func(id string) (*knowledge.Pack, error) { return w.pack(ctx, id) },
			func(key knowledge.Key) (knowledge.Document, error) { return w.look(ctx, key) })
	case *knowledge.Label:
		return w.label(ctx, d)
	case *knowledge.Repository:
		return w.targets(ctx, d)
	}
	return nil
}

// targets refuses new assistants of a repository that nothing can be written for: every sync of it would fail. Those
// that it has already stay, so that its other fields can be written.
func (w *writing) targets(ctx context.Context, r *knowledge.Repository) error {
	before, err := w.current(ctx, r.Key())
	if err != nil {
		return err
	}
	known := interchange.Targets()
	if old, ok := before.(*knowledge.Repository); ok {
		known = append(known, old.Targets...)
	}
	var faulty knowledge.InvalidError
	for i, name := range r.Targets {
		if slices.Contains(known, name) {
			continue
		}
		hint := "want one of " + strings.Join(interchange.Targets(), ", ")
		if near := knowledge.Nearest(name, slices.Values(interchange.Targets())); near != "" {
			hint = "did you mean " + near + "?"
		}
		faulty.Faults = append(faulty.Faults, knowledge.Fault{
			Pointer: "/targets/" + strconv.Itoa(i),
			Detail:  strconv.Quote(name) + " is no assistant that tenet writes for: " + hint,
		})
	}
	if len(faulty.Faults) == 0 {
		return nil
	}
	return &faulty
}

// extended refuses to take a pack out of use that others in use extend: they would hold for nobody any more.
func (w *writing) extended(ctx context.Context, key knowledge.Key) error {
	d, err := w.current(ctx, key)
	if p, _ := d.(*knowledge.Pack); err != nil || p == nil || !p.IsActive {
		return err
	}
	var by []string
	for q := (knowledge.Query{Kind: knowledge.KindPack, Limit: knowledge.MaxLimit}); ; {
		page, err := w.s.next.List(ctx, q)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			p, err := w.pack(ctx, rec.Key.ID)
			if err != nil {
				return err
			}
			if p != nil && slices.Contains(p.Extends, key.ID) {
				by = append(by, p.PackID)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(by) == 0 {
		return nil
	}
	return knowledge.Invalid("", "%s is extended by %s: take that out of use first, or together with it", key,
		strings.Join(by, ", "))
}

// principal refuses to write over one that stands for an erased person: the ledger of erasures is not rewritten, and
// nobody can be that person again.
func (w *writing) principal(ctx context.Context, key knowledge.Key) error {
	d, err := w.current(ctx, key)
	if p, ok := d.(*knowledge.Principal); ok && p.Erasure != nil {
		return knowledge.Invalid("", "%s stands for a person who was erased, and stays as it is: make another "+
			"principal", key)
	}
	return err
}

// label returns what is wrong with where a label stands: a position that is still to come would mean something else
// each time that somebody writes.
func (w *writing) label(ctx context.Context, l *knowledge.Label) error {
	newest, err := store.Newest(ctx, w.s.next)
	if err != nil {
		return err
	}
	if l.Seq > newest.Seq {
		return knowledge.Invalid("/seq", "%d: the log ends at change %d; a label stands at a change that was made",
			l.Seq, newest.Seq)
	}
	for text, n := range l.Holds {
		key, err := knowledge.ParseKey(text)
		if err != nil {
			continue
		}
		seen, err := w.seen(ctx, key)
		var list []knowledge.Change
		if seen {
			list, err = w.s.next.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: n, Limit: 1})
		}
		switch {
		case err != nil:
			return err
		case len(list) > 0:
			continue
		}
		if d, err := w.current(ctx, key); err != nil {
			return err
		} else if d == nil || d.Stamps().Version != n {
			return knowledge.Invalid("/holds/"+knowledge.EscapePointer(text), "%s has no version %d", text, n)
		}
	}
	return nil
}
