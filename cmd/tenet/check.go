package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/store"
)

type checkSettings struct {
	Staged  bool   `name:"staged" by:"flag" doc:"Look at what is staged, and tell only what is new in it"`
	Diff    string `name:"diff" by:"flag" doc:"Check what has changed since this commit or branch; tell only what is new"`
	Format  string `name:"format" default:"text" by:"flag" doc:"How to print: text, json, sarif or github"`
	Report  bool   `name:"report" by:"flag" doc:"Report violations of the repository in .tenet.yaml, and resolve mended ones"`
	Offline bool   `name:"offline" by:"flag" doc:"Use what was taken from the server before, and ask nobody"`
}

func addCheck(a *app) {
	var s checkSettings
	a.command(a.root, &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Find where files break rules",
		Long: `Looks for what the checks of rules forbid or require, in the files that are named, in all files of the
work tree, or in what has changed. The rules are those that the work tree takes (.tenet.yaml); while the server is
away, those that it took last.

It fails when a mandatory rule is broken. What is exempt is shown and does not count. Of a file over 4 MiB, and of a
binary one, the path alone is looked at: every format names it, with the mandatory rules that were not looked for; a
binary one only where a check says which files it is for.`,
		Example: `  tenet check
  tenet check --staged
  tenet check --diff origin/main --format github
  tenet check src --format sarif > tenet.sarif`,
		Args: cobra.ArbitraryArgs,
	}, &s, func(ctx context.Context, args []string) error { return checkTree(ctx, a, &s, args) })
}

// errBroken says that a mandatory rule is broken. What there is to say was printed.
var errBroken = errors.New("a mandatory rule is broken")

func checkTree(ctx context.Context, a *app, s *checkSettings, args []string) error {
	if !slices.Contains([]string{"text", "json", "sarif", "github"}, s.Format) {
		return usageError("--format %q: want text, json, sarif or github", s.Format)
	}
	if s.Staged && s.Diff != "" || len(args) > 0 && (s.Staged || s.Diff != "") {
		return usageError("name paths, or --staged, or --diff: one of them")
	}
	if s.Offline && s.Report {
		return usageError("--offline asks nobody, and --report tells the server: give one of them")
	}
	w, err := openTree(a, ".")
	if err != nil {
		return err
	}
	if s.Report && w.config.Repository == "" {
		return usageError("--report needs to know the repository: name it in %s", treeFile)
	}
	if w.alone && len(args) == 0 {
		a.say("%s is in no git work tree: all files below it are looked at", w.Dir())
	}
	files, err := w.files(ctx, s, args)
	if err != nil {
		return err
	}
	b, err := takeBundle(ctx, a, w, s.Offline)
	if err != nil {
		return err
	}
	set, err := setOf(b)
	if err != nil {
		return err
	}
	r := set.Stream(files.now, files.before)
	if files.err != nil {
		return files.err
	}
	if err := printFindings(a, s.Format, r); err != nil {
		return err
	}
	if s.Report {
		if err := reportFindings(ctx, a, w, files, r); err != nil {
			return err
		}
	}
	in := &store.CheckIn{Via: "check", Seq: b.Seq}
	if found := len(r.Findings); files.before == nil && len(args) == 0 { // else it says nothing of the whole tree
		in.Findings = &found
	}
	addOutcomes(in, r)
	checkIn(ctx, a, w, b, in)
	if r.Decision == check.Deny {
		return errBroken
	}
	return nil
}

// addOutcomes adds what became of each rule to what the server is told.
func addOutcomes(in *store.CheckIn, r *check.Result) {
	followed, violated, exempted := r.Outcomes()
	for _, o := range []struct {
		rules []string
		store.EffectTally
	}{
		{followed, store.EffectTally{Followed: 1}},
		{violated, store.EffectTally{Violated: 1}},
		{exempted, store.EffectTally{Exempted: 1}},
	} {
		for _, id := range o.rules {
			add(in, id, o.EffectTally)
		}
	}
}

func setOf(b *bundle.Bundle) (*check.Set, error) {
	rules, err := b.Rules()
	if err != nil {
		return nil, err
	}
	exempt, err := b.Exemptions()
	return check.NewSet(rules, exempt, time.Now()), err
}

func reportFindings(ctx context.Context, a *app, w *workTree, files *checkedFiles, r *check.Result) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return err
	}
	about := check.About{Repository: w.config.Repository, Checked: files.names, Gone: files.gone}
	t, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (check.Tally, error) {
		return check.Report(ctx, d.Store, actor, about, r)
	})
	if err == nil {
		a.say("reported: %d opened, %d stand, %d resolved, %d exempt", t.Opened, t.Standing, t.Resolved, t.Exempted)
	}
	return err
}

func printFindings(a *app, format string, r *check.Result) error {
	switch {
	case format == "json":
		return printJSON(a.out, r)
	case format == "text" && !a.forPeople():
		return a.print(r, nil)
	case format == "sarif":
		text, err := r.SARIF(buildInfo().Version)
		if err == nil {
			_, err = a.out.Write(append(text, '\n'))
		}
		return err
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		var err error
		if format == "github" {
			err = writeGitHub(a.out, f)
		} else {
			err = writeFinding(a.out, f)
		}
		if err != nil {
			return err
		}
	}
	for _, skip := range r.Skipped {
		a.say("%s was not looked at: %s", cell(skip.Path), skip.Why)
		if format == "github" {
			if err := writeSkipped(a.out, skip); err != nil {
				return err
			}
		}
	}
	if r.More {
		a.say("there is more: only the first %d are shown", len(r.Findings))
	}
	not := ""
	if n := len(r.Skipped); n > 0 {
		not = "; " + plural(int64(n), "file", "files") + " not looked at"
	}
	a.say("%s: %s in %s, by %s with checks%s", r.Decision, plural(int64(len(r.Findings)), "finding", "findings"),
		plural(int64(r.Files), "file", "files"), plural(int64(r.Rules), "rule", "rules"), not)
	return nil
}

func writeFinding(w io.Writer, f *check.Finding) error {
	place := f.Path
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column)
	}
	tail := ""
	if f.Fix != "" {
		tail = " What helps: " + cell(f.Fix)
	}
	if f.Exempt != nil {
		tail += fmt.Sprintf(" (exempt until %s: %s)", f.Exempt.Until.Format("2006-01-02"), cell(f.Exempt.Reason))
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s: %s (rule/%s)%s\n", cell(place), f.Severity, f.Enforcement, cell(f.Message),
		f.Rule, tail)
	return err
}

// writeGitHub writes a command that GitHub shows at the line.
func writeGitHub(w io.Writer, f *check.Finding) error {
	level := "warning"
	switch {
	case f.Exempt != nil:
		level = "notice"
	case f.Enforcement == "mandatory":
		level = "error"
	}
	at := "file=" + gitHubName(f.Path)
	if f.Line > 0 {
		at += fmt.Sprintf(",line=%d,col=%d", f.Line, f.Column)
	}
	_, err := fmt.Fprintf(w, "::%s %s,title=%s::%s\n", level, at, gitHubName("rule/"+f.Rule),
		gitHubText(strings.TrimSpace(f.Message+" "+f.Fix)))
	return err
}

// writeSkipped writes a warning that GitHub shows at a file that was not looked at.
func writeSkipped(w io.Writer, skip check.Skipped) error {
	_, err := fmt.Fprintf(w, "::warning file=%s,title=not looked at::%s\n", gitHubName(skip.Path), gitHubText(skip.Why))
	return err
}

func gitHubText(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func gitHubName(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(gitHubText(s))
}
