package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type proposeSettings struct {
	Title   string   `name:"title" by:"flag" doc:"One line that says what is proposed (default: made of the changes)"`
	Why     string   `name:"why" by:"flag" doc:"Why, in words"`
	Set     []string `name:"set" by:"flag" doc:"Field and value for an existing document, as severity=ERROR; repeatable"`
	Retire  bool     `name:"retire" by:"flag" doc:"Propose to take the documents out of use"`
	Restore bool     `name:"restore" by:"flag" doc:"Propose to bring them back into use"`
	DryRun  dryRun   `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
	Batch   string   `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addPropose(a *app) {
	var s proposeSettings
	a.command(a.root, &cobra.Command{
		Use:   "propose FILE|KEY...",
		Short: "Propose changes that somebody else approves and applies",
		Long: `Proposes changes in place of making them: documents of JSON or YAML files, as "tenet put" reads them, or with
--set, --retire or --restore changes of documents that are there: KEY, or an id alone. It needs the role contributor,
whatever the documents are. "tenet review" decides.`,
		Example: `  tenet propose rule.yaml --title 'Forbid dynamic table names' --why 'Seen twice this month'
  tenet propose practice/old --retire`,
		Args: cobra.MinimumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		ops, err := proposedOps(ctx, a, &s, args)
		if err != nil {
			return err
		}
		open := a.open
		if s.DryRun != dryNone {
			open = a.openToLook
		}
		d, err := open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		p := &knowledge.Proposal{ProposalID: id.String(), Title: s.Title, Why: s.Why, IsActive: true}
		if err := fillProposal(ctx, a, d, p, ops); err != nil {
			return err
		}
		same, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (bool, error) {
			return changesNothing(ctx, d, ops)
		})
		if same && err == nil { // the server refuses it, and for a command it is done
			a.say("nothing was changed, and nothing is proposed: it is so already")
		}
		if same || err != nil {
			return err
		}
		ops = []knowledge.Op{knowledge.Put(p, knowledge.NoVersion)}
		return applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Ops: ops})
	})
}

// fillProposal gives a proposal its ops, with the versions that they are made for, and a title where it has none.
func fillProposal(ctx context.Context, a *app, d *door, p *knowledge.Proposal, ops []knowledge.Op) error {
	for i := range ops {
		if err := findKeys(ctx, a, d, &ops[i].Key); err != nil {
			return err
		}
		o, err := knowledge.ProposedOpOf(&ops[i])
		if err != nil {
			return err
		}
		p.Ops = append(p.Ops, o)
	}
	if _, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (any, error) {
		if p.Title == "" {
			store.TitleProposal(ctx, d, p, ops)
		}
		return nil, store.FillVersions(ctx, d, p)
	}); err != nil {
		return err
	}
	return p.Validate()
}

// sayWaits tells how to go on with a proposal that a batch has made.
func sayWaits(a *app, b *knowledge.Batch) {
	p, made := b.Ops[0].Doc.(*knowledge.Proposal)
	if !made || b.Dry || len(b.Ops) > 1 || b.Ops[0].IfVersion != knowledge.NoVersion {
		return
	}
	a.say("it waits for somebody else: `tenet review show %[1]s`, then `tenet review approve %[1]s` and "+
		"`tenet review apply %[1]s`", p.ProposalID)
}

// changesNothing reports whether every op would leave its document as it is. What it can't tell, the server does.
func changesNothing(ctx context.Context, d store.Reader, ops []knowledge.Op) (bool, error) {
	for i := range ops {
		rec, err := d.Get(ctx, ops[i].Key)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		before, err := rec.Document()
		if err != nil {
			return false, err
		}
		if after, err := ops[i].Next(before); err != nil || !knowledge.SameContent(before, after) {
			return false, nil //nolint:nilerr // the store reports the fault
		}
	}
	return true, nil
}

// sayProposed prints what has become of a write that waits as a proposal.
func sayProposed(a *app, made *store.ProposedError, sent knowledge.BatchID) error {
	return a.print(struct {
		State    string        `json:"state"`
		Proposal knowledge.Key `json:"proposal"`
	}{"proposed", made.Key}, func(w io.Writer, _ screen) error {
		_, err := io.WriteString(w, saidProposed(made, sent))
		return err
	})
}

// proposedOps reads what is proposed.
func proposedOps(ctx context.Context, a *app, s *proposeSettings, args []string) ([]knowledge.Op, error) {
	var patch json.RawMessage
	if len(s.Set) > 0 {
		var err error
		if patch, err = readPatch(ctx, a, &patchSettings{Set: s.Set}); err != nil {
			return nil, err
		}
	}
	verb := knowledge.VerbPut
	for _, way := range []struct {
		given bool
		verb  knowledge.Verb
	}{{patch != nil, knowledge.VerbPatch}, {s.Retire, knowledge.VerbRetire}, {s.Restore, knowledge.VerbRestore}} {
		if !way.given {
			continue
		}
		if verb != knowledge.VerbPut {
			return nil, usageError("--set, --retire and --restore exclude each other")
		}
		verb = way.verb
	}
	var ops []knowledge.Op
	if verb != knowledge.VerbPut {
		keys, err := readKeys(args)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			ops = append(ops, knowledge.Op{Verb: verb, Key: key, Patch: patch})
		}
		args = nil
	}
	for _, arg := range args {
		if _, err := os.Stat(arg); err != nil && arg != "-" {
			return nil, usageError("%s: want a file, or a document with --set, --retire or --restore", err)
		}
		puts, err := readPuts(ctx, a, []string{arg}, &putSettings{})
		if err != nil {
			return nil, err
		}
		ops = append(ops, puts...)
	}
	_ = loose(a, ops, false) // without strict it returns no error
	if len(ops) > knowledge.MaxProposedOps {
		return nil, usageError("%d documents: a proposal has at most %d, since a person reads it", len(ops),
			knowledge.MaxProposedOps)
	}
	return ops, nil
}

// saidProposed tells of a write that became a proposal, or that waits as an earlier one already.
func saidProposed(made *store.ProposedError, sent knowledge.BatchID) string {
	if made.Key.ID != sent.String() { // else a proposal has the id of the write that it was made of
		return fmt.Sprintf("waits already as %s, and is not proposed again: a person decides (tenet review show %s)\n",
			made.Key, made.Key.ID)
	}
	return fmt.Sprintf("proposed as %s: it waits for a person (tenet review show %s)\n", made.Key, made.Key.ID)
}
