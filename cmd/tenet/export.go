package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type exportSettings struct {
	Format    string   `name:"format" default:"jsonl" by:"flag" doc:"jsonl (everything, for a backup or another tenet), markdown or yaml (a folder to read and edit), or csv (a table of one kind)"`
	NoHistory bool     `name:"no-history" by:"flag" doc:"Only the documents as they are, without their history"`
	Force     bool     `name:"force" short:"f" by:"flag" doc:"Overwrite a file, or write into a folder that is not empty"`
	Kind      []string `name:"kind" by:"flag" doc:"Only documents of this kind; may be given several times"`
	Category  string   `name:"category" by:"flag" doc:"Only documents of this category"`
	Tag       string   `name:"tag" by:"flag" doc:"Only documents with this tag"`
	Source    string   `name:"source" by:"flag" doc:"Only documents of this source (see \"tenet source list\")"`
	Pack      string   `name:"pack" by:"flag" doc:"Only documents of this pack, or of a pack that it extends"`
	Active    string   `name:"active" default:"any" by:"flag" doc:"true: active ones, false: retired ones, or any"`
}

// narrowed reports whether only a part is exported. A part has no history: the log is one.
func (s *exportSettings) narrowed() bool {
	return len(s.Kind) > 0 || s.Category != "" || s.Tag != "" || s.Source != "" || s.Pack != "" || s.Active != "any"
}

// queries returns the questions whose answers are exported, parents before what refers to them.
func (s *exportSettings) queries() ([]knowledge.Query, error) {
	q := knowledge.Query{Category: s.Category, Tag: s.Tag, Order: knowledge.OrderID}
	switch s.Active {
	case "any":
		q.Activity = knowledge.AnyActivity
	case "false":
		q.Activity = knowledge.RetiredOnly
	case "true":
	default:
		return nil, usageError("--active %q: want true, false or any", s.Active)
	}
	if s.Source != "" {
		if s.Tag != "" {
			return nil, usageError("--source and --tag exclude each other")
		}
		q.Tag = interchange.SourceTag(s.Source)
	}
	kinds := knowledge.Kinds()
	if len(s.Kind) > 0 {
		wanted := map[knowledge.Kind]bool{}
		for _, text := range s.Kind {
			for name := range strings.SplitSeq(text, ",") {
				k, err := parseKind(strings.TrimSpace(name))
				if err != nil {
					return nil, usageError("--kind: %s", err)
				}
				wanted[k] = true
			}
		}
		kinds = slices.DeleteFunc(kinds, func(k knowledge.Kind) bool { return !wanted[k] })
	} else if q.Category != "" || q.Tag != "" || s.Pack != "" {
		kinds = interchange.Listed()[1:] // the kinds that have these
	}
	var out []knowledge.Query
	for _, k := range kinds {
		q.Kind = k
		if _, _, err := q.Check(); err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

func addExport(a *app) {
	var s exportSettings
	a.command(a.root, &cobra.Command{
		Use:   "export DEST",
		Short: "Write everything, or a part of it, to a file or a folder",
		Long: `Writes every document to a file of JSON lines, with the whole history of changes unless --no-history
says otherwise; as a folder of Markdown or YAML files; or one kind as a table. "-" is standard output. Filters write
only a part, without its history. "tenet import" reads all of them back, with the ids that they had.`,
		Example: `  tenet export backup.jsonl
  tenet export --no-history - | jq .
  tenet export --format markdown handbook/
  tenet export --format yaml --source handbook - | less
  tenet export --format markdown --pack backend handbook/
  tenet export --format csv --kind rules --category security rules.csv`,
		Args: cobra.ExactArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		queries, err := s.queries()
		if err != nil {
			return err
		}
		switch s.Format {
		case "jsonl", "markdown", "yaml", "csv":
		default:
			return usageError("--format %q: want jsonl, markdown, yaml or csv", s.Format)
		}
		if s.Format == "markdown" && args[0] == "-" {
			return usageError("a Markdown export is a folder of files: name one")
		}
		if s.Format == "csv" && len(queries) != 1 {
			return usageError("a table holds one kind: say which, as in --kind rules")
		}
		ctx = store.WithLeaving(ctx)
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		e := exporter{a: a, d: d, s: &s, queries: queries}
		if s.Pack != "" {
			if e.pack, err = composed(ctx, a, d, []string{s.Pack}); err != nil {
				return err
			}
		}
		switch {
		case s.Format == "markdown":
			return e.folder(ctx, args[0], interchange.Markdown)
		case s.Format == "yaml" && args[0] != "-" && !isYAMLName(args[0]):
			return e.folder(ctx, args[0], interchange.YAML)
		case s.Format == "yaml":
			return e.file(ctx, args[0], "document", e.writeYAML)
		case s.Format == "csv":
			return e.file(ctx, args[0], "row", e.writeCSV)
		}
		return e.file(ctx, args[0], "line", e.writeLines)
	})
}

// An exporter writes what some queries find.
type exporter struct {
	a       *app
	d       *door
	s       *exportSettings
	queries []knowledge.Query
	pack    *knowledge.Composition // that alone is exported; nil for everything

	proposals int // that were left out
}

// packed passes on what the pack holds.
func (e *exporter) packed(fn func(*knowledge.Record) error) func(*knowledge.Record) error {
	if e.pack == nil {
		return fn
	}
	return func(r *knowledge.Record) error {
		doc, err := r.Document()
		if err != nil || e.pack.Holding(doc) == nil {
			return err
		}
		return fn(r)
	}
}

func isYAMLName(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// file writes to one file, which appears only when it is whole, or to standard output. What is no regular file, such as
// a pipe or a device, is written into and stays what it is; so does a symbolic link, whose target is replaced.
func (e *exporter) file(ctx context.Context, dest, what string,
	write func(ctx context.Context, w io.Writer) (int, error),
) error {
	if dest == "-" {
		sum := sha256.New()
		_, err := write(ctx, io.MultiWriter(e.a.out, sum))
		if err == nil {
			e.sayHead(sum)
		}
		return err
	}
	target := dest
	info, err := os.Stat(dest)
	link, linkErr := os.Lstat(dest)
	switch {
	case err != nil && linkErr == nil:
		return usageError("%s is a symbolic link that leads nowhere: remove it, or name another file", dest)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return usageError("%s", err)
	case err == nil && info.IsDir():
		return usageError("%s is a folder: name a file in it", dest)
	case err == nil && !info.Mode().IsRegular():
		return e.into(ctx, dest, write)
	case err == nil && !e.s.Force:
		return usageError("%s is there already: name another file, or give --force to replace it", dest)
	case err == nil && link.Mode()&fs.ModeSymlink != 0:
		if target, err = filepath.EvalSymlinks(dest); err != nil {
			return usageError("%s", err)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*")
	if errors.Is(err, os.ErrNotExist) {
		return usageError("the folder %s is not there: make it first", filepath.Dir(target))
	}
	if err != nil {
		return usageError("%s", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	sum := sha256.New()
	n, err := write(ctx, io.MultiWriter(f, sum))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return err
	}
	e.a.say("%s written to %s", plural(int64(n), what, what+"s"), dest)
	e.sayHead(sum)
	return nil
}

// sayHead tells the SHA-256 of what was written, by which a later import knows that it is still the same.
func (e *exporter) sayHead(sum hash.Hash) {
	if e.s.Format == "jsonl" {
		e.a.say("SHA-256 %x: note it elsewhere, and give it to tenet import with --sha256", sum.Sum(nil))
	}
}

// into writes into what is no regular file.
func (e *exporter) into(ctx context.Context, target string,
	write func(ctx context.Context, w io.Writer) (int, error),
) error {
	// of a pipe the reader may never come, or stop reading
	_, err := patiently(ctx, func() (struct{}, error) {
		var none struct{}
		f, err := os.OpenFile(target, os.O_WRONLY, 0) //nolint:gosec // the user names it
		if err != nil {
			return none, usageError("%s", err)
		}
		sum := sha256.New()
		_, err = write(ctx, io.MultiWriter(f, sum))
		if err = errors.Join(err, f.Close()); err == nil {
			e.sayHead(sum)
		}
		return none, err
	})
	return err
}

// each calls fn for every document that is exported.
func (e *exporter) each(ctx context.Context, fn func(*knowledge.Record) error) error {
	for _, q := range e.queries {
		err := store.All(ctx, e.d, q, e.packed(fn))
		if errors.Is(err, store.ErrForbidden) && q.Kind == knowledge.KindPrincipal {
			e.a.say("principals are left out: only an admin sees them")
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLines writes JSON lines, with the history unless only a part is wanted.
func (e *exporter) writeLines(ctx context.Context, dest io.Writer) (int, error) {
	history := !e.s.NoHistory && !e.s.narrowed()
	buf := bufio.NewWriterSize(dest, 1<<20)
	w, err := interchange.NewWriter(buf, interchange.Header{
		Tenet: 1, ExportedAt: knowledge.At(time.Now()),
		History: history,
	})
	if err != nil {
		return 0, err
	}
	bar := e.a.progress("exporting", -1)
	defer bar.done()
	n := 0
	if history {
		err = eachChange(ctx, e.a, e.d, func(c *knowledge.Change) error {
			n++
			bar.set(n)
			return w.Change(c)
		})
	} else {
		err = e.each(ctx, func(r *knowledge.Record) error {
			n++
			bar.set(n)
			return w.Document(r)
		})
	}
	if err != nil {
		return n, err
	}
	return n, errors.Join(w.Close(store.MarksOf(ctx).Categories()), buf.Flush())
}

// writeYAML writes a YAML document for each of ours.
func (e *exporter) writeYAML(ctx context.Context, dest io.Writer) (int, error) {
	buf := bufio.NewWriterSize(dest, 1<<20)
	n := 0
	err := e.each(ctx, func(r *knowledge.Record) error {
		if !e.writes(r) {
			return nil
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		file, err := interchange.YAML(doc)
		if err != nil {
			return err
		}
		if err := e.mark(ctx, r, doc, &file); err != nil {
			return err
		}
		if n++; n > 1 {
			if _, err := buf.WriteString("---\n"); err != nil {
				return err
			}
		}
		_, err = buf.Write(file.Data)
		return err
	})
	e.sayUnwritten()
	return n, errors.Join(err, buf.Flush())
}

// writeCSV writes a row for each document of one kind.
func (e *exporter) writeCSV(ctx context.Context, dest io.Writer) (int, error) {
	w, err := interchange.NewTable(dest, e.queries[0].Kind)
	if err != nil {
		return 0, err
	}
	n := 0
	err = e.each(ctx, func(r *knowledge.Record) error {
		doc, err := r.Document()
		if err != nil {
			return err
		}
		category, err := e.confidential(ctx, r, doc)
		if err != nil {
			return err
		}
		n++
		return w.Add(doc, category)
	})
	return n, errors.Join(err, w.Flush())
}

// written reports whether documents of a kind have a file of their own in an export to read.
func written(k knowledge.Kind) bool {
	return k != knowledge.KindPrincipal && k != knowledge.KindViolation && k != knowledge.KindProposal
}

// sayUnwritten tells of proposals that an export to read leaves out: a document in a folder comes back by an import,
// and what was decided about a proposal does not.
func (e *exporter) sayUnwritten() {
	if e.proposals > 0 {
		e.a.say("%s left out: JSON lines hold them, and `tenet review show` shows one",
			plural(e.proposals, "proposal was", "proposals were"))
	}
}

// writes reports whether a document has a file of its own, and counts what a reader may miss.
func (e *exporter) writes(r *knowledge.Record) bool {
	if r.Key.Kind == knowledge.KindProposal {
		e.proposals++
	}
	return written(r.Key.Kind)
}

// eachChange calls fn for every change from the first to the one that was the last when it began.
func eachChange(ctx context.Context, a *app, d *door, fn func(*knowledge.Change) error) error {
	last, err := store.Tail(ctx, d)
	if err != nil {
		return err
	}
	for after := knowledge.Seq(0); after < last; {
		changes, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
			return d.Changes(ctx, knowledge.ChangeQuery{After: after})
		})
		if gone, ok := errors.AsType[*store.GoneError](err); ok {
			return fmt.Errorf("the log begins at change %d: give --no-history to export the documents as they are: %w",
				gone.Oldest, err)
		}
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return nil
		}
		for i := range changes {
			if err := fn(&changes[i]); err != nil {
				return err
			}
		}
		after = changes[len(changes)-1].Seq
	}
	return nil
}

// folder writes a folder with one file for each document that has a text.
func (e *exporter) folder(ctx context.Context, dir string,
	write func(knowledge.Document) (interchange.File, error),
) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 && !e.s.Force {
		return usageError("%s is not empty: name another folder, or give --force to write into it", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageError("%s", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return usageError("%s", err)
	}
	root, err := os.OpenRoot(dir) // no link in the folder leads a file out of it
	if err != nil {
		return usageError("%s", err)
	}
	defer root.Close() //nolint:errcheck // every file in it was closed
	bar := e.a.progress("exporting", -1)
	defer bar.done()
	n := 0
	var names interchange.Names
	err = e.each(ctx, func(r *knowledge.Record) error {
		if !e.writes(r) {
			return nil
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		file, err := write(doc)
		if err != nil {
			return fmt.Errorf("write %s: %w", r.Key, err)
		}
		if err := e.mark(ctx, r, doc, &file); err != nil {
			return err
		}
		name := filepath.FromSlash(names.Free(file.Path))
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		n++
		bar.set(n)
		return root.WriteFile(name, file.Data, 0o644)
	})
	if err != nil {
		return err
	}
	bar.done()
	e.sayUnwritten()
	e.a.say("%s written to %s", plural(n, "file", "files"), dir)
	return nil
}
