package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// missingCategories returns the categories that documents name, that are not among them and that the server does not
// have.
func missingCategories(ctx context.Context, d *door, ops []knowledge.Op) ([]string, error) {
	var missing []string
	known := map[string]bool{"": true}
	for _, op := range ops {
		if op.Key.Kind == knowledge.KindCategory {
			known[op.Key.ID] = true
		}
	}
	for _, op := range ops {
		if op.Doc == nil || known[op.Doc.CategoryID()] {
			continue
		}
		id := op.Doc.CategoryID()
		known[id] = true
		_, err := d.Get(ctx, knowledge.Key{Kind: knowledge.KindCategory, ID: id})
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing = append(missing, id)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// createCategories returns the ops with the categories that are missing before them, each named as its id.
func createCategories(ctx context.Context, d *door, ops []knowledge.Op) ([]knowledge.Op, error) {
	missing, err := missingCategories(ctx, d, ops)
	if err != nil {
		return nil, err
	}
	var made []knowledge.Op
	for _, id := range missing {
		c := &knowledge.Category{ID: id, IsActive: true}
		c.Normalize()
		if err := c.Validate(); err != nil {
			return nil, err
		}
		made = append(made, knowledge.Put(c, knowledge.NoVersion))
	}
	if n := len(made) + len(ops); n > knowledge.MaxBatchOps {
		return nil, usageError("%d documents and categories, and at most %d are written at once: use tenet import", n,
			knowledge.MaxBatchOps)
	}
	return append(made, ops...), nil
}

// parentsFirst puts the documents that others refer to before those: within one batch they may stand in any order.
func parentsFirst(ops []knowledge.Op) {
	kinds := knowledge.Kinds()
	slices.SortStableFunc(ops, func(a, b knowledge.Op) int {
		return slices.Index(kinds, a.Key.Kind) - slices.Index(kinds, b.Key.Kind)
	})
}

// withCategories adds to a refusal which categories are not there, and how to come by them.
func withCategories(ctx context.Context, d *door, ops []knowledge.Op, err error) error {
	if _, ok := errors.AsType[*knowledge.InvalidError](err); !ok {
		return err
	}
	missing, no := missingCategories(ctx, d, ops)
	if no != nil || len(missing) == 0 {
		return err // it is not for that, or can't be said
	}
	_, hint, _ := strings.Cut(unknownCategory(ctx, d, missing[0]), "; ") // that it is not there says err
	if hint != "" {
		hint += "; "
	}
	return &categoryError{err: err, hint: strings.Replace(hint, "?; ", "? ", 1)}
}

// A categoryError is a refusal of a document whose category does not exist.
type categoryError struct {
	err  error
	hint string
}

func (e *categoryError) Error() string { return e.err.Error() }

func (e *categoryError) Unwrap() error { return e.err }

// unknownCategory says that there is no such category, and which was probably meant; "" where there is one.
func unknownCategory(ctx context.Context, d *door, id string) string {
	if id == "" {
		return ""
	}
	if _, err := d.Get(ctx, knowledge.Key{Kind: knowledge.KindCategory, ID: id}); !errors.Is(err, store.ErrNotFound) {
		return ""
	}
	var ids []string
	page, err := d.List(ctx, knowledge.Query{
		Kind: knowledge.KindCategory, Order: knowledge.OrderID,
		Limit: knowledge.MaxLimit,
	})
	if err == nil {
		for _, r := range page.Records {
			ids = append(ids, r.Key.ID)
		}
	}
	text := ": there is no category " + id
	if near := knowledge.Nearest(id, slices.Values(ids)); near != "" {
		return text + "; did you mean " + near + "?"
	}
	return text + "; `tenet list categories` shows those that there are"
}
