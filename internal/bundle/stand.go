package bundle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A view is the documents of a store, now or as of a label.
type view struct {
	s     store.Past
	label *knowledge.Label // nil for now
	// documents changed after the label's position, as of the label; nil for missing ones
	moved map[knowledge.Key]*knowledge.Record
}

// stand returns the view of a store as of a label, or as of now for "". It reads the log from the label's position on,
// and the old versions of what was changed there: all other documents are unchanged.
func stand(ctx context.Context, s store.Past, label string) (*view, error) {
	v := &view{s: s}
	if label == "" {
		return v, nil
	}
	var err error
	if v.label, err = store.LabelOf(ctx, s, label); err != nil {
		return nil, err
	}
	v.moved = map[knowledge.Key]*knowledge.Record{}
	for text := range v.label.Holds {
		if key, err := knowledge.ParseKey(text); err == nil {
			if err := v.move(ctx, key); err != nil {
				return nil, err
			}
		}
	}
	for at := v.label.Seq; ; {
		changes, err := s.Changes(ctx, knowledge.ChangeQuery{After: at})
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			return v, nil
		}
		for i := range changes {
			if _, known := v.moved[changes[i].Key]; !known && store.Came(v.label, &changes[i]) {
				v.moved[changes[i].Key] = nil
			}
			if err := v.move(ctx, changes[i].Key); err != nil {
				return nil, err
			}
		}
		at = changes[len(changes)-1].Seq
	}
}

// move records a document as of the label.
func (v *view) move(ctx context.Context, key knowledge.Key) error {
	if _, known := v.moved[key]; known || !taken(key.Kind) && key.Kind != knowledge.KindPack {
		return nil
	}
	rec, err := store.AtLabel(ctx, v.s, v.label, key)
	if errors.Is(err, store.ErrNotFound) {
		rec, err = nil, nil
	}
	v.moved[key] = rec
	return err
}

// taken reports whether a bundle contains documents of a kind.
func taken(kind knowledge.Kind) bool { return slices.Contains(kinds(), kind) }

// get reads a document of the view.
func (v *view) get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if v.label == nil {
		return v.s.Get(ctx, key)
	}
	return store.AtLabel(ctx, v.s, v.label, key)
}

// compose composes packs; nil for none, which means everything.
func (v *view) compose(ctx context.Context, packs []string) (*knowledge.Composition, error) {
	if len(packs) == 0 {
		return nil, nil // everything
	}
	c, err := knowledge.Compose(packs, func(id string) (*knowledge.Pack, error) { return store.PackOf(ctx, v.get, id) })
	if missing, ok := errors.AsType[*knowledge.MissingPackError](err); ok {
		return nil, &missingPackError{missing}
	}
	return c, err
}

// A missingPackError is a [*knowledge.MissingPackError] that is a [*store.NotFoundError] too, as a missing repository
// and a missing label are.
type missingPackError struct{ *knowledge.MissingPackError }

func (e *missingPackError) Unwrap() []error {
	key := knowledge.Key{Kind: knowledge.KindPack, ID: e.ID}
	return []error{e.MissingPackError, &store.NotFoundError{Key: key}}
}

// Fault says why what a repository takes can't be computed, where its packs or its label are to blame; else it is "".
func Fault(err error) string {
	_, ring := errors.AsType[*knowledge.CycleError](err)
	if ring || errors.Is(err, store.ErrNotFound) {
		return err.Error()
	}
	return ""
}

// each calls fn with every active document of the view.
func (v *view) each(ctx context.Context, fn func(*knowledge.Record) error) error {
	for _, kind := range kinds() {
		err := store.All(ctx, v.s, knowledge.Query{
			Kind:  kind,
			Order: knowledge.OrderID,
		}, func(r *knowledge.Record) error {
			if _, other := v.moved[r.Key]; other || !r.Active {
				return nil
			}
			return fn(r)
		})
		if err != nil {
			return err
		}
	}
	keys := slices.SortedFunc(maps.Keys(v.moved),
		func(a, b knowledge.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if r := v.moved[key]; r != nil && r.Active && taken(key.Kind) {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}
