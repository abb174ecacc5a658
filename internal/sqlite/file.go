package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A role is the purpose of a file.
type role int

const (
	primary role = iota
	mirror
	guest // tables of another package
)

// A file is a database file with its readers and its writer.
type file struct {
	opts      Options
	path      string
	role      role
	tables    *Tables          // of another package; nil for a store
	source    knowledge.Source // of its records
	schema    Schema           // at Open
	slow      slowGate
	now       func() time.Time
	committed func(head) // called after every commit; may be nil

	first  *writer // until start
	jobs   chan *job
	closed atomic.Bool
	quit   chan struct{}  // closed to stop the writer
	done   chan struct{}  // closed when the writer has ended
	err    error          // of closing the writer; to be read when done is closed
	work   sync.WaitGroup // reads of old files
	// indexing is the search index in the making, nil while it is whole.
	indexing atomic.Pointer[indexing]
	indexer  sync.WaitGroup // what makes it in the background

	// mu guards the fields that a swap of the file replaces.
	mu    sync.RWMutex
	reads *pool
	there string      // the file that the path led to when it was opened
	is    os.FileInfo // that file
}

// openFile migrates and checks the file, and opens the reading and the writing connections.
func openFile(ctx context.Context, path string, r role, tables *Tables, o Options, committed func(head),
) (*file, error) {
	f := &file{
		opts: o.withDefaults(), path: path, role: r, tables: tables, source: knowledge.SourcePrimary, now: time.Now,
		committed: committed,
		jobs:      make(chan *job, queueLength), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if r == mirror {
		f.source = knowledge.SourceMirror
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if err := f.migrate(ctx); err != nil {
		return nil, err
	}
	there := resolve(path)
	if size, err := fileSize(there); err == nil && size <= f.opts.CheckLimit {
		if err := quickCheck(ctx, there); err != nil {
			return nil, err
		}
	}
	w, err := openWriter(ctx, handle{path: there, mirror: r == mirror, conns: 1}, r)
	if err != nil {
		return nil, err
	}
	if err := f.lookAtIndex(ctx, w); err != nil {
		return nil, errors.Join(err, w.close(ctx, false))
	}
	if f.reads, err = openPool(there, f.opts.Readers); err != nil {
		return nil, errors.Join(err, w.close(ctx, false))
	}
	f.first, f.there = w, there
	if f.is, err = os.Stat(there); err != nil {
		return nil, errors.Join(err, f.reads.close(), w.close(ctx, false))
	}
	return f, nil
}

// private creates a missing file, readable by its owner only: it will contain the hashes of tokens. SQLite gives the
// files beside it (-wal, -shm) the same permissions.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a path of the operator's
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return &store.UnavailableError{Halt: true, NotDone: true, Err: err, Reason: "the database file " + path +
			" can't be made: make its directory, and give the process the right to write there"}
	}
	return nil
}

// start starts the writer. The writer keeps the values of the context and ignores its end.
func (f *file) start(ctx context.Context) {
	w := f.first
	f.first = nil
	if f.committed != nil {
		f.committed(w.head)
	}
	go f.write(context.WithoutCancel(ctx), w)
}

func (f *file) migrate(ctx context.Context) error {
	var err error
	if f.schema, err = readSchema(ctx, f.path, f.tables); err != nil {
		return err
	}
	if !f.opts.Frozen && f.schema.Pending() {
		if f.schema, err = migrate(ctx, f.path, f.tables, -1); err != nil {
			return err
		}
	}
	return f.schema.check(f.path)
}

// Close stops the readers and the writer. Every acknowledged write is in the file.
func (f *file) Close() error {
	if !f.closed.CompareAndSwap(false, true) {
		return store.ErrClosed
	}
	close(f.quit)
	<-f.done
	f.indexer.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	err := errors.Join(f.err, f.reads.close())
	f.work.Wait()
	return contract(err)
}

// Check checks the file for damage.
func (f *file) Check(ctx context.Context) error {
	if f.closed.Load() {
		return store.ErrClosed
	}
	return f.advise(quickCheck(ctx, resolve(f.path)))
}

// Present returns an error when the path no longer leads to the open file, because that was deleted or moved. The open
// file goes on answering until it is closed.
func (f *file) Present() error {
	f.mu.RLock()
	is := f.is
	f.mu.RUnlock()
	now, err := os.Stat(f.path)
	if err == nil && os.SameFile(is, now) {
		return nil
	}
	return &store.UnavailableError{Halt: true, Err: err, Reason: "the database file " + f.path +
		" was deleted, moved or replaced while it was open"}
}

// quickCheck checks for damage on a new connection: on one that has searched, it would report damage that there is
// none.
func quickCheck(ctx context.Context, path string) error {
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	var found string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	if err != nil && !damaged(err) {
		return translate(ctx, err)
	}
	if err == nil && found == "ok" {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: %s", errDamaged, found)
	}
	return &store.UnavailableError{Halt: true, NotDone: true, Err: err, Reason: fmt.Sprintf(
		"the database file %s is damaged: move it away and restore a backup; keep the damaged file until that is done",
		path)}
}

// advise adds to the error of a damaged file its path and what to do. A mirror is rebuilt and needs no backup.
func (f *file) advise(err error) error {
	if !Damaged(err) {
		return err
	}
	u, _ := errors.AsType[*store.UnavailableError](err)
	told := *u
	switch f.role {
	case primary:
		told.Reason = "the database file " + f.path +
			" is damaged: stop the server, move the file away and restore a backup; keep the damaged file until " +
			"that is done"
	case mirror:
		told.Reason = "the mirror in " + f.path +
			" is damaged: it is rebuilt automatically as soon as the primary answers, and needs no backup"
	case guest:
		told.Reason = f.tables.What + " " + f.path + " is damaged: " + f.tables.Damaged
	}
	return &told
}

// Damaged reports whether an error of Open or Check says that a file is damaged, and not only unreadable now.
func Damaged(err error) bool {
	var u *store.UnavailableError
	return errors.As(err, &u) && (errors.Is(u.Err, errDamaged) || damaged(u.Err))
}

// errDamaged is the error for a damaged file.
var errDamaged = errors.New("damaged")

// SetAside renames a damaged file, with its -wal and -shm files, and returns the new name.
func SetAside(path string) (string, error) {
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	there := resolve(path)
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(there+part, aside+part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("set %s aside: %w", path, err)
		}
	}
	if there != path {
		if err := remove(path); err != nil {
			return "", fmt.Errorf("set %s aside: %w", path, err)
		}
	}
	return aside, nil
}
