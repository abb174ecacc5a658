package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// undoneUnasked is how many documents undo brings back without asking. The batch of a rule that was never changed is
// the whole starter set, or an import.
const undoneUnasked = 20

type undoSettings struct {
	whySettings
	DryRun dryRun `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
	Yes    bool   `name:"yes" short:"y" by:"flag" doc:"Do not ask, also where many documents are brought back"`
	Batch  string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addUndo(a *app) {
	var s undoSettings
	a.command(a.root, &cobra.Command{
		Use:   "undo BATCH",
		Short: "Take back what one write did",
		Long: `Brings every document of a batch back to the version before it; what the batch has created is retired.
It is a write of its own: the history keeps both, and says so. Where one of the documents was written since, nothing
is done. More than 20 documents are asked about first. "tenet history" shows the batch of each change; the first or last
signs of its id do, as far as no other one has them.`,
		Example: "  tenet history rule/SEC-001\n  tenet undo 01890a5d-ac96-774b-bcce-b302099a8057 --dry-run\n" +
			"  tenet undo b302099a8057",
		Args:        cobra.ExactArgs(1),
		Annotations: prints(asName),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		undone, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (knowledge.BatchID, error) { return batchToUndo(ctx, d, args[0]) })
		if err != nil {
			return err
		}
		ops, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) ([]knowledge.Op, error) { return undoOps(ctx, a, d, undone) })
		if err != nil {
			return err
		}
		if len(ops) > undoneUnasked && !s.Yes && s.DryRun == dryNone {
			if err := confirm(a, fmt.Sprintf("Take back what the batch did to %d documents?", len(ops))); err != nil {
				return err
			}
		}
		if s.Message == "" { // else the history has an update like any other
			s.Message = "Take back batch " + undone.String()
		} else {
			s.Message += " (takes back batch " + undone.String() + ")"
		}
		if s.DryRun == dryClient {
			_, err = withTimeout(ctx, a.Timeout,
				func(ctx context.Context) (none struct{}, err error) { return none, stillThere(ctx, d, ops) })
		}
		if err == nil {
			err = applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: ops})
		}
		if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
			return fmt.Errorf("%w\nIt was written again after that batch, which may be taken back already: "+
				"`tenet history %s` shows by what. Nothing was done", err, conflict.Key)
		}
		return err
	})
}

// stillThere returns a [*store.ConflictError] for the first op whose document has another version by now: a dry run
// that asks nobody would promise what the write refuses.
func stillThere(ctx context.Context, d *door, ops []knowledge.Op) error {
	for i := range ops {
		now, err := d.Get(ctx, ops[i].Key)
		if err != nil {
			return err
		}
		if now.Version != ops[i].IfVersion {
			return &store.ConflictError{Key: now.Key, Op: i, Want: ops[i].IfVersion, Got: now.Version}
		}
	}
	return nil
}

// batchToUndo returns the batch that a person names. Of a document it says which one wrote it last, since that may have
// written others too.
func batchToUndo(ctx context.Context, d *door, given string) (knowledge.BatchID, error) {
	id, err := findBatch(ctx, d, given)
	if err == nil || !errors.Is(err, errUsage) {
		return id, err
	}
	key, no := parseName(given)
	if no == nil && key.Kind == "" {
		key, no = findKey(ctx, d, key.ID)
	}
	if no != nil {
		return id, err // it is no document either
	}
	last, no := d.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: 1})
	if no != nil || len(last) == 0 {
		return id, err
	}
	return id, usageError("%s is a document: `tenet undo %s` takes back the write that changed it last", key,
		last[0].Batch)
}

// A missingBatchError says that the log holds no change of a batch. It is [store.ErrNotFound].
type missingBatchError struct{ id knowledge.BatchID }

func (e *missingBatchError) Error() string {
	return "there is no batch " + e.id.String() + " in the log: `tenet history KEY` shows the batches of a document"
}

func (e *missingBatchError) Is(target error) bool { return target == store.ErrNotFound }

// undoOps returns the ops that bring back what was there before a batch. Each holds only where the batch's version is
// still there. A proposal that the batch has applied stays: that it was applied is true.
func undoOps(ctx context.Context, a *app, d *door, id knowledge.BatchID) ([]knowledge.Op, error) {
	changes, err := d.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: knowledge.MaxChanges})
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, &missingBatchError{id}
	}
	var ops []knowledge.Op
	for i := range changes {
		c := &changes[i]
		if c.Verb == knowledge.VerbArchive {
			return nil, fmt.Errorf("%s was archived: tenet restore brings it back; nothing was done", c.Key)
		}
		if c.Record == nil {
			return nil, fmt.Errorf("%s was purged, which can't be undone: nothing was done", c.Key)
		}
		if len(changes) > 1 && isApplied(c.Record) {
			a.say("%s stays applied, and its documents are brought back", c.Key)
			continue
		}
		before, err := versionBefore(ctx, d, c)
		if err != nil {
			return nil, fmt.Errorf("undo the change of %s: %w", c.Key, err)
		}
		if before == nil {
			ops = append(ops, knowledge.Op{Verb: knowledge.VerbRetire, Key: c.Key, IfVersion: c.Version})
			continue
		}
		doc, err := before.Document()
		if err != nil {
			return nil, fmt.Errorf("read version %d of %s: %w", before.Version, c.Key, err)
		}
		ops = append(ops, knowledge.Put(doc, c.Version))
	}
	return ops, nil
}

func isApplied(r *knowledge.Record) bool {
	d, err := r.Document()
	p, ok := d.(*knowledge.Proposal)
	return err == nil && ok && p.State == knowledge.ProposalApplied
}

// versionBefore returns the document before a change, nil where the change has created it, or brought it back from the
// archive, or made it anew after a purge.
func versionBefore(ctx context.Context, feed store.Feed, c *knowledge.Change) (*knowledge.Record, error) {
	if c.Version == 1 {
		return nil, nil
	}
	changes, err := feed.Changes(ctx, knowledge.ChangeQuery{Key: c.Key, Version: c.Version - 1, Limit: 1})
	switch {
	case err != nil:
		return nil, err
	case len(changes) == 0:
		return nil, &versionError{c.Key, c.Version - 1, "is no longer in the log"}
	case changes[0].Verb.Removes():
		return nil, nil
	case changes[0].Record == nil:
		return nil, &versionError{c.Key, c.Version - 1, "was purged"}
	}
	return changes[0].Record, nil
}

// printPlanned shows what ops would do.
func printPlanned(a *app, ops []knowledge.Op) error {
	if a.Output == asName {
		keys := make([]knowledge.Key, len(ops))
		for i := range ops {
			keys[i] = ops[i].Key
		}
		return writeNames(a.out, keys)
	}
	a.say("nothing was written; this would be done:")
	type planned struct {
		Key  string         `json:"key"`
		Verb knowledge.Verb `json:"verb"`
		As   int64          `json:"as_of_version,omitempty"` // the version that comes back
	}
	list := make([]planned, len(ops))
	for i := range ops {
		list[i] = planned{Key: ops[i].Key.String(), Verb: ops[i].Verb}
		if doc := ops[i].Doc; doc != nil && doc.Stamps().Version < ops[i].IfVersion {
			list[i].As = doc.Stamps().Version
		}
	}
	return a.print(list, func(w io.Writer, _ screen) error {
		for _, p := range list {
			line := p.Key + ": " + string(p.Verb)
			if p.As > 0 {
				line += ", as it was at version " + itoa(p.As)
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
		return nil
	})
}

type restoreVerbSettings struct {
	verbSettings
	Version int64  `name:"version" least:"1" by:"flag" doc:"Write this version of one document again, on top of the newest"`
	Source  string `name:"source" by:"flag" doc:"All documents that were retired with this source"`
}

// restoreVersion writes an older version of a document again.
func restoreVersion(ctx context.Context, a *app, args []string, s *restoreVerbSettings) error {
	id, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	key, err := oneKey(args)
	if err != nil {
		return err
	}
	on, err := conditionOf(s.IfVersion, s.IfBatch)
	if err != nil {
		return err
	}
	if s.Version < 1 {
		return usageError("--version %d: want a number from 1", s.Version)
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if err := findKeys(ctx, a, d, &key); err != nil {
		return err
	}
	op, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Op, error) {
		now, err := d.Get(ctx, key)
		if err != nil {
			return knowledge.Op{}, err
		}
		older, err := readVersion(ctx, d, key, s.Version)
		if err != nil {
			return knowledge.Op{}, err
		}
		doc, err := older.Document()
		if err != nil {
			return knowledge.Op{}, fmt.Errorf("read version %d of %s: %w", s.Version, key, err)
		}
		doc.SetActive(true)
		op := knowledge.Put(doc, now.Version)
		if now.Pending != (knowledge.BatchID{}) {
			op.IfVersion, op.IfBatch = knowledge.AnyVersion, now.Pending
		}
		return op, nil
	})
	if err != nil {
		return err
	}
	if err := on.put(ctx, a, d, &op); err != nil {
		return err
	}
	return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: []knowledge.Op{op}})
}

type retireSettings struct {
	verbSettings
	Source string `name:"source" by:"flag" doc:"All documents of this source, as \"tenet source remove\" does"`
	Tag    string `name:"tag" by:"flag" doc:"Every active document that has this tag"`
	Yes    bool   `name:"yes" short:"y" by:"flag" doc:"With --source or --tag: do not ask"`
}

// retireMany retires what a source brought, or what has a tag.
func retireMany(ctx context.Context, a *app, args []string, s *retireSettings) error {
	if len(args) > 0 || s.Source != "" && s.Tag != "" || s.IfVersion != "" || s.IfBatch != "" {
		return usageError("name documents, or say --source, or --tag: one of the three, and --if-version and " +
			"--if-batch are for one document")
	}
	if s.Source != "" {
		if s.DryRun == dryServer {
			return usageError("with --source it is found out here what would be retired: say --dry-run alone")
		}
		return removeSource(ctx, a, s.Source, &sourceRemoveSettings{
			whySettings: s.whySettings, DryRun: s.DryRun != dryNone, Yes: s.Yes,
		})
	}
	id, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	var ops []knowledge.Op
	for rec, err := range listed(ctx, d, knowledge.Query{Tag: s.Tag}, interchange.Listed()[1:]) {
		if err != nil {
			return err
		}
		if rec.Active {
			ops = append(ops, knowledge.Op{Verb: knowledge.VerbRetire, Key: rec.Key, IfVersion: rec.Version})
		}
	}
	switch n := len(ops); {
	case n == 0:
		a.say("no active document has the tag %s", s.Tag)
		return nil
	case n > knowledge.MaxBatchOps:
		return usageError("%d documents have the tag %s, and at most %d are retired at once", n, s.Tag,
			knowledge.MaxBatchOps)
	case !s.Yes && s.DryRun == dryNone:
		if err := confirm(a, fmt.Sprintf("Retire %s with the tag %s?", plural(int64(n), "document", "documents"),
			s.Tag)); err != nil {
			return err
		}
	}
	return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: ops})
}
