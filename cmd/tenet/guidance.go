package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/treesync"
	"tenet/internal/worktree"
)

type guidanceSettings struct {
	Task       string   `name:"task" by:"flag" doc:"What is to be done, in words"`
	Languages  []string `name:"language" by:"flag" doc:"A language besides those of the files' names; repeatable"`
	Target     string   `name:"target" by:"flag" doc:"The assistant or tool that asks, as in claude"`
	Repository string   `name:"repository" by:"flag" doc:"The id of the repository, whose packs, label and exemptions count"`
	Packs      []string `name:"pack" by:"flag" doc:"A pack that narrows the answer; may be given several times"`
	Label      string   `name:"label" by:"flag" doc:"Documents as they stand where this label does"`
	Budget     int      `name:"budget" default:"8000" by:"flag" doc:"Tokens that the answer may take"`
	Family     string   `name:"family" default:"openai" by:"flag" doc:"Count tokens as these models do: openai or claude"`
	Explain    bool     `name:"explain" by:"flag" doc:"Show everything that holds or could and why, without texts"`
}

func addGuidance(a *app) {
	var s guidanceSettings
	a.command(a.root, &cobra.Command{
		Use:   "guidance [PATH...]",
		Short: "Show what holds for files and a task",
		Long: `Shows the rules, practices and templates that hold for files, what matters most first: in a git work
tree the paths are taken from its root. With --task what fits the words is there too. What does not fit the budget is
counted, and a mandatory one is never left out. The repository, packs and label that .tenet.yaml names count
where no flag says otherwise. docs/scopes.md describes the patterns.`,
		Example: `  tenet guidance cmd/pay/main.go --task 'add a refund endpoint' --budget 4000
  tenet guidance src/app.ts --explain
  tenet guidance src/app.ts --pack frontend --label production
  tenet guidance --language go -o json`,
		Args: cobra.ArbitraryArgs,
	}, &s, func(ctx context.Context, args []string) error {
		q := guidance.Query{
			Languages: s.Languages, Task: s.Task, Target: s.Target, Repository: s.Repository, Packs: s.Packs,
			Label:  s.Label,
			Budget: guidance.Budget{Tokens: s.Budget, Family: s.Family, Explain: s.Explain || s.Budget == 0},
		}
		if err := errors.Join(checkTarget(s.Target), asTreeTakes(ctx, a, args, &q)); err != nil {
			return err
		}
		for _, arg := range args {
			p, err := inWorkTree(arg)
			if err != nil {
				return err
			}
			q.Paths = append(q.Paths, p)
		}
		if len(args) == 0 && s.Task == "" && len(s.Languages) == 0 {
			return usageError("name a file, a --task or a --language; see `tenet guidance --help`")
		}
		if _, err := q.Check(); err != nil {
			return usageError("%s", err)
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		got, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*guidance.Answer, error) { return d.guidance(ctx, q) })
		if err != nil {
			return err
		}
		return a.print(got, func(w io.Writer, sc screen) error {
			if q.Budget.Explain {
				return writeExplained(w, sc, got, q.Task != "")
			}
			_, err := io.WriteString(w, got.Markdown(&q))
			if got.LeftOut.Total > 0 {
				a.say("--explain lists what was left out, each with its reason")
			}
			return err
		})
	})
}

// checkTarget refuses a word that is nearly the name of an assistant. Any other one may be that of somebody's own tool.
func checkTarget(name string) error {
	known := treesync.Targets()
	if near := knowledge.Nearest(name, slices.Values(known)); near != "" && near != name {
		return usageError("--target %q: did you mean %s? There are %s", name, near, strings.Join(known, ", "))
	}
	return nil
}

// asTreeTakes fills in what the work tree of the files takes (.tenet.yaml), where the flags do not say it: the same
// documents that sync, check and hooks go by.
func asTreeTakes(ctx context.Context, a *app, files []string, q *guidance.Query) error {
	dir := "."
	if len(files) > 0 {
		dir = filepath.Dir(files[0])
	}
	// a file that is not there yet, in a folder that is not either
	for dir != "." && dir != string(filepath.Separator) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	if _, ok := worktree.Root(dir); !ok {
		dir = "."
	}
	w, err := openTree(a, dir)
	if err != nil {
		return err
	}
	w.config.take(&q.Repository, &q.Packs, &q.Label)
	return w.askServer(ctx, a)
}

// guidance asks what holds: the running tenet, or the database with an index made for this one question.
func (d *door) guidance(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
	if d.remote != nil {
		type budget struct {
			Tokens *int   `json:"tokens,omitempty"`
			Family string `json:"family,omitempty"`
		}
		tokens, zero := &q.Budget.Tokens, 0
		switch {
		case q.Budget.Explain:
			tokens = &zero
		case *tokens == 0:
			tokens = nil // the server's own default; 0 would explain
		}
		a := new(guidance.Answer)
		err := d.remote.Guidance(ctx, struct {
			Paths      []string `json:"paths,omitempty"`
			Languages  []string `json:"languages,omitempty"`
			Task       string   `json:"task,omitempty"`
			Target     string   `json:"target,omitempty"`
			Repository string   `json:"repository,omitempty"`
			Packs      []string `json:"packs,omitempty"`
			Label      string   `json:"label,omitempty"`
			Budget     budget   `json:"budget"`
			Known      []known  `json:"known,omitempty"`
		}{
			q.Paths, q.Languages, q.Task, q.Target, q.Repository, q.Packs, q.Label,
			budget{tokens, q.Budget.Family},
			knownOf(q.Known),
		}, a)
		return a, err
	}
	ctx = store.WithLeaving(ctx)
	x := guidance.New(guidance.Options{Store: d.Store, Feed: d.Store})
	if err := x.Load(ctx); err != nil {
		return nil, err
	}
	p, err := x.Prepare(ctx, d.Store, q)
	if err != nil {
		return nil, err
	}
	return p.Answer(ctx, d.Store)
}

// A known is a document that the asker has, as REST has it.
type known struct {
	Key     string `json:"key"`
	Version int64  `json:"version"`
}

func knownOf(list []guidance.Known) []known {
	var out []known
	for _, k := range list {
		out = append(out, known{k.Key.String(), k.Version})
	}
	return out
}

func writeExplained(w io.Writer, sc screen, a *guidance.Answer, task bool) error {
	t := &table{head: []string{"DOCUMENT", "ENFORCEMENT", "TOKENS", "TITLE", "WHY"}, wide: 4, wrap: true}
	for i := range a.Items {
		item := &a.Items[i]
		t.add(item.Key, strictness(item.Enforcement, item.Severity), itoa(int64(item.Sizes.Full)), cell(item.Title), cell(guidance.Why(item.Because)))
	}
	for _, l := range a.LeftOut.First {
		t.add(string(l.Kind)+"/"+l.ID, strictness(l.Enforcement, l.Severity), itoa(int64(l.Tokens)), cell(l.Title),
			"left out: "+leftWords(l.Reason, task))
	}
	if err := t.write(w, sc); err != nil {
		return err
	}
	if more := a.LeftOut.Total - len(a.LeftOut.First); more > 0 {
		if _, err := fmt.Fprintf(w, "and %d more left out\n", more); err != nil {
			return err
		}
	}
	for _, n := range a.Notes {
		if _, err := fmt.Fprintln(w, "note: "+n); err != nil {
			return err
		}
	}
	return nil
}

// strictness says how strictly a document holds; severity is that of a rule, or empty.
func strictness(enforcement, severity string) string {
	if severity == "" {
		return enforcement
	}
	return enforcement + ", " + severity
}

func leftWords(reason string, task bool) string {
	switch {
	case reason == guidance.LeftModel && task:
		return "it does not fit the task"
	case reason == guidance.LeftModel:
		return "the model decides by its title; give a --task"
	case reason == guidance.LeftTarget:
		return "it is meant for another assistant"
	case reason == guidance.LeftBudget:
		return "no room in the budget"
	}
	return "more hold than an answer names"
}

// inWorkTree returns the path of a file from the root of the git work tree that it lies in, or as it is outside of any.
func inWorkTree(arg string) (string, error) {
	whole, err := filepath.Abs(arg)
	if err != nil {
		return "", usageError("%s: %s", arg, err)
	}
	if info, err := os.Stat(whole); err == nil && info.IsDir() {
		return "", usageError("%s is a folder: name a file in it", arg)
	}
	for dir := filepath.Dir(whole); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			rel, err := filepath.Rel(dir, whole)
			if err != nil {
				return "", usageError("%s: %s", arg, err)
			}
			return filepath.ToSlash(rel), nil
		}
		if dir == filepath.Dir(dir) {
			return filepath.ToSlash(arg), nil
		}
	}
}

type explainSettings struct {
	Target string `name:"target" by:"flag" doc:"The assistant or tool that asks, as in claude"`
}

func addExplain(a *app) {
	var s explainSettings
	a.command(a.root, &cobra.Command{
		Use:   "explain KIND | PATH DOCUMENT",
		Short: "Show the fields of a kind; or tell why a document holds for a file",
		Long: `Tells whether a document holds for a file, with every glob of its scope and what it says. The document
is kind/id; a rule needs its id only.

With a kind alone it shows the fields of its documents: what each is for, what it may be, and what it is when left
out.`,
		Example: `  tenet explain rule
  tenet explain rule.scope
  tenet explain cmd/pay/main.go GO-001
  tenet explain docs/index.md practice/small-pull-requests`,
		Args: cobra.RangeArgs(1, 2),
	}, &s, func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			if err := a.idle("for a kind", "target"); err != nil {
				return err
			}
			return explainKind(a, args[0])
		}
		p, err := inWorkTree(args[0])
		if err != nil {
			return err
		}
		if err := checkTarget(s.Target); err != nil {
			return err
		}
		q, err := guidance.Query{Paths: []string{p}, Target: s.Target}.Check()
		if err != nil {
			return usageError("%s", err)
		}
		name := args[1]
		if !strings.Contains(name, "/") {
			name = string(knowledge.KindRule) + "/" + name
		}
		key, err := parseKey(name)
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		rec, err := withTimeout(ctx, a.Timeout,
			func(ctx context.Context) (*knowledge.Record, error) { return d.Get(ctx, key) })
		if err != nil {
			return err
		}
		doc, err := rec.Document()
		if err != nil {
			return err
		}
		v := guidance.Explain(doc, &q)
		return a.print(v, func(w io.Writer, sc screen) error { return writeVerdict(w, sc, &v) })
	})
}

func writeVerdict(w io.Writer, sc screen, v *guidance.Verdict) error {
	verb := "holds"
	if !v.Holds {
		verb = "does not hold"
	}
	if _, err := fmt.Fprintf(w, "%s (%s) %s for %s: %s\n", v.Key, cell(v.Title), verb, v.Path, v.Why); err != nil ||
		len(v.Globs) == 0 {
		return err
	}
	t := &table{head: []string{"GLOB", "SAYS"}, wide: 1}
	for _, g := range v.Globs {
		says := "does not match"
		switch {
		case g.Fault != "":
			says = "can't be read: " + g.Fault
		case g.Exclude && g.Matches:
			says = "excludes the path"
		case g.Matches:
			says = "matches"
		}
		t.add(cell(g.Glob), says)
	}
	return t.write(w, sc)
}
