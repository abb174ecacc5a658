package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type verbSettings struct {
	whySettings
	IfVersion string `name:"if-version" by:"flag" doc:"Only if this version, or ETag, is there"`
	IfBatch   string `name:"if-batch" by:"flag" doc:"Only if this batch, even one that waits, has left what is there"`
	Batch     string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
	DryRun    dryRun `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
}

// A condition is what must stand of a document for a write to be done.
type condition struct {
	seen  string // a version or an ETag, without quotes
	batch knowledge.BatchID
}

// conditionOf reads --if-version and --if-batch.
func conditionOf(seen, batch string) (condition, error) {
	on := condition{seen: strings.Trim(seen, `"`)}
	if seen != "" && (!api.IsTag(`"`+on.seen+`"`) || api.Pending(`"`+on.seen+`"`) != (knowledge.BatchID{})) {
		return on, usageError("--if-version %q: want a version such as 3, or an ETag such as 3-9f86d081884c", seen)
	}
	if batch == "" {
		return on, nil
	}
	if seen != "" {
		return condition{}, usageError("--if-version and --if-batch are two conditions: give one of them")
	}
	id, err := uuid.Parse(batch)
	if err != nil || len(batch) != 36 {
		return condition{}, usageError("--if-batch %q: want the UUID of a batch", batch)
	}
	return condition{batch: id}, nil
}

// put puts the condition, if there is one, into an op. It returns a conflict if the version is there with another text
// than an ETag names, as after a database was put back from a backup.
func (on condition) put(ctx context.Context, a *app, d *door, op *knowledge.Op) error {
	switch {
	case on.batch != (knowledge.BatchID{}):
		op.IfVersion, op.IfBatch = knowledge.AnyVersion, on.batch
		return nil
	case on.seen == "":
		return nil
	}
	_, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (none struct{}, err error) {
		return none, api.ReadSeen(ctx, d, op, on.seen)
	})
	return err
}

func addVerbs(a *app) {
	var retire retireSettings
	a.command(a.root, &cobra.Command{
		Use:   "retire KEY...",
		Short: "Take documents out of use",
		Long: `Takes documents out of use: those that are named, everything that a source brought, or everything with
a tag. They stay, with their history, and "tenet restore" brings them back.`,
		Example: "  tenet retire rule/SEC-001\n  tenet retire rule SEC-001 SEC-002\n  tenet retire --tag " +
			"legacy --dry-run",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: withKeys(a),
		Annotations:       prints(asName),
	}, &retire, func(ctx context.Context, args []string) error {
		switch {
		case retire.Source != "" || retire.Tag != "":
			return retireMany(ctx, a, args, &retire)
		case len(args) == 0:
			return usageError("name a document, a --source or a --tag; see `tenet retire --help`")
		}
		return doVerb(ctx, a, knowledge.VerbRetire, args, retire.verbSettings)
	})
	var restore restoreVerbSettings
	a.command(a.root, &cobra.Command{
		Use:   "restore KEY...",
		Short: "Bring retired documents, or an older version, back",
		Long: `Brings retired documents back into use. With --version an older version of one document is written
again, on top of the newest: nothing of the history is lost. With --source it takes back "tenet source remove", and what
an import with --prune has retired.`,
		Example: "  tenet restore rule/SEC-001\n  tenet restore rule/SEC-001 --version 3\n" +
			"  tenet restore --source handbook",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: withKeys(a),
		Annotations:       prints(asName),
	}, &restore, func(ctx context.Context, args []string) error {
		switch {
		case restore.Source != "" && len(args) > 0:
			return usageError("name documents, or say --source, not both")
		case restore.Source != "":
			return restoreSource(ctx, a, &restore)
		case len(args) == 0:
			return usageError("name a document or a --source; see `tenet restore --help`")
		}
		if restore.Version != 0 {
			return restoreVersion(ctx, a, args, &restore)
		}
		if last := len(args) - 1; last > 0 && strings.Contains(args[last-1], "/") &&
			!strings.ContainsFunc(args[last], func(r rune) bool { return r < '0' || r > '9' }) {
			return usageError("to bring version %[1]s back: tenet restore %[2]s --version %[1]s", args[last],
				strings.Join(args[:last], " "))
		}
		return doVerb(ctx, a, knowledge.VerbRestore, args, restore.verbSettings)
	})
	addPurge(a)
}

type purgeSettings struct {
	verbSettings
	Yes bool `name:"yes" short:"y" by:"flag" doc:"Do not ask"`
}

func addPurge(a *app) {
	var s purgeSettings
	a.command(a.root, &cobra.Command{
		Use:   "purge KEY...",
		Short: "Remove documents for ever, their texts from the history too",
		Long: `Removes documents, and their texts from every version in the log; the log keeps that there was
something and who removed it. Proposals that hold a text of it are named: they are purged on their own. This can't be
undone. Only admins may do it. To take a document out of use, "tenet retire" is what you want.`,
		Example:           `  tenet purge rule/SEC-001 --yes`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: withKeys(a),
	}, &s, func(ctx context.Context, args []string) error {
		if !s.Yes && s.DryRun == dryNone {
			if err := confirm(a, fmt.Sprintf("Remove %s for ever?", strings.Join(args, ", "))); err != nil {
				return err
			}
		}
		return doVerb(ctx, a, knowledge.VerbPurge, args, s.verbSettings)
	})
}

func doVerb(ctx context.Context, a *app, verb knowledge.Verb, args []string, s verbSettings) error {
	id, err := batchID(s.Batch)
	if err != nil {
		return err
	}
	on, err := conditionOf(s.IfVersion, s.IfBatch)
	if err != nil {
		return err
	}
	keys, err := readKeys(args)
	if err != nil {
		return err
	}
	if len(keys) > 1 && on != (condition{}) {
		return usageError("--if-version and --if-batch are for one document, and %d are named", len(keys))
	}
	d, err := a.openToLook(ctx) // what it changes is there, or there is nothing to do
	if err != nil {
		return err
	}
	defer a.close(d)
	ops := make([]knowledge.Op, len(keys))
	for i := range keys {
		if err := findKeys(ctx, a, d, &keys[i]); err != nil {
			return err
		}
		ops[i] = knowledge.Op{Verb: verb, Key: keys[i]}
		if err := on.put(ctx, a, d, &ops[i]); err != nil {
			return err
		}
	}
	err = applyOr(ctx, a, d, s.DryRun, knowledge.Batch{ID: id, Message: s.Message, Ops: ops})
	if err != nil || verb != knowledge.VerbPurge || s.DryRun != dryNone {
		return err
	}
	if d.local != nil { // a server that runs notes it by itself
		if err := d.local.NotePurged(ctx, a.localOptions(), keys); err != nil {
			return err
		}
	}
	return sayQuoted(ctx, a, d, keys)
}

// sayQuoted names the proposals that still hold texts of documents that were purged: what they propose is a text of its
// own.
func sayQuoted(ctx context.Context, a *app, d *door, purged []knowledge.Key) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	q := knowledge.Query{Kind: knowledge.KindProposal, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
	return store.All(ctx, d, q, func(r *knowledge.Record) error {
		doc, err := r.Document()
		if err != nil {
			return err
		}
		p, ok := doc.(*knowledge.Proposal)
		if !ok || !slices.ContainsFunc(p.Ops, func(o knowledge.ProposedOp) bool {
			return slices.Contains(purged, knowledge.Key{Kind: knowledge.Kind(o.Kind), ID: o.ID})
		}) {
			return nil
		}
		a.say("%s proposes a text of it, and still holds that: tenet purge %s", r.Key, r.Key)
		return nil
	})
}

// confirm asks a person, and refuses where there is none to ask.
func confirm(a *app, question string) error {
	if !isTerminal(a.in) {
		return usageError("%s Say --yes to do it; there is nobody to ask", question)
	}
	if _, err := fmt.Fprintf(a.err, "%s [y/N] ", question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return usageError("nothing was done")
	}
	return nil
}
