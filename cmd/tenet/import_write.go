package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Bounds of an import's batches: what a server takes in one request, with room to spare.
const (
	importOps   = 500
	importBytes = 16 << 20
)

// A stoppedError says how far an import came.
type stoppedError struct {
	written, of int
	err         error
}

func (e *stoppedError) Error() string {
	return fmt.Sprintf("%s\n%s", e.err, e.rest())
}

// rest says what is there, and how to go on. What is refused for its text or for who brings it is refused again.
func (e *stoppedError) rest() string {
	said := fmt.Sprintf("%d of %s written", e.written, plural(int64(e.of), "document", "documents"))
	_, invalid := errors.AsType[*knowledge.InvalidError](e.err)
	switch {
	case !invalid && !errors.Is(e.err, store.ErrForbidden) && !errors.Is(e.err, store.ErrUnauthenticated):
		said += "; the same import again goes on where this one stopped"
	case e.written > 0:
		said += "; once that is settled, the import goes on with the others"
	}
	return said
}

func (e *stoppedError) Unwrap() error { return e.err }

// A carried import is one that has come to its end.
type carried struct {
	written  int
	proposed int      // documents that wait for a person
	refused  []string // keys of what the server did not take, where the others were to be written all the same
	batches  []knowledge.BatchID
}

// carryOut writes a plan, batch by batch.
func carryOut(ctx context.Context, a *app, d *door, plan *interchange.Plan, s *importSettings) (*carried, error) {
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return nil, err
	}
	bar := a.progress("writing", plan.Writes())
	defer bar.done()
	c := &carried{}
	for b, err := range plan.Batches(actor, importOps) {
		if err != nil {
			return nil, err
		}
		if b.Message == "" { // an export with history has those of its batches
			b.Message = s.Message
		}
		for _, part := range split(b, importBytes) {
			err := ctx.Err() // between two batches: nothing is in doubt
			if err == nil {
				err = c.write(ctx, a, d, plan, part, s.KeepGoing)
			}
			if err != nil {
				return nil, &stoppedError{c.written, plan.Writes(), err}
			}
			bar.set(c.written + c.proposed + len(c.refused))
		}
	}
	bar.done()
	if c.written > 0 || c.proposed == 0 && len(c.refused) == 0 {
		a.say("%s%s", c.sum(plan), takenBack(plan, c.batches))
	}
	return c, nil
}

// sum says how much was written, and how much of that no file holds.
func (c *carried) sum(plan *interchange.Plan) string {
	what := "document"
	if n := plan.Count(); c.written > n[interchange.Created]+n[interchange.Changed]+n[interchange.Pruned] {
		what = "change" // of an export with history, which has several of a document
	}
	said := plural(c.written, what, what+"s") + " written"
	made := 0
	for i := range plan.Steps() {
		if plan.Steps()[i].Implied() {
			made++
		}
	}
	if made > 0 {
		said += fmt.Sprintf(", %d of them %s that the others name", made, map[bool]string{
			true: "a category", false: "categories",
		}[made == 1])
	}
	return said
}

// write sends a batch. Of one whose documents the server finds faults in, the others are sent again where the import is
// to keep going.
func (c *carried) write(ctx context.Context, a *app, d *door, plan *interchange.Plan, b knowledge.Batch,
	keepGoing bool,
) error {
	for len(b.Ops) > 0 {
		_, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (knowledge.Receipt, error) { return d.Apply(ctx, b) })
		if err == nil {
			c.written += len(b.Ops)
			c.batches = append(c.batches, b.ID)
			return nil
		}
		if made, ok := errors.AsType[*store.ProposedError](err); ok {
			c.proposed += len(b.Ops)
			a.say("%s", strings.TrimSuffix(saidProposed(made, b.ID), "\n"))
			return nil
		}
		faulty, named := namedFaults(plan, b.Ops, err)
		if !keepGoing || len(faulty) == 0 {
			return named
		}
		a.say("refused: %s", explain(named))
		left := b
		left.ID, left.Ops = knowledge.NewBatchID(), nil
		for i := range b.Ops {
			if faulty[i] {
				c.refused = append(c.refused, b.Ops[i].Key.String())
			} else {
				left.Ops = append(left.Ops, b.Ops[i])
			}
		}
		b = left
	}
	return nil
}

// namedFaults returns an error about the ops of a batch as one about the files and documents that they were made of. It
// tells which ops it is about too; none where it is not about ops alone.
func namedFaults(plan *interchange.Plan, ops []knowledge.Op, err error) (map[int]bool, error) {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	if !ok {
		return nil, err
	}
	from := map[knowledge.Key]string{}
	for _, st := range plan.Steps() {
		if _, doc := st.Documents(); doc != nil {
			from[st.Key] = strings.TrimSpace(st.Path+" "+st.Place) + ": "
		}
	}
	named, faulty, others := &knowledge.InvalidError{Query: invalid.Query}, map[int]bool{}, false
	for _, f := range invalid.Faults {
		at, below, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/ops/"), "/")
		i, err := strconv.Atoi(at)
		if err != nil || i < 0 || i >= len(ops) || !strings.HasPrefix(f.Pointer, "/ops/") {
			named.Faults, others = append(named.Faults, f), true
			continue
		}
		faulty[i] = true
		key := ops[i].Key
		where := from[key] + key.String()
		if below = strings.TrimPrefix(strings.TrimPrefix(below, "document"), "/"); below != "" {
			where += " /" + below
		}
		named.Faults = append(named.Faults, knowledge.Fault{Pointer: where, Detail: f.Detail})
	}
	if others {
		faulty = nil
	}
	return faulty, named
}

// takenBack tells how to take back what one source has brought, or one batch has written; nothing where an import can't
// be taken back so simply.
func takenBack(plan *interchange.Plan, batches []knowledge.BatchID) string {
	source, ofSource := "", true
	for _, st := range plan.Steps() {
		written := st.Outcome == interchange.Created || st.Outcome == interchange.Changed
		_, d := st.Documents()
		switch {
		case written && d == nil: // history
			return ""
		case !written || st.Outcome == interchange.Created && st.Key.Kind == knowledge.KindCategory:
			continue
		}
		o, ok, err := interchange.OriginOf(d) // a document of our own form belongs to no source
		if err != nil || !ok || st.Outcome == interchange.Changed || source != "" && o.Source != source {
			ofSource = false
		}
		source = o.Source
	}
	switch {
	case ofSource && source != "":
		return "; `tenet source remove " + source + "` retires them again"
	case len(batches) == 1:
		return "; `tenet undo " + batches[0].String() + "` takes that back"
	}
	return ""
}

// split cuts a batch into parts that fit into one request. The first part keeps the batch's id.
func split(b knowledge.Batch, most int) []knowledge.Batch {
	var parts []knowledge.Batch
	part, size := b, 0
	part.Ops = nil
	for _, op := range b.Ops {
		n := len(op.Patch)
		if op.Doc != nil {
			if data, err := knowledge.Canonical(op.Doc); err == nil {
				n = len(data)
			}
		}
		if size+n > most && len(part.Ops) > 0 {
			parts = append(parts, part)
			part.ID, part.Ops, size = knowledge.NewBatchID(), nil, 0
		}
		part.Ops = append(part.Ops, op)
		size += n
	}
	return append(parts, part)
}
