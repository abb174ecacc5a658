package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

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

With --check it fails with 1 when the tree is not in sync, and with 2 when that can't be told. While the server is
away, what it said last counts.`,
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
		if s.Check {
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
	tellLeftOut(a, s, p, strict)
	tellSkills(a, s, p, strict)
	tellCut(a, s, p)
	for _, t := range p.Twice {
		still := "which is still here"
		if t.Differs {
			still += ", with another text by now"
		}
		a.say("%s reads %s twice: it was imported from %s, %s; take it out of there, and edit it in tenet", t.Target,
			t.Document, cell(t.Path), still)
	}
	switch {
	case s.Check && len(drift) > 0:
		return driftError(p)
	case len(drift) == 0:
		a.say("everything is in sync: %s", plural(int64(len(p.Steps)), "file", "files"))
	case write:
		a.say("%s written", plural(int64(len(drift)), "file", "files"))
		if b != nil && len(b.Packs) == 0 {
			a.say("no packs are named, so that every rule and practice was taken: `packs: [ID]` in %s says which; "+
				"`tenet list packs` shows them", treeFile)
		}
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

// tellLeftOut says what assistants do not get: what is mandatory one by one, and of many others how many.
func tellLeftOut(a *app, s *syncSettings, p *treesync.Plan, strict map[string]bool) {
	name := func(o treesync.Omission) { a.say("%s is left out for %s: %s", o.Document, o.Target, o.Why) }
	var others []treesync.Omission
	named := 0
	for _, o := range p.LeftOut {
		switch {
		case s.Verbose:
			name(o)
		case strict[o.Document] && named < strictShown:
			named++
			name(o)
		default:
			others = append(others, o)
		}
	}
	if len(others) <= otherShown {
		for _, o := range others {
			name(o)
		}
		return
	}
	counts := map[string]int{}
	for _, o := range others {
		counts[o.Target]++
	}
	var of []string
	for _, target := range slices.Sorted(maps.Keys(counts)) {
		of = append(of, fmt.Sprintf("%d for %s", counts[target], target))
	}
	a.say("left out, since an assistant's form can't say when it holds: %s; --verbose names each, and why",
		strings.Join(of, ", "))
}

// tellSkills says which mandatory documents are a skill, which the model takes up or passes over; with --verbose the
// others too.
func tellSkills(a *app, s *syncSettings, p *treesync.Plan, strict map[string]bool) {
	named, more := 0, 0
	for _, o := range p.Skills {
		switch {
		case !strict[o.Document]:
			if s.Verbose {
				a.say("%s is a skill for %s: %s", o.Document, o.Target, o.Why)
			}
		case s.Verbose || named < strictShown:
			named++
			a.say("%s is mandatory, and only a skill for %s, whose model may pass it over: %s", o.Document, o.Target, o.Why)
		default:
			more++
		}
	}
	if more > 0 {
		a.say("%s only as a skill; --verbose names each",
			plural(int64(more), "more mandatory document", "more mandatory documents"))
	}
}

// tellCut says of which documents reviews read the beginning alone.
func tellCut(a *app, s *syncSettings, p *treesync.Plan) {
	if len(p.Cut) > otherShown && !s.Verbose {
		a.say("%s longer than code reviews read; --verbose names each",
			plural(len(p.Cut), "document is", "documents are"))
		return
	}
	for _, o := range p.Cut {
		a.say("%s is cut short for %s: %s", o.Document, o.Target, o.Why)
	}
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

// writeSteps shows what differs, the lines that go and those that come.
func writeSteps(w io.Writer, steps []treesync.Step) error {
	for i := range steps {
		before, after := steps[i].Texts()
		old, now := lines(before), lines(after)
		from := 0
		for from < len(old) && from < len(now) && old[from] == now[from] {
			from++
		}
		end := 0
		for end < len(old)-from && end < len(now)-from && old[len(old)-1-end] == now[len(now)-1-end] {
			end++
		}
		var b strings.Builder
		fmt.Fprintf(&b, "--- %s (%s)\n", cell(steps[i].Path), steps[i].State)
		if from+end < max(len(old), len(now)) {
			fmt.Fprintf(&b, "@@ line %d @@\n", from+1)
		}
		for _, l := range old[from : len(old)-end] {
			b.WriteString("-" + cell(l) + "\n")
		}
		for _, l := range now[from : len(now)-end] {
			b.WriteString("+" + cell(l) + "\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(text, []byte("\n"))), "\n")
}
