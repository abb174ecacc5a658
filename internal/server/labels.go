package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/labels"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// labelsDir holds the copies of labels in use, in the data directory. They are made again after a start.
const labelsDir = "labels"

// labelReaders is how many reads of one copy go on at the same time.
const labelReaders = 4

// newLabels makes what lists and searches documents as they stand at a label. Its copies lie in dir, which is emptied.
func newLabels(dir string, source store.Past, feed store.Feed, log *slog.Logger) (*labels.Copies, error) {
	err := os.RemoveAll(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, &store.UnavailableError{Halt: true, Err: err, Reason: "the directory " + dir +
			" can't be created again: look at the rights of the data directory"}
	}
	return labels.New(labels.Options{
		Source: source, Feed: feed, Log: log,
		Who: func(ctx context.Context) string {
			if c := access.CallerFrom(ctx); c != nil {
				return c.ID
			}
			return ""
		},
		Make: func(ctx context.Context, fill func(store.Sink) error) (labels.Copy, error) {
			return newLabelCopy(ctx, dir, log, fill)
		},
	}), nil
}

// newLabels makes the copies of labels for a server. They follow the changes that the mirror has applied, as the cache
// does.
func (p *parts) newLabels(o Options) (*labels.Copies, error) {
	return newLabels(filepath.Join(o.DataDir, labelsDir), p.engine, p.from.feed, p.log)
}

// A labelCopy is a mirror that follows nothing, in a directory of its own.
type labelCopy struct {
	*sqlite.Store
	dir string
}

func newLabelCopy(ctx context.Context, parent string, log *slog.Logger,
	fill func(store.Sink) error,
) (_ labels.Copy, err error) {
	c := &labelCopy{}
	if c.dir, err = os.MkdirTemp(parent, "copy-*"); err != nil {
		return nil, &store.UnavailableError{Err: err, Reason: "a copy of the documents can't be written to " + parent +
			": look at its rights and at the free space"}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	}()
	path := filepath.Join(c.dir, databaseFile)
	b, err := sqlite.NewBuilder(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := fill(b); err != nil {
		return nil, errors.Join(err, b.Discard())
	}
	if err := b.Finish(); err != nil {
		return nil, err
	}
	c.Store, err = sqlite.Open(ctx, path, sqlite.Options{Mirror: true, Readers: labelReaders, CheckLimit: -1, Log: log})
	return c, err
}

// Close closes the copy and removes its directory.
func (c *labelCopy) Close() error { return errors.Join(c.Store.Close(), os.RemoveAll(c.dir)) }

// openLabels makes the copies of labels of a command that has opened the database, once it asks for one.
func (l *Local) openLabels() (*labels.Copies, error) {
	if l.labels != nil {
		return l.labels, nil
	}
	dir, err := os.MkdirTemp("", "tenet-labels-*")
	if err != nil {
		return nil, &store.UnavailableError{
			Err:    err,
			Reason: "there is no place for a copy of the documents: name a directory with TMPDIR",
		}
	}
	if l.labels, err = newLabels(dir, l.engine, l.engine, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	l.labelsDir = dir
	return l.labels, nil
}

// closeLabels removes the copies of labels.
func (l *Local) closeLabels() error {
	if l.labels == nil {
		return nil
	}
	return errors.Join(l.labels.Close(), os.RemoveAll(l.labelsDir))
}

// ListAt implements [store.LabelReader].
func (l *Local) ListAt(ctx context.Context, at *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	c, err := l.openLabels()
	if err != nil {
		return nil, err
	}
	return l.secret.Labelled(l.engine, c).ListAt(access.WithCaller(ctx, l.caller), at, q)
}

// SearchAt implements [store.LabelReader].
func (l *Local) SearchAt(ctx context.Context, at *knowledge.Label, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	c, err := l.openLabels()
	if err != nil {
		return nil, err
	}
	return l.secret.Labelled(l.engine, c).SearchAt(access.WithCaller(ctx, l.caller), at, q)
}
