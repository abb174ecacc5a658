package main

import (
	"context"
	"fmt"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
)

// tryPlan asks the server whether it would take each batch of a plan. What a batch refers to and an earlier one brings
// is tried along with it, since that one has written nothing.
func tryPlan(ctx context.Context, a *app, d *door, plan *interchange.Plan) error {
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return err
	}
	bar := a.progress("asking", plan.Writes())
	defer bar.done()
	earlier := map[knowledge.Key]knowledge.Op{}
	tried := 0
	for b, err := range plan.Batches(actor, importOps) {
		switch {
		case err != nil:
			return err
		case !b.At.IsZero():
			return usageError("an export with its history is tried with --dry-run alone: each of its versions " +
				"stands on the one before")
		}
		for _, part := range split(b, importBytes) {
			n := len(part.Ops)
			part.Ops, part.Dry = withParents(part.Ops, earlier), true
			if _, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Receipt, error) {
				return d.Apply(ctx, part)
			}); err != nil {
				_, named := namedFaults(plan, part.Ops, err)
				return fmt.Errorf("it would not be taken: %w", named)
			}
			tried += n
			bar.set(tried)
		}
	}
	bar.done()
	a.say("nothing was written: the server was only asked, and would take %s", plural(int64(tried), "document",
		"documents"))
	return nil
}

// withParents returns ops with those before them that bring what they refer to, and adds them to what came earlier.
func withParents(ops []knowledge.Op, earlier map[knowledge.Key]knowledge.Op) []knowledge.Op {
	var parents []knowledge.Op
	added := map[knowledge.Key]bool{}
	for i := range ops {
		for doc := ops[i].Doc; doc != nil; {
			key, _, ok := knowledge.ParentOf(doc)
			parent, brought := earlier[key]
			if !ok || !brought || added[key] {
				break
			}
			added[key] = true
			parents = append([]knowledge.Op{parent}, parents...)
			doc = parent.Doc
		}
	}
	for i := range ops {
		earlier[ops[i].Key] = ops[i]
	}
	return append(parents, ops...)
}
