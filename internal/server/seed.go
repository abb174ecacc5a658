package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/seed"
	"tenet/internal/store"
)

// A SeedReport tells what seeding did.
type SeedReport struct {
	Created int `json:"created"` // were not there
	Updated int `json:"updated"` // were there as an older starter set had left them
	Current int `json:"current"` // are there already
	Edited  int `json:"edited"`  // belong to somebody who has written, retired or purged them: left alone
}

// seedTries is how often seeding begins again when others write at the same time.
const seedTries = 3

// Seed writes the starter set: what is missing is created, and what an older starter set left behind is brought up to date.
// What anybody else has touched since is never written. All of it happens, or nothing.
func Seed(ctx context.Context, s store.Store) (SeedReport, error) {
	for try := 1; ; try++ {
		ops, report, err := seedOps(ctx, s)
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
		if _, err := s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: seed.Actor, Ops: ops[:n]}); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

func seedOps(ctx context.Context, s store.Store) ([]knowledge.Op, SeedReport, error) {
	var report SeedReport
	docs, err := seed.Documents()
	if err != nil {
		return nil, report, fmt.Errorf("read the starter set: %w", err)
	}
	tail, err := store.Tail(ctx, s)
	if err != nil {
		return nil, report, fmt.Errorf("look for the starter set: %w", err)
	}
	var ops []knowledge.Op
	for _, d := range docs {
		op, into, err := seedOp(ctx, s, d, tail == 0, &report)
		if err != nil {
			return nil, report, fmt.Errorf("look for %s of the starter set: %w", d.Key(), err)
		}
		*into++
		if op != nil {
			ops = append(ops, *op)
		}
	}
	return ops, report, nil
}

// seedOp returns the op that brings a document of the starter set into the store, nil for none, and where it counts.
func seedOp(ctx context.Context, s store.Store, d knowledge.Document, empty bool, r *SeedReport) (*knowledge.Op, *int, error) {
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
