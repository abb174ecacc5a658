package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// batchID reads --batch, or makes a new id.
func batchID(text string) (knowledge.BatchID, error) {
	if text == "" {
		return knowledge.NewBatchID(), nil
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return id, usageError("--batch %q: want a UUID", text)
	}
	return id, nil
}

// A receipt is what a write did, in the shape that the REST API has.
type receipt struct {
	ID        knowledge.BatchID `json:"id"`
	State     string            `json:"state"`
	Seq       knowledge.Seq     `json:"seq"`
	Results   []result          `json:"results"`
	DryRun    bool              `json:"dry_run,omitempty"`
	Unchanged bool              `json:"unchanged,omitempty"`
}

type result struct {
	Kind     knowledge.Kind  `json:"kind"`
	ID       string          `json:"id"`
	Verb     knowledge.Verb  `json:"verb"`
	Version  int64           `json:"version"`
	ETag     string          `json:"etag,omitempty"`
	Document json.RawMessage `json:"document"`
	// Unchanged is true where no version was made, as in the REST API.
	Unchanged bool `json:"unchanged,omitempty"`
}

func receiptOf(b *knowledge.Batch, r *knowledge.Receipt) receipt {
	out := receipt{
		ID: b.ID, State: knowledge.BatchApplied, Seq: r.Seq, DryRun: r.Dry, Unchanged: r.Unchanged,
		Results: make([]result, len(b.Ops)),
	}
	if r.Queued {
		out.State = knowledge.BatchQueued
	}
	for i, op := range b.Ops {
		out.Results[i] = result{Kind: op.Key.Kind, ID: op.Key.ID, Verb: op.Verb, Document: json.RawMessage("null")}
		if i < len(r.Records) && r.Records[i] != nil {
			out.Results[i].Version, out.Results[i].Document = r.Records[i].Version, r.Records[i].JSON
			out.Results[i].ETag = api.ETag(r.Records[i])
			out.Results[i].Unchanged = r.Left(i)
		}
	}
	return out
}

// whySettings are the flag by which a write says why.
type whySettings struct {
	Message string `name:"message" short:"m" by:"flag" doc:"Why, in one line, which \"tenet history\" shows"`
}

// send does a batch, or tries it, and prints what became of each op.
func send(ctx context.Context, a *app, d *door, b knowledge.Batch) error {
	id, ops := b.ID, b.Ops
	var err error
	if b.Actor, err = withTimeout(ctx, a.Timeout, d.actor); err != nil {
		return err
	}
	var notes []knowledge.Note
	r, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (r knowledge.Receipt, err error) {
		r, notes, err = d.applyNoted(ctx, b)
		return r, err
	})
	if made, ok := errors.AsType[*store.ProposedError](err); ok {
		return sayProposed(a, made, b.ID)
	}
	if err != nil {
		return inDoubt(withCategories(ctx, d, ops, ofDocuments(ops, a.from, err)), id)
	}
	sayLoose(a, ops, &r)
	sayNotes(a, notes)
	if a.Output == asName {
		return printPlanned(a, ops)
	}
	err = a.print(receiptOf(&b, &r), func(w io.Writer, _ screen) error { return writeReceipt(w, &b, &r) })
	if err == nil {
		sayWaits(a, &b)
	}
	return err
}

// ofDocuments has the faults of a refused batch speak of the fields of its documents, as who wrote a document or
// named a field knows them, and not of ops: a person has typed none. from has the files that the documents come from.
func ofDocuments(ops []knowledge.Op, from map[knowledge.Key]string, err error) error {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	if !ok || invalid.Query {
		return err
	}
	out := &knowledge.InvalidError{Faults: slices.Clone(invalid.Faults)}
	for i := range out.Faults {
		f := &out.Faults[i]
		within := ops
		for {
			n, field, ok := cutOp(f.Pointer)
			if !ok || field == "" || n >= len(within) {
				break
			}
			op := &within[n]
			if f.Pointer = field; len(within) > 1 {
				f.Pointer = op.Key.String() + ": " + field
			}
			if file := from[op.Key]; file != "" {
				f.Pointer = file + ": " + f.Pointer
			}
			if f.Detail == "unknown field" {
				f.Detail += fmt.Sprintf(": `tenet explain %s` lists the fields of a %[1]s", op.Key.Kind)
			}
			if op.Verb == knowledge.VerbPatch && strings.HasSuffix(f.Detail, "a string: want an array") {
				f.Detail += ", as in [\"one\",\"two\"]"
			}
			p, ok := op.Doc.(*knowledge.Proposal)
			if !ok {
				break
			}
			all, err := p.ApplyOps()
			if err != nil {
				break
			}
			within = all[:len(all)-1] // the last one is the proposal itself
		}
	}
	return out
}

// cutOp returns which op a pointer is about, and the pointer to a field within its document or patch.
func cutOp(pointer string) (op int, field string, ok bool) {
	rest, ok := strings.CutPrefix(pointer, "/ops/")
	number, rest, within := strings.Cut(rest, "/")
	name, field, below := strings.Cut(rest, "/")
	op, err := strconv.Atoi(number)
	if !ok || !within || !below || err != nil || op < 0 || name != "document" && name != "patch" {
		return 0, "", false
	}
	return op, "/" + field, true
}

func writeReceipt(w io.Writer, b *knowledge.Batch, r *knowledge.Receipt) error {
	var text strings.Builder
	for i, op := range b.Ops {
		var rec *knowledge.Record
		if i < len(r.Records) {
			rec = r.Records[i]
		}
		would := ""
		if r.Dry {
			would = "would be "
		}
		if rec == nil {
			fmt.Fprintf(&text, "%s %s%s\n", op.Key, would, past(op.Verb, 0))
			continue
		}
		did := past(op.Verb, rec.Version)
		if decided := decision(&op); decided != "" {
			did = decided
		}
		if r.Left(i) {
			did = "unchanged"
		}
		fmt.Fprintf(&text, "%s %s%s, version %d\n", op.Key, would, did, rec.Version)
	}
	if r.Dry {
		text.WriteString("nothing was written: the server was only asked\n")
	}
	if r.Queued {
		fmt.Fprintf(&text, "queued as batch %s: the primary is down, and gets it when it is back\n", b.ID)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// decision returns the state in which an op leaves a proposal, "" for none: then it says more than that it is updated.
func decision(op *knowledge.Op) string {
	var said struct {
		State string `json:"state"`
	}
	if op.Key.Kind != knowledge.KindProposal || op.Verb != knowledge.VerbPatch {
		return ""
	}
	_ = json.Unmarshal(op.Patch, &said) // what it does not say is ""
	return said.State
}

// past says what a verb has done.
func past(v knowledge.Verb, version int64) string {
	switch v {
	case knowledge.VerbPut, knowledge.VerbPatch:
		if version == 1 {
			return "created"
		}
		return "updated"
	case knowledge.VerbRetire:
		return "retired"
	case knowledge.VerbRestore:
		return "restored"
	case knowledge.VerbArchive:
		return "archived"
	case knowledge.VerbPurge:
		return "purged"
	}
	return string(v)
}

// inDoubt tells how to ask again when it isn't known whether a write was done.
func inDoubt(err error, id knowledge.BatchID) error {
	if e, ok := errors.AsType[*store.UnavailableError](err); ok && e.NotDone {
		return err
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) {
		return &doubt{err, id}
	}
	return err
}

// A doubt says that a write may have been done or not.
type doubt struct {
	err error
	id  knowledge.BatchID
}

func (e *doubt) Error() string {
	return fmt.Sprintf("%s\nWhether it was done is open. To be sure, give the same command again with --batch %s: "+
		"it is not done twice.",
		e.err, e.id)
}

func (e *doubt) Unwrap() error { return e.err }
