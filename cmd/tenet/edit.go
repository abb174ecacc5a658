package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type editSettings struct {
	whySettings
	DryRun dryRun `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server"`
	Batch  string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

func addEdit(a *app) {
	var s editSettings
	a.command(a.root, &cobra.Command{
		Use:   "edit KEY",
		Short: "Change a document in your editor",
		Long: `Opens a document as YAML in the editor that VISUAL or EDITOR names, and writes what was saved there.
Where somebody else has written meanwhile, or the text is refused, nothing is written, and the file with the text
stays; the message names it.`,
		Example:           "  tenet edit rule/SEC-001\n  EDITOR='code --wait' tenet edit practice small-pull-requests",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: withKeys(a),
		Annotations:       prints(asName),
	}, &s, func(ctx context.Context, args []string) error {
		id, err := batchID(s.Batch)
		if err != nil {
			return err
		}
		key, err := oneKey(args)
		if err != nil {
			return err
		}
		return edit(ctx, a, key, s.DryRun, knowledge.Batch{ID: id, Message: s.Message})
	})
}

// edit asks twice: a person may think for an hour, and while a command holds the database nobody else can write.
func edit(ctx context.Context, a *app, key knowledge.Key, dry dryRun, b knowledge.Batch) error {
	editor, err := editorOf(a)
	if err != nil {
		return err
	}
	rec, err := readOnce(ctx, a, key)
	if err != nil {
		return err
	}
	key = rec.Key
	if err := mayEdit(ctx, a, rec); err != nil {
		return err
	}
	text, err := textToEdit(rec)
	if err != nil {
		return err
	}
	name, err := writeTemp(key, text)
	if err != nil {
		return err
	}
	kept := func(err error) error { return keptText(err, key, name) }
	failed := runEditor(ctx, a, editor, name)
	after, err := os.ReadFile(name) //nolint:gosec // our own file
	switch {
	case err != nil:
		return errors.Join(failed, fmt.Errorf("read what was edited: %w", err))
	case failed != nil && bytes.Equal(after, text):
		return errors.Join(failed, os.Remove(name))
	case failed != nil:
		return kept(failed)
	case bytes.Equal(after, text):
		a.say("nothing was changed")
		return os.Remove(name)
	}
	if b.Ops, err = editedOps(ctx, a, name, rec); err != nil {
		return kept(err)
	}
	d, err := a.openToLook(ctx) // what was edited is there
	if err != nil {
		return kept(err)
	}
	defer a.close(d)
	_ = loose(a, b.Ops, false) // without strict it returns no error
	if err := checkSeen(ctx, a, d, b.Ops, condition{}); err != nil {
		return kept(err)
	}
	if err := applyOr(ctx, a, d, dry, b); err != nil {
		if _, ok := errors.AsType[*doubt](err); ok {
			return fmt.Errorf("%w\nFor what you have edited that is `tenet put %s --batch %s`", err, name, b.ID)
		}
		return kept(err)
	}
	if dry != dryNone {
		a.say("your text is kept in %s: write it with `tenet put %s`", name, name)
		return nil
	}
	return os.Remove(name)
}

// mayEdit refuses before the editing who could not write what was edited, where that can be told: what a policy asks
// for only the server knows, and an agent's write becomes a proposal.
func mayEdit(ctx context.Context, a *app, rec *knowledge.Record) error {
	if a.Agent != "" || rec.Key.Kind == knowledge.KindProposal {
		return nil
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if d.remote == nil {
		return nil // the owner of the files
	}
	me, err := withTimeout(ctx, a.Timeout, d.remote.Me)
	if err != nil {
		return err
	}
	doc, err := rec.Document()
	if err != nil {
		return err
	}
	caller := &access.Caller{ID: me.ID, Role: me.Role}
	act := access.Act{Verb: knowledge.VerbPut, Key: rec.Key, Before: doc, After: doc, Seen: true}
	no := access.Decide(caller, act)
	switch {
	case no == nil:
		return nil
	case caller.May(access.DoPropose, knowledge.KindProposal):
		return fmt.Errorf("%w\nNothing was opened. To propose it: `tenet get %s > FILE`, edit the file, and "+
			"`tenet propose FILE`", no, rec.Key)
	}
	return fmt.Errorf("%w\nNothing was opened: your token may only read", no)
}

// keptText adds to what has kept an edited text from being written where the text is, and what to do with it.
func keptText(err error, key knowledge.Key, name string) error {
	say := "mend it, and write it with `tenet put`"
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok && movedOn(conflict) {
		say = fmt.Sprintf("`tenet diff %s %d %d` shows what came in meanwhile; put that into the file too, and "+
			"write it with `tenet put %s --if-version %[3]d`", key, conflict.Want, conflict.Got, name)
	} else if errors.Is(err, store.ErrForbidden) {
		say = fmt.Sprintf("a contributor proposes it with `tenet propose %s`", name)
	}
	return fmt.Errorf("%w\nNothing was written. Your text is kept in %s: %s", err, name, say)
}

// editedOps reads what was saved: one op, which holds for the version that was opened.
func editedOps(ctx context.Context, a *app, name string, opened *knowledge.Record) ([]knowledge.Op, error) {
	ops, err := readPuts(ctx, a, []string{name}, &putSettings{})
	if err != nil {
		return nil, err
	}
	if len(ops) != 1 || ops[0].Key != opened.Key {
		return nil, usageError("want %s alone, as it was opened: another key is another document", opened.Key)
	}
	// Where the line with the version is gone, it is the one that was opened.
	if op := &ops[0]; op.IfVersion == knowledge.AnyVersion && op.IfBatch == (knowledge.BatchID{}) {
		op.IfVersion = opened.Version
	}
	return ops, nil
}

func readOnce(ctx context.Context, a *app, key knowledge.Key) (*knowledge.Record, error) {
	d, err := a.openToLook(ctx)
	if err != nil {
		return nil, err
	}
	defer a.close(d)
	if err := findKeys(ctx, a, d, &key); err != nil {
		return nil, err
	}
	return withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) { return d.Get(ctx, key) })
}

// textToEdit returns a document as YAML, as `tenet get` prints it for files.
func textToEdit(rec *knowledge.Record) ([]byte, error) {
	doc, err := documentOf(rec)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = printYAML(&b, doc)
	return b.Bytes(), err
}

func writeTemp(key knowledge.Key, text []byte) (string, error) {
	f, err := os.CreateTemp("", "tenet-"+string(key.Kind)+"-"+key.ID+"-*.yaml")
	if err != nil {
		return "", fmt.Errorf("write a file to edit: %w", err)
	}
	_, err = f.Write(text)
	return f.Name(), errors.Join(err, f.Close())
}

// editorOf returns the editor and its arguments.
func editorOf(a *app) ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if text, ok := a.env(name); ok && strings.TrimSpace(text) != "" {
			return strings.Fields(text), nil
		}
	}
	for _, name := range []string{"sensible-editor", "nano", "vi"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}, nil
		}
	}
	return nil, usageError("no editor: name one in EDITOR")
}

func runEditor(ctx context.Context, a *app, editor []string, name string) error {
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], name)...) //nolint:gosec // the user's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.err, a.err
	if isTerminal(a.in) {
		cmd.Stdout = a.out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the editor %s failed: %w", editor[0], err)
	}
	return nil
}
