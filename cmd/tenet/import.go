package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type importSettings struct {
	Format    string `name:"format" by:"flag" doc:"Format of the files, where their names and contents do not tell"`
	Category  string `name:"category" by:"flag" doc:"Category of everything that is imported"`
	Source    string `name:"source" by:"flag" doc:"Name of the source, by which a later import finds again what this one brought (default: made of the path)"`
	DryRun    bool   `name:"dry-run" by:"flag" doc:"Show what would be done, and write nothing"`
	Prune     bool   `name:"prune" by:"flag" doc:"Retire what the source brought earlier and no longer holds"`
	KeepGoing bool   `name:"keep-going" by:"flag" doc:"Import what is good although something is refused"`
	Overwrite bool   `name:"overwrite" by:"flag" doc:"Replace also what was edited here since it was imported"`
}

func (a *app) addImport() {
	var s importSettings
	var formats []string
	for _, f := range interchange.Formats() {
		formats = append(formats, string(f))
	}
	a.command(a.root, &cobra.Command{
		Use:   "import PATH...",
		Short: "Import files, folders and archives of other tools",
		Long: `Imports what a team has written for other tools: a file, a folder, or an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip); - is a
file on standard input. Formats are detected; --format names one of ` + strings.Join(formats, ", ") + `.

Everything is checked before anything is written. When something is refused nothing is written, unless --keep-going says
otherwise, and the exit code is 1. The same import again changes nothing.`,
		Example: `  tenet import .cursor/rules --category web
  tenet import AGENTS.md --dry-run
  tenet import rules.tar.gz --source handbook --prune
  tenet import backup.jsonl`,
		Args: cobra.MinimumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		o := interchange.ReadOptions{Category: s.Category, Source: s.Source}
		if s.Format != "" {
			f, err := interchange.ParseFormat(s.Format)
			if err != nil {
				return usageError("--format: %s", err)
			}
			o.Format = f
		}
		local := a.localOptions()
		// A backup is restored into nothing: a starter set of today would stand in the way of the one that it holds.
		local.NoSeed = slices.ContainsFunc(args, interchange.HoldsHistory)
		d, err := a.openWith(ctx, local)
		if err != nil {
			return err
		}
		defer a.close(d)
		return a.importAll(ctx, d, args, o, &s)
	})
}

func (a *app) importAll(ctx context.Context, d *door, paths []string, o interchange.ReadOptions, s *importSettings) error {
	bar := a.progress("reading", 0)
	plan := interchange.NewPlan(a.planOptions(ctx, d, s, bar))
	for _, path := range paths {
		source, err := a.openSource(path, o)
		if err != nil {
			return usageError("%s", err)
		}
		defer source.Close() //nolint:errcheck // it was only read; the batches are made of it after the loop
		bar.more(source.Len())
		if err := plan.Add(source); err != nil {
			return fmt.Errorf("import %s: %w", path, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	bar.done()
	if err := a.reportPlan(plan); err != nil {
		return err
	}
	refused := plan.Count()[interchange.Refused]
	switch {
	case s.DryRun:
		a.say("nothing was written: this was a dry run")
	case plan.Blocked():
		return fmt.Errorf("%d refused, and nothing was written: correct them, or give --keep-going to import the others", refused)
	default:
		if err := a.carryOut(ctx, d, plan); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d refused: see above", refused)
	}
	return nil
}

// openSource opens a path, or standard input for "-".
func (a *app) openSource(path string, o interchange.ReadOptions) (*interchange.Source, error) {
	if path == "-" {
		return interchange.Read("-", a.in, o)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return interchange.Open(path, o)
}

func (a *app) planOptions(ctx context.Context, d *door, s *importSettings, bar *progress) interchange.PlanOptions {
	o := interchange.PlanOptions{
		KeepGoing: s.KeepGoing, Overwrite: s.Overwrite,
		Current: func(key knowledge.Key) (*knowledge.Record, error) {
			rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*knowledge.Record, error) { return d.Get(ctx, key) })
			if errors.Is(err, store.ErrNotFound) {
				return nil, nil //nolint:nilnil // that is how a plan is told that there is none
			}
			return rec, err
		},
		Progress: func(done, _ int) { bar.set(done) },
	}
	if s.Prune {
		o.Imported = func(tag string) iter.Seq2[*knowledge.Record, error] { return a.tagged(ctx, d, tag) }
	}
	return o
}

// tagged returns the documents of every kind that carry a tag.
func (a *app) tagged(ctx context.Context, d *door, tag string) iter.Seq2[*knowledge.Record, error] {
	errStop := errors.New("enough")
	return func(yield func(*knowledge.Record, error) bool) {
		for _, kind := range []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate} {
			q := knowledge.Query{Kind: kind, Tag: tag, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
			err := store.All(ctx, d, q, func(r *knowledge.Record) error {
				if !yield(r, nil) {
					return errStop
				}
				return nil
			})
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// Bounds of an import's batches: what a tenet takes in one request, with room to spare.
const (
	importOps   = 500
	importBytes = 16 << 20
)

// carryOut writes a plan, batch by batch.
func (a *app) carryOut(ctx context.Context, d *door, plan *interchange.Plan) error {
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return err
	}
	bar := a.progress("writing", plan.Writes())
	written := 0
	for b, err := range plan.Batches(actor, importOps) {
		if err != nil {
			return err
		}
		for _, part := range split(b, importBytes) {
			_, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (knowledge.Receipt, error) { return d.Apply(ctx, part) })
			if err != nil {
				bar.done()
				return fmt.Errorf("%d documents were written, then: %w\nThe same import again goes on where this one stopped", written, err)
			}
			written += len(part.Ops)
			bar.set(written)
		}
	}
	bar.done()
	a.say("%d documents written", written)
	return nil
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

// A stepShown is a step of an import as programs get it.
type stepShown struct {
	Source  string              `json:"source"`
	Path    string              `json:"path"`
	Place   string              `json:"place,omitempty"`
	Format  interchange.Format  `json:"format"`
	Key     string              `json:"key"`
	Outcome interchange.Outcome `json:"outcome"`
	Reason  string              `json:"reason,omitempty"`
	Notes   []string            `json:"notes,omitempty"`
}

// reportPlan prints what an import does: every step for programs, what a person must look at and the sums for people.
func (a *app) reportPlan(plan *interchange.Plan) error {
	steps := []stepShown{}
	t := &table{head: []string{"OUTCOME", "KEY", "FILE", "WHY"}, wide: 3}
	for _, s := range plan.Steps() {
		key := ""
		if s.Key != (knowledge.Key{}) {
			key = s.Key.String()
		}
		steps = append(steps, stepShown{s.Source, s.Path, s.Place, s.Format, key, s.Outcome, s.Reason, s.Notes})
		if s.Outcome == interchange.Refused || s.Outcome == interchange.Pruned {
			t.add(string(s.Outcome), key, strings.TrimSpace(s.Path+" "+s.Place), s.Reason)
		}
	}
	return a.print(struct {
		Steps []stepShown                 `json:"steps"`
		Count map[interchange.Outcome]int `json:"count"`
	}{steps, plan.Count()}, func(w io.Writer, sc screen) error {
		if len(t.rows) > 0 {
			if err := t.write(w, sc); err != nil {
				return err
			}
		}
		count := plan.Count()
		sums := &table{}
		var cells []string
		for _, o := range interchange.Outcomes() {
			sums.head = append(sums.head, strings.ToUpper(string(o)))
			cells = append(cells, itoa(int64(count[o])))
		}
		sums.add(cells...)
		return sums.write(w, sc)
	})
}
