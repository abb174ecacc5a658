package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/seed"
	"tenet/internal/store"
)

// A SeedReport tells what seeding did.
type SeedReport struct {
	Created int `json:"created"` // were not there
	Updated int `json:"updated"` // were there as an older starter set had left them
	Current int `json:"current"` // are there already
	// belong to somebody who has written, retired or purged them or what they extend: left alone
	Edited int `json:"edited"`
	Left   int `json:"left"` // are of stacks that nobody has asked for
}

// seedTries is how often seeding begins again when others write at the same time.
const seedTries = 3

// Seed writes the starter set, with the stacks that are named or were written before: what is missing is created, and
// what an older starter set left behind is brought up to date. What anybody else has touched since is never written.
// All of it happens, or nothing.
func Seed(ctx context.Context, s store.Store, stacks ...string) (SeedReport, error) {
	for try := 1; ; try++ {
		ops, report, err := seedOps(ctx, s, stacks)
		if err != nil || len(ops) == 0 {
			return report, err
		}
		err = applyAll(ctx, s, ops)
		if errors.Is(err, store.ErrConflict) && try < seedTries {
			continue // another tenet seeds the same database: look again at what is left to do
		}
		if err != nil {
			return SeedReport{}, fmt.Errorf("write the starter set: %w", err)
		}
		return report, nil
	}
}

func applyAll(ctx context.Context, s store.Store, ops []knowledge.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), knowledge.MaxBatchOps)
		if _, err := s.Apply(ctx, knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: seed.Actor,
			Ops: ops[:n],
		}); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

func seedOps(ctx context.Context, s store.Store, stacks []string) ([]knowledge.Op, SeedReport, error) {
	var report SeedReport
	docs, err := seed.Documents()
	if err != nil {
		return nil, report, fmt.Errorf("read the starter set: %w", err)
	}
	tail, err := store.Tail(ctx, s)
	if err != nil {
		return nil, report, fmt.Errorf("look for the starter set: %w", err)
	}
	if stacks, err = stacksOf(ctx, s, stacks, tail == 0); err != nil {
		return nil, report, fmt.Errorf("look for the stacks of the starter set: %w", err)
	}
	var ops []knowledge.Op
	for _, d := range docs {
		if stack := seed.StackOf(d); stack != "" && !slices.Contains(stacks, stack) {
			report.Left++
			continue
		}
		op, into, err := seedOp(ctx, s, d, tail == 0, &report)
		if err != nil {
			return nil, report, fmt.Errorf("look for %s of the starter set: %w", d.Key(), err)
		}
		*into++
		if op != nil {
			ops = append(ops, *op)
		}
	}
	ops, err = withoutLooseEnds(ctx, s, ops, &report)
	return ops, report, err
}

// stacksOf returns the stacks that are asked for and those of which a category was written before.
func stacksOf(ctx context.Context, s store.Store, asked []string, empty bool) ([]string, error) {
	all := slices.Clone(asked)
	for _, stack := range seed.Stacks() {
		if empty || slices.Contains(all, stack.Name) {
			continue
		}
		_, err := s.Get(ctx, knowledge.Key{Kind: knowledge.KindCategory, ID: stack.Categories[0]})
		if err == nil {
			all = append(all, stack.Name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return all, nil
}

// withoutLooseEnds removes the packs that extend a retired or purged one: the store would refuse the whole starter set
// because of them.
func withoutLooseEnds(ctx context.Context, s store.Store, ops []knowledge.Op, r *SeedReport) ([]knowledge.Op, error) {
	for i := 0; i < len(ops); {
		inUse, err := extendsWhatIsInUse(ctx, s, &ops[i], ops)
		switch {
		case err != nil:
			return nil, fmt.Errorf("look for what %s of the starter set extends: %w", ops[i].Key, err)
		case inUse:
			i++
			continue
		case ops[i].IfVersion == knowledge.NoVersion:
			r.Created--
		default:
			r.Updated--
		}
		r.Edited++
		ops = slices.Delete(ops, i, i+1)
		i = 0 // what extends this one goes too
	}
	return ops, nil
}

func extendsWhatIsInUse(ctx context.Context, s store.Store, op *knowledge.Op, ops []knowledge.Op) (bool, error) {
	p, ok := op.Doc.(*knowledge.Pack)
	if !ok {
		return true, nil
	}
	for _, id := range p.Extends {
		key := knowledge.Key{Kind: knowledge.KindPack, ID: id}
		if slices.ContainsFunc(ops, func(o knowledge.Op) bool { return o.Key == key }) {
			continue
		}
		rec, err := s.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil || !rec.Active {
			return false, err
		}
	}
	return true, nil
}

// seedOp returns the op that brings a document of the starter set into the store, nil for none, and where it counts.
func seedOp(ctx context.Context, s store.Store, d knowledge.Document, empty bool,
	r *SeedReport,
) (*knowledge.Op, *int, error) {
	create := knowledge.Put(d, knowledge.NoVersion)
	if empty {
		return &create, &r.Created, nil
	}
	rec, err := s.Get(ctx, d.Key())
	if errors.Is(err, store.ErrNotFound) {
		last, err := s.Changes(ctx, knowledge.ChangeQuery{Key: d.Key(), Newest: true, Limit: 1})
		if err != nil {
			return nil, nil, err
		}
		if len(last) > 0 { // it was there, and somebody has purged it
			return nil, &r.Edited, nil
		}
		return &create, &r.Created, nil
	}
	if err != nil {
		return nil, nil, err
	}
	there, err := rec.Document()
	if err != nil {
		return nil, nil, err
	}
	same, err := sameContent(there, d)
	switch {
	case err != nil:
		return nil, nil, err
	case same:
		return nil, &r.Current, nil
	case there.Stamps().UpdatedBy != seed.Actor:
		return nil, &r.Edited, nil
	}
	update := knowledge.Put(d, rec.Version)
	return &update, &r.Updated, nil
}

// sameContent reports whether two documents differ in nothing but the stamps of the store.
func sameContent(a, b knowledge.Document) (bool, error) {
	var texts [2][]byte
	for i, d := range []knowledge.Document{a, b} {
		c, err := knowledge.Clone(d)
		if err != nil {
			return false, err
		}
		*c.Stamps() = knowledge.Stamp{}
		if texts[i], err = knowledge.Canonical(c); err != nil {
			return false, err
		}
	}
	return bytes.Equal(texts[0], texts[1]), nil
}
