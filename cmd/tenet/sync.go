package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"tenet/internal/bundle"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/treesync"
	"tenet/internal/worktree"
)

type syncSettings struct {
	Targets   []string `name:"target" by:"flag" doc:"An assistant to write for, besides those in settings; repeatable"`
	Label     string   `name:"label" by:"flag" doc:"Take documents as they stand at this label, before all settings"`
	Check     bool     `name:"check" by:"flag" doc:"Write nothing, and fail when the tree is not in sync"`
	Diff      bool     `name:"diff" by:"flag" doc:"Write nothing, and show what would be written"`
	Adopt     bool     `name:"adopt" by:"flag" doc:"Put a block behind what stands in a shared file that has none yet"`
	Overwrite bool     `name:"overwrite" by:"flag" doc:"Take back what somebody has changed by hand in the parts that are written"`
	Verbose   bool     `name:"verbose" by:"flag" doc:"Name each document that is left out, and why"`
	Offline   bool     `name:"offline" by:"flag" doc:"Use what was taken from the server before, and ask nobody"`
}

func addSync(a *app) {
	var s syncSettings
	a.command(a.root, &cobra.Command{
		Use:   "sync",
		Short: "Write what holds here into the files that assistants read",
		Long: `Writes the rules and practices that the work tree takes (.tenet.yaml) into the files that its
assistants read by themselves, and tenet.lock, which says what was written. Files of its own have names that begin
with tenet-; in a shared file such as AGENTS.md it has one block between two marks. Nothing else is touched: a file
that is somebody else's, a mark that is missing, a part that was edited by hand or a symbolic link is an error, and
then nothing is written at all. What an assistant's form can't say is left out and named, and never said wider.

With --check it fails with 1 when the tree is not in sync, and with 2 when that can't be told. Where the repository, a
pack or the label that it takes is not there, it fails with 3, with --check too. While the server is away, what it said
last counts.`,
		Example: `  tenet sync --target claude --target cursor
  tenet sync --check
  tenet sync --diff
  tenet sync --adopt
  tenet sync --label staging`,
	}, &s, func(ctx context.Context, _ []string) error { return syncTree(ctx, a, &s) })
}

// driftError says that the tree is not in sync, and what a sync would do about it. What there is to say of each
// file was printed.
func driftError(p *treesync.Plan) error {
	if no := p.Refused(); len(no) > 0 {
		return fmt.Errorf("the work tree is not in sync, and `tenet sync` writes nothing before this is "+
			"settled:%s", (&treesync.RefusalError{Steps: no}).Lines())
	}
	return errors.New("the work tree is not in sync: `tenet sync` mends it")
}

func syncTree(ctx context.Context, a *app, s *syncSettings) error {
	w, err := openTree(a, ".")
	if err != nil {
		return err
	}
	if !s.Check && !s.Diff {
		unlock, err := lockTree(ctx, w)
		if err != nil {
			return err
		}
		defer unlock()
	}
	p, b, err := planSync(ctx, a, w, s)
	if err != nil {
		switch {
		case s.Check && errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("can't tell: %w", err)
		case s.Check:
			return usageError("can't tell: %s", err)
		}
		return err
	}
	drift := p.Drift()
	shown := struct {
		Drift   []treesync.Step     `json:"drift"`
		LeftOut []treesync.Omission `json:"left_out"`
		Skills  []treesync.Omission `json:"skills,omitempty"`
		Cut     []treesync.Omission `json:"cut,omitempty"`
		Twice   []treesync.Twice    `json:"twice,omitempty"`
	}{append([]treesync.Step{}, drift...), append([]treesync.Omission{}, p.LeftOut...), p.Skills, p.Cut, p.Twice}
	write := !s.Check && !s.Diff
	if write {
		err = p.Apply()
	}
	if b != nil && s.Label == "" && !s.Diff {
		checkIn(ctx, a, w, b, syncCheckIn(p, b, write && err == nil))
	}
	if err != nil {
		return err
	}
	err = a.print(shown, func(w io.Writer, sc screen) error {
		if s.Diff {
			return writeSteps(w, drift)
		}
		return writeDrift(w, sc, drift, write)
	})
	if err != nil {
		return err
	}
	return tellSync(a, s, w, p, b, write)
}

// tellSync says what is not in the files, and what comes next.
func tellSync(a *app, s *syncSettings, w *workTree, p *treesync.Plan, b *bundle.Bundle, write bool) error {
	drift := p.Drift()
	strict, err := mandatoryOf(b)
	if err != nil {
		return err
	}
	if b != nil && len(b.Packs) == 0 && len(drift) > 0 {
		a.say("no packs are named, so that every rule and practice is taken: `packs: [ID]` in %s says which; "+
			"`tenet list packs` shows them", treeFile)
	}
	notes := notesOf(s, p, strict)
	switch {
	case len(notes) == 0:
	case len(drift) == 0 && !s.Verbose: // they were told when what they are about was written
		all := *s
		all.Verbose = true // which names one by one what is else counted
		a.say("%s: --verbose shows them", plural(len(notesOf(&all, p, strict)), "note", "notes"))
	default:
		for _, note := range notes {
			a.say("%s", note)
		}
	}
	switch {
	case s.Check && len(drift) > 0:
		return driftError(p)
	case len(drift) == 0:
		a.say("everything is in sync: %s", plural(int64(len(p.Steps)), "file", "files"))
	case write:
		a.say("%s", writtenFiles(drift))
		if b != nil && len(w.config.Targets)+len(b.Targets) == 0 {
			a.say("`targets: [%s]` in %s lets `tenet sync` alone keep them, and --check tell",
				strings.Join(targetsOf(p),
					", "), treeFile)
		}
	}
	return nil
}

// Of what is left out, so many are named without --verbose.
const (
	strictShown = 10 // mandatory ones
	otherShown  = 3  // others, if there are no more
)

// mandatoryOf returns the keys of the mandatory documents of a bundle.
func mandatoryOf(b *bundle.Bundle) (map[string]bool, error) {
	strict := map[string]bool{}
	if b == nil {
		return strict, nil
	}
	docs, err := b.All()
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		_, enforcement := knowledge.Strictness(d)
		strict[d.Key().String()] = enforcement == "mandatory"
	}
	return strict, nil
}

// writtenFiles says how many files were written, and how many removed.
func writtenFiles(drift []treesync.Step) string {
	removed := 0
	for i := range drift {
		if drift[i].Done() == treesync.Removed {
			removed++
		}
	}
	said := plural(len(drift)-removed, "file", "files") + " written"
	if removed > 0 {
		said += fmt.Sprintf(", %d removed", removed)
	}
	return said
}

// writeDrift lists the files that differ, or what was done to each once they are written.
func writeDrift(w io.Writer, sc screen, drift []treesync.Step, written bool) error {
	if len(drift) == 0 {
		return nil
	}
	t := &table{head: []string{"FILE", "STATE", "WHY"}, wide: 2, wrap: true}
	if written {
		t.head, t.wide = []string{"FILE", "OUTCOME"}, 0
	}
	for i := range drift {
		if written {
			t.add(cell(drift[i].Path), drift[i].Done())
			continue
		}
		t.add(cell(drift[i].Path), drift[i].State, cell(drift[i].Why))
	}
	return t.write(w, sc)
}

// lockPatience is how long a run waits for another one on the same tree.
const lockPatience = time.Minute

// lockTree keeps other runs of this user from a tree: what one has looked at, another would write meanwhile.
func lockTree(ctx context.Context, w *workTree) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err := worktree.Lock(ctx, strings.TrimSuffix(w.cache, ".json")+".lock")
	if errors.Is(err, worktree.ErrLocked) {
		return nil, fmt.Errorf("another tenet sync has been at work on %s for %s: let it end, and run this again",
			w.Dir(), lockPatience)
	}
	return unlock, err
}

// planSync looks at the tree. Of one that is looked at by its lock alone there is no bundle.
func planSync(ctx context.Context, a *app, w *workTree, s *syncSettings) (*treesync.Plan, *bundle.Bundle, error) {
	if s.Label != "" {
		w.config.Label = s.Label
	}
	b, err := takeBundle(ctx, a, w, s.Offline)
	if err != nil {
		if s.Check && errors.Is(err, store.ErrUnavailable) {
			a.say("%s: what tenet.lock says counts, and what is behind can't be seen", err)
			p, err := treesync.FromLock(w.Tree)
			return p, nil, err
		}
		return nil, nil, err
	}
	targets := append(append(append([]string{}, w.config.Targets...), b.Targets...), s.Targets...)
	if len(targets) == 0 {
		return nil, nil, noTargets(w)
	}
	for _, t := range targets {
		if !slices.Contains(treesync.Targets(), t) {
			return nil, nil, usageError("target %q: want one of %s", t, strings.Join(treesync.Targets(), ", "))
		}
	}
	p, err := treesync.Make(w.Tree, b, targets, treesync.Options{Adopt: s.Adopt, Overwrite: s.Overwrite})
	return p, b, err
}

// noTargets says that no assistant is named, and how it is: as those that the tree was written for, if it was.
func noTargets(w *workTree) error {
	if p, err := treesync.FromLock(w.Tree); err == nil {
		if was := targetsOf(p); len(was) > 0 {
			return usageError("no assistant is named, and %s was written for %s: put `targets: [%s]` into %s, or give "+
				"--target", treesync.LockFile, strings.Join(was, ", "), strings.Join(was, ", "), treeFile)
		}
	}
	return usageError("no assistant is named: give targets in %s, or --target; there are %s", treeFile,
		strings.Join(treesync.Targets(), ", "))
}

// targetsOf returns the assistants that a plan has files for.
func targetsOf(p *treesync.Plan) []string {
	var out []string
	for i := range p.Steps {
		for t := range strings.SplitSeq(p.Steps[i].Target, ", ") {
			if slices.Contains(treesync.Targets(), t) {
				out = append(out, t)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// writeSteps shows what differs, in each file but the lock, which follows from the others.
func writeSteps(w io.Writer, steps []treesync.Step) error {
	last := ""
	for i := range steps {
		if steps[i].Path == treesync.LockFile {
			last = treesync.LockFile + " changes too\n"
			continue
		}
		before, after := steps[i].Texts()
		name := cell(steps[i].Path)
		shown := cleanLines(diff.Diff(name+" as it is ("+steps[i].State+")", before, name+" as written", after))
		if shown == "" || !steps[i].Settled() {
			shown = fmt.Sprintf("%s is %s: %s\n", name, steps[i].State, cell(steps[i].Why))
		}
		if _, err := io.WriteString(w, shown); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, last)
	return err
}
