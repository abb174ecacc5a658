package main

import (
	"context"
	"errors"
	"slices"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// mark says in the file of a confidential document that it is one.
func (e *exporter) mark(ctx context.Context, r *knowledge.Record, doc knowledge.Document, f *interchange.File) error {
	category, err := e.confidential(ctx, r, doc)
	if category != "" {
		f.MarkConfidential(category)
	}
	return err
}

// confidential returns the confidential category that a document tells of, "" for none. A proposal is as confidential
// as what it proposes.
func (e *exporter) confidential(ctx context.Context, r *knowledge.Record, doc knowledge.Document) (string, error) {
	of := []string{r.Category}
	if p, ok := doc.(*knowledge.Proposal); ok && len(store.MarksOf(ctx).Categories()) > 0 {
		for i := range p.Ops {
			op := &p.Ops[i]
			for _, fields := range []map[string]any{op.Document, op.Patch} {
				if to, ok := fields["category"].(string); ok {
					of = append(of, to)
				}
			}
			now, err := e.d.Get(ctx, knowledge.Key{Kind: knowledge.Kind(op.Kind), ID: op.ID})
			switch {
			case err == nil:
				of = append(of, now.Category)
			case !errors.Is(err, store.ErrNotFound):
				return "", err
			}
		}
	}
	confidential := store.MarksOf(ctx).Categories()
	for _, category := range of {
		if slices.Contains(confidential, category) {
			return category, nil
		}
	}
	return "", nil
}
