package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type importSettings struct {
	whySettings
	Format    string   `name:"format" by:"flag" doc:"Format of the files, where their names and contents do not tell"`
	Category  string   `name:"category" by:"flag" doc:"Category of everything that is imported"`
	Source    string   `name:"source" by:"flag" doc:"Name of the source for later imports (default: made of the path)"`
	DryRun    dryRun   `name:"dry-run" by:"flag" doc:"Write nothing, and show what would be done; =server asks the server too"`
	Prune     bool     `name:"prune" by:"flag" doc:"Retire what the source brought earlier and no longer holds"`
	KeepGoing bool     `name:"keep-going" by:"flag" doc:"Import what is good although something is refused"`
	Overwrite bool     `name:"overwrite" by:"flag" doc:"Replace also what was edited here since it was imported"`
	Verbose   bool     `name:"verbose" short:"v" by:"flag" doc:"List every document and file, with changed lines"`
	Status    string   `name:"status" by:"flag" doc:"Status of the rules that are created: DRAFT, ACTIVE or DEPRECATED; later imports leave it to you"`
	Strict    bool     `name:"strict" by:"flag" doc:"Refuse placeholders without a variable, and unused variables"`
	Column    []string `name:"column" by:"flag" doc:"The column that holds a field, as in title=Rule; repeatable"`
	Invalid   bool     `name:"accept-invalid" by:"flag" doc:"Restore also documents of an export with history that the server would refuse, as they are, and name them; with no server running"`
	Sum       string   `name:"sha256" by:"flag" doc:"SHA-256 that tenet export showed: a changed file is refused"`
	Ref       string   `name:"ref" by:"flag" doc:"Branch or tag of a git repository that is imported by its address"`
}

func addImport(a *app) {
	var s importSettings
	var formats []string
	for _, f := range interchange.Formats() {
		formats = append(formats, string(f))
	}
	a.command(a.root, &cobra.Command{
		Use:   "import PATH|URL...",
		Short: "Import files, folders, archives and repositories of other tools",
		Long: `Imports what a team has written for other tools: a file, a folder, or an archive (.tar, .tar.gz, .tgz, .tar.zst, .zip), here or
behind an https address, or a git repository by its address; - is a file on standard input. Formats are detected; --format names one
of ` + strings.Join(formats, ", ") + `.

Everything is checked before anything is written. When something is refused nothing is written, unless --keep-going says
otherwise, and the exit code is 1. The same import again changes nothing, also from another folder or checkout. A dry run lists every
document and file: what would be created, what would change and how, what is refused or passed over, and why.`,
		Example: `  tenet import .cursor/rules --category web
  tenet import AGENTS.md --dry-run
  tenet import https://github.com/acme/handbook.git --ref v2 --status DRAFT
  tenet import rules.tar.gz --source handbook --prune
  tenet import rules.csv --column title=Rule --column description=Text
  tenet import backup.jsonl`,
		Args: cobra.MinimumNArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		o, err := readOptionsOf(&s)
		if err != nil {
			return err
		}
		if err := checkSum(args, s.Sum); err != nil {
			return err
		}
		local := a.localOptions()
		// A backup is restored into nothing: a starter set of today would stand in the way of the one that it holds.
		local.NoSeed = slices.ContainsFunc(args, interchange.HoldsHistory)
		clean, err := a.tryElsewhere(&local, s.DryRun == dryClient)
		defer clean()
		if err != nil {
			return err
		}
		open := func(ctx context.Context) (*door, error) { return a.openWith(ctx, local) }
		if s.DryRun == dryServer {
			open = a.openToLook
		}
		d, err := open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if s.Invalid && d.local == nil {
			return usageError("--accept-invalid is for a restore into the database itself: %s takes no such "+
				"documents; stop it first", d.place())
		}
		err = importAll(ctx, a, d, args, o, &s)
		// an old export may name people who were erased since; a running tenet sees that by itself
		if d.local != nil && s.DryRun == dryNone {
			err = errors.Join(err, d.local.Reapply(ctx, local))
		}
		return err
	})
}

// readOptionsOf says how files are read, and checks what the command was given for that.
func readOptionsOf(s *importSettings) (interchange.ReadOptions, error) {
	o := interchange.ReadOptions{Category: s.Category, Source: s.Source}
	if s.Format != "" {
		f, err := interchange.ParseFormat(s.Format)
		if err != nil {
			return o, usageError("--format: %s", err)
		}
		o.Format = f
	}
	if s.Status = strings.ToUpper(s.Status); s.Status != "" && !slices.Contains(knowledge.RuleStatuses(), s.Status) {
		return o, usageError("--status %q: want %s", s.Status, strings.Join(knowledge.RuleStatuses(), ", "))
	}
	var err error
	o.Columns, err = columnsOf(s.Column)
	return o, err
}

// checkSum compares the file to import with the SHA-256 that was noted when it was exported.
func checkSum(args []string, want string) error {
	if want == "" {
		return nil
	}
	if raw, err := hex.DecodeString(want); err != nil || len(raw) != sha256.Size {
		return usageError("--sha256 %q: want the 64 hex digits that tenet export has shown", want)
	}
	if info, err := os.Stat(args[0]); len(args) != 1 || err != nil || !info.Mode().IsRegular() {
		return usageError("--sha256 is that of one file: name one, and nothing else")
	}
	got, err := interchange.SumOf(args[0])
	if err != nil {
		return fmt.Errorf("read %s: %w", args[0], err)
	}
	if !strings.EqualFold(got, want) {
		return fmt.Errorf("%s is another file than was exported: its SHA-256 is %s; nothing was written", args[0], got)
	}
	return nil
}

// columnsOf reads --column.
func columnsOf(given []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range given {
		field, name, ok := strings.Cut(text, "=")
		if !ok || !slices.Contains(interchange.ColumnFields(), field) {
			return nil, usageError("--column %q: want FIELD=COLUMN, with one of the fields %s", text,
				strings.Join(interchange.ColumnFields(), ", "))
		}
		out[field] = name
	}
	return out, nil
}

func importAll(ctx context.Context, a *app, d *door, paths []string, o interchange.ReadOptions,
	s *importSettings,
) error {
	bar := a.progress("reading", 0)
	plan := interchange.NewPlan(planOptions(ctx, a, d, s, bar))
	for _, path := range paths {
		source, clean, err := openSource(ctx, a, path, s.Ref, o)
		defer clean() // the batches are made of the sources after the loop
		if err != nil {
			return err
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
	if err := reportPlan(a, plan, s); err != nil {
		return err
	}
	refused := plan.Count()[interchange.Refused]
	for _, doubt := range plan.Doubts() {
		a.say("warning: %s", doubt)
	}
	switch {
	case s.DryRun == dryClient:
		a.say("nothing was written: this was a dry run")
	case plan.Blocked():
		return fmt.Errorf("%d refused, and nothing was written: correct them, or give --keep-going to import "+
			"the others", refused)
	case s.DryRun == dryServer:
		if err := tryPlan(ctx, a, d, plan); err != nil {
			return err
		}
	default:
		c, err := carryOut(ctx, a, d, plan, s)
		if err != nil {
			return err
		}
		refused += len(c.refused)
		if a.forPeople() && c.proposed == 0 && len(c.refused) == 0 {
			if err := writeSums(a.out, screenOf(a.out, a.env), plan, done); err != nil {
				return err
			}
			sayWhere(a, plan)
		}
	}
	if n := invalidOf(plan); n > 0 {
		a.say("%s that the server would refuse: write them anew as they should be; `tenet doctor documents` names them",
			plural(n, "document was restored", "documents were restored"))
	}
	if refused > 0 {
		return fmt.Errorf("%d refused: see above", refused)
	}
	return nil
}

// sayWhere says of how many documents, new ones from files of a repository, hold by path alone, that they do so
// everywhere: they came from where they held for one repository.
func sayWhere(a *app, plan *interchange.Plan) {
	held := map[string]int64{}
	for _, st := range plan.Steps() {
		_, doc := st.Documents()
		c := knowledge.CommonOf(doc)
		if st.Outcome != interchange.Created || c == nil || !doc.Active() ||
			!slices.Contains([]string{"always", "glob"}, c.Scope.Activation) {
			continue
		}
		for _, tag := range c.Tags {
			if strings.HasPrefix(tag, interchange.SourceTag("")) {
				held[tag]++
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(held)) {
		a.say("%s in every repository that names no packs: a pack that selects the tag %s keeps them to its own "+
			"(docs/packs.md)", plural(held[tag], "document holds", "documents hold"), tag)
	}
}

// invalidOf returns how many documents are taken although they have faults.
func invalidOf(plan *interchange.Plan) (n int64) {
	for _, st := range plan.Steps() {
		if len(st.Invalid) > 0 && st.Outcome != interchange.Refused {
			n++
		}
	}
	return n
}

func planOptions(ctx context.Context, a *app, d *door, s *importSettings, bar *progress) interchange.PlanOptions {
	return interchange.PlanOptions{
		KeepGoing: s.KeepGoing, Invalid: s.Invalid, Overwrite: s.Overwrite, Prune: s.Prune, Status: s.Status,
		Strict: s.Strict, Recognize: s.Source == "",
		Current: func(key knowledge.Key) (*knowledge.Record, error) {
			rec, err := withTimeout(ctx, a.Timeout,
				func(ctx context.Context) (*knowledge.Record, error) { return d.Get(ctx, key) })
			if errors.Is(err, store.ErrNotFound) {
				return nil, nil // that is how a plan is told that there is none
			}
			return rec, err
		},
		Position: func(key knowledge.Key, version int64) (knowledge.Seq, error) {
			return position(ctx, a, d, key, version)
		},
		Imported: func(tag string) iter.Seq2[*knowledge.Record, error] {
			return listed(ctx, d, knowledge.Query{Tag: tag}, interchange.Listed()[1:])
		},
		All: func() iter.Seq2[*knowledge.Record, error] {
			return listed(ctx, d, knowledge.Query{}, interchange.Listed())
		},
		Progress: func(done, _ int) { bar.set(done) },
		Entries:  func(path string, done, of int) { bar.about(path, done, of) },
	}
}

// position returns the seq of a version of a document.
func position(ctx context.Context, a *app, d *door, key knowledge.Key, version int64) (knowledge.Seq, error) {
	changes, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
		return d.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: version, Limit: 1})
	})
	if err == nil && len(changes) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return changes[0].Seq, nil
}

// listed returns the documents of some kinds that a query finds, in use or retired.
func listed(ctx context.Context, d *door, q knowledge.Query, kinds []knowledge.Kind) iter.Seq2[*knowledge.Record,
	error] {
	errStop := errors.New("enough")
	return func(yield func(*knowledge.Record, error) bool) {
		for _, kind := range kinds {
			q := q
			q.Kind, q.Activity, q.Order = kind, knowledge.AnyActivity, knowledge.OrderID
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
