package main

import (
	"context"

	"tenet/internal/client"
	"tenet/internal/coherence"
	"tenet/internal/knowledge"
)

// applyNoted does a batch, and returns the notes on what was written: those of the server, or of the same check where
// the database was opened.
func (d *door) applyNoted(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, []knowledge.Note, error) {
	if d.remote != nil {
		return client.ApplyNoted(ctx, d.remote, b)
	}
	r, err := d.Apply(ctx, b)
	if err != nil {
		return r, nil, err
	}
	return r, coherence.Notes(ctx, d, b.Ops, r.Records), nil
}

// sayNotes prints notes on a write.
func sayNotes(a *app, notes []knowledge.Note) {
	for _, n := range notes {
		key := knowledge.Key{Kind: n.Kind, ID: n.ID}
		a.say("%s: %s: %s", cell(key.String()), cell(n.Pointer), cell(n.Detail))
	}
}
