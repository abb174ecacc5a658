package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tenet/internal/store"
)

// A rebuilt mirror is a file with the mirror's name and a number, and the mirror's own name is a symbolic link to it.
// So the new file replaces the old one in one step, with the names that SQLite expects of -wal and -shm files, while
// the old file still answers reads in progress.
const generation = ".g"

// resolve returns the file that a path leads to, or the path itself if there is none.
func resolve(path string) string {
	if there, err := filepath.EvalSymlinks(path); err == nil {
		return there
	}
	return path
}

// nextGeneration returns the name of the file after the open one, wherever the mirror's path leads by now.
func (s *Store) nextGeneration() string {
	s.mu.RLock()
	there := s.there
	s.mu.RUnlock()
	n := 0
	if _, number, ok := strings.Cut(filepath.Base(there), filepath.Base(s.path)+generation); ok {
		n, _ = strconv.Atoi(number)
	}
	return s.path + generation + strconv.Itoa(n+1)
}

// sweep removes the files of interrupted builds and swaps.
func sweep(path string) error {
	current := filepath.Base(resolve(path))
	names, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &store.UnavailableError{
			Reason: "the data directory can't be read: look at its rights", Halt: true,
			Err: err,
		}
	}
	for _, e := range names {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+generation) && e.Name() != current &&
			!strings.HasPrefix(e.Name(), current+"-") {
			if err := remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
				return &store.UnavailableError{Reason: "an old mirror file can't be removed: look at the rights of " +
					"the data directory", Halt: true, Err: err}
			}
		}
	}
	return nil
}

// Rebuild builds a new mirror from what fill passes to it, and swaps it in when it is complete; overlays are carried
// over, and the documents of newer, which are written as [Store.Foresee] does. Meanwhile reads are answered from the
// old mirror, and what is foreseen goes there. newer may be nil.
func (s *Store) Rebuild(ctx context.Context, fill func(store.Sink) error, newer func() []store.Left) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	b, err := NewBuilder(ctx, s.nextGeneration())
	if err != nil {
		return err
	}
	if err := fill(b); err != nil {
		return errors.Join(err, b.Discard())
	}
	if err := b.Finish(); err != nil {
		return err
	}
	if err := s.swapIn(ctx, b.path, newer); err != nil {
		return errors.Join(err, removeFile(b.path))
	}
	return nil
}

// swapIn replaces the mirror by a file that was built beside it. It is a job of the writer, so what newer returns is
// all that was foreseen in the old file.
func (s *Store) swapIn(ctx context.Context, path string, newer func() []store.Left) error {
	j := &job{name: "swap", own: func(ctx context.Context, w *writer) (*writer, error) {
		var left []store.Left
		if newer != nil {
			left = newer()
		}
		next, err := s.swap(ctx, w, path, left)
		if err != nil {
			return w, contract(err)
		}
		s.bell.ring(next.head.Seq)
		return next, nil
	}}
	return s.submit(ctx, j)
}

// swap returns the writer of the new file.
func (s *Store) swap(ctx context.Context, old *writer, path string, newer []store.Left) (*writer, error) {
	w, err := openWriter(ctx, handle{path: path, mirror: true, conns: 1}, mirror)
	if err != nil {
		return nil, err
	}
	if err := w.write(ctx, func(t *tx) error { return foresee(ctx, t, newer) }); err != nil {
		return nil, errors.Join(err, w.close(ctx, false))
	}
	if err := carry(ctx, old, w); err != nil {
		// The old mirror may be replaced because it is damaged. The journal has the waiting batches and overlays them
		// again.
		s.opts.Log.WarnContext(ctx, "overlays were not carried over from the old mirror file", "path", old.path,
			"error", err)
	}
	reads, err := openPool(path, s.opts.Readers)
	if err != nil {
		return nil, errors.Join(err, w.close(ctx, false))
	}
	is, err := os.Stat(path)
	if err == nil {
		err = s.relink(path)
	}
	if err != nil {
		return nil, errors.Join(&store.UnavailableError{Reason: "the new mirror can't take the old one's place: " +
			"look at the data directory", Err: err},
			reads.close(), w.close(ctx, false))
	}
	s.mu.Lock()
	before := s.reads
	s.reads, s.there, s.is = reads, path, is
	s.mu.Unlock()
	s.indexing.Store(nil) // that of the new file is whole
	s.work.Go(func() {    // reads of the old file may take a while
		err := errors.Join(before.close(), old.close(ctx, false))
		if old.path != s.path { // the very first file had the mirror's own name, which is a link to the new one by now
			err = errors.Join(err, remove(old.path))
		}
		if err = errors.Join(err, remove(old.path+"-wal"), remove(old.path+"-shm")); err != nil {
			s.opts.Log.WarnContext(ctx, "old mirror file was not removed", "path", old.path, "error", err)
		}
	})
	return w, nil
}

// relink atomically points the mirror's name to another file.
func (s *Store) relink(path string) error {
	link := s.path + generation + "link"
	if err := remove(link); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Base(path), link); err != nil {
		return err
	}
	if err := os.Rename(link, s.path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(s.path))
}

// carry copies the overlays of one file to another.
func carry(ctx context.Context, from, to *writer) error {
	layers, err := from.layers(ctx)
	if err != nil || len(layers) == 0 {
		return err
	}
	return to.write(ctx, func(t *tx) error {
		for _, l := range layers {
			if err := t.overlay(ctx, l.batch, l.key, l.rec); err != nil {
				return err
			}
		}
		return nil
	})
}

// write does something in a transaction of a file that nobody else writes yet.
func (w *writer) write(ctx context.Context, do func(t *tx) error) error {
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	t := &tx{writer: w}
	err := do(t)
	if err == nil {
		err = w.flush(ctx, &t.job)
	}
	if err != nil {
		w.rollback(ctx)
		return err
	}
	return w.exec(ctx, "COMMIT")
}
