package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type exportSettings struct {
	Format    string `name:"format" default:"jsonl" by:"flag" doc:"jsonl (everything, for a backup or another tenet) or markdown (a folder to read)"`
	NoHistory bool   `name:"no-history" by:"flag" doc:"Only the documents as they are, without the changes that led there"`
	Force     bool   `name:"force" short:"f" by:"flag" doc:"Write over an existing file, or into a folder that is not empty"`
}

func (a *app) addExport() {
	var s exportSettings
	a.command(a.root, &cobra.Command{
		Use:   "export DEST",
		Short: "Write everything to a file or a folder",
		Long: `Writes every document to a file of JSON lines, with the whole history of changes unless --no-history says otherwise, or as a
folder of Markdown files. "-" is standard output. "tenet import" reads both back.`,
		Example: `  tenet export backup.jsonl
  tenet export --no-history - | jq .
  tenet export --format markdown handbook/`,
		Args: cobra.ExactArgs(1),
	}, &s, func(ctx context.Context, args []string) error {
		if s.Format != "jsonl" && s.Format != "markdown" {
			return usageError("--format %q: want jsonl or markdown", s.Format)
		}
		if s.Format == "markdown" && args[0] == "-" {
			return usageError("a Markdown export is a folder of files: name one")
		}
		d, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if s.Format == "markdown" {
			return a.exportMarkdown(ctx, d, args[0], s.Force)
		}
		return a.exportLines(ctx, d, args[0], &s)
	})
}

// exportLines writes an export to a file, which appears only when it is whole, or to standard output.
func (a *app) exportLines(ctx context.Context, d *door, dest string, s *exportSettings) error {
	if dest == "-" {
		_, err := a.writeExport(ctx, d, a.out, !s.NoHistory)
		return err
	}
	if _, err := os.Lstat(dest); err == nil && !s.Force {
		return usageError("%s is there already: name another file, or give --force to replace it", dest)
	}
	f, err := os.CreateTemp(filepath.Dir(dest), "."+filepath.Base(dest)+"-*")
	if err != nil {
		return usageError("%s", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when all went well
	n, err := a.writeExport(ctx, d, f, !s.NoHistory)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), dest); err != nil {
		return err
	}
	a.say("%d lines written to %s", n, dest)
	return nil
}

func (a *app) writeExport(ctx context.Context, d *door, dest io.Writer, history bool) (int, error) {
	buf := bufio.NewWriterSize(dest, 1<<20)
	w, err := interchange.NewWriter(buf, interchange.Header{Tenet: 1, ExportedAt: knowledge.At(time.Now()), History: history})
	if err != nil {
		return 0, err
	}
	bar := a.progress("exporting", -1)
	defer bar.done()
	n := 0
	if history {
		err = a.eachChange(ctx, d, func(c *knowledge.Change) error {
			n++
			bar.set(n)
			return w.Change(c)
		})
	} else {
		err = a.eachDocument(ctx, d, func(r *knowledge.Record) error {
			n++
			bar.set(n)
			return w.Document(r)
		})
	}
	if err != nil {
		return n, err
	}
	return n, errors.Join(w.Close(), buf.Flush())
}

// eachChange calls fn for every change from the first to the one that was the last when it began.
func (a *app) eachChange(ctx context.Context, d *door, fn func(*knowledge.Change) error) error {
	last, err := store.Tail(ctx, d)
	if err != nil {
		return err
	}
	for after := knowledge.Seq(0); after < last; {
		changes, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]knowledge.Change, error) {
			return d.Changes(ctx, knowledge.ChangeQuery{After: after})
		})
		if gone, ok := errors.AsType[*store.GoneError](err); ok {
			return fmt.Errorf("the log begins at change %d: give --no-history to export the documents as they are: %w", gone.Oldest, err)
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

// eachDocument calls fn for every document, in use or retired, parents before what refers to them.
func (a *app) eachDocument(ctx context.Context, d *door, fn func(*knowledge.Record) error) error {
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		err := store.All(ctx, d, q, fn)
		if errors.Is(err, store.ErrForbidden) && kind == knowledge.KindPrincipal {
			a.say("principals are left out: only an admin sees them")
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exportMarkdown writes a folder with one file for each document that has a text.
func (a *app) exportMarkdown(ctx context.Context, d *door, dir string, force bool) error {
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 && !force {
		return usageError("%s is not empty: name another folder, or give --force to write into it", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageError("%s", err)
	}
	bar := a.progress("exporting", -1)
	defer bar.done()
	n := 0
	err := a.eachDocument(ctx, d, func(r *knowledge.Record) error {
		if r.Key.Kind == knowledge.KindPrincipal || r.Key.Kind == knowledge.KindViolation {
			return nil
		}
		doc, err := r.Document()
		if err != nil {
			return err
		}
		file, err := interchange.Markdown(doc)
		if err != nil {
			return fmt.Errorf("write %s as Markdown: %w", r.Key, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(file.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // for everybody to read
			return err
		}
		n++
		bar.set(n)
		return os.WriteFile(path, file.Data, 0o644) //nolint:gosec // for everybody to read
	})
	if err != nil {
		return err
	}
	bar.done()
	a.say("%d files written to %s", n, dir)
	return nil
}
