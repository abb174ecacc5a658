// Package sqlite is the local engine: a store in one SQLite file, the mirror of another store, and the journal of batches
// that wait for it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options of a [Store]. Zero values stand for the defaults named.
type Options struct {
	// Mirror makes the store a copy of another one: it takes changes by Replicate and no batches, says so as the source of
	// its records, and trusts the machine not to stop, since what it would lose is replicated again.
	Mirror bool
	// Versions is how many versions of each document a mirror's history keeps; 20.
	Versions int64
	// Readers is how many reads run at once; twice the processors, at least 4.
	Readers int
	// Frozen keeps the schema as it is; otherwise Open migrates to the newest.
	Frozen bool
	// SkipCheck leaves out the look for damage when the file is opened.
	SkipCheck bool
	// Observer hears of every statement; nobody when nil.
	Observer Observer
	// SlowQuery is how long a statement may take before Slow hears of it; 200 ms.
	SlowQuery time.Duration
	// Slow hears of slow statements, with the plan; nobody when nil. It is called at most once a minute for a statement.
	Slow func(SlowQuery)
	// Log says what the store does on its own; nothing when nil.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Versions == 0 {
		o.Versions = 20
	}
	if o.Readers == 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	if o.SlowQuery == 0 {
		o.SlowQuery = 200 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Store keeps documents in one SQLite file. It is a [store.Store].
type Store struct {
	opts   Options
	path   string
	source knowledge.Source
	schema Schema // when it was opened
	slow   slowGate
	now    func() time.Time

	bell   bell
	jobs   chan *job
	closed atomic.Bool
	quit   chan struct{} // closed when the writer shall end
	done   chan struct{} // closed when the writer has ended
	once   sync.Once
	err    error // of Close

	// mu guards reads, which a swap of the file replaces. Who reads holds it as a reader.
	mu    sync.RWMutex
	reads *pool
}

var _ store.Store = (*Store)(nil)

// Open opens the database file at path, makes it if it isn't there, and migrates it. The context is for opening only.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		opts: o, path: path, source: knowledge.SourcePrimary, now: time.Now,
		jobs: make(chan *job, queueLength), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if o.Mirror {
		s.source = knowledge.SourceMirror
	}
	w, err := s.openFile(ctx)
	if err != nil {
		return nil, err
	}
	s.bell.ring(w.head.Seq)
	go s.write(context.WithoutCancel(ctx), w)
	return s, nil
}

// openFile migrates and checks the file, and opens the reading and the writing connections.
func (s *Store) openFile(ctx context.Context) (*writer, error) {
	if err := sweep(s.path); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if !s.opts.SkipCheck {
		if err := quickCheck(ctx, s.path); err != nil {
			return nil, err
		}
	}
	w, err := openWriter(ctx, s.path, s.opts.Mirror)
	if err != nil {
		return nil, err
	}
	reads, err := openPool(s.path, s.opts.Readers)
	if err != nil {
		return nil, errors.Join(err, w.close(ctx, false))
	}
	s.reads = reads
	return w, nil
}

func (s *Store) migrate(ctx context.Context) error {
	var err error
	if s.schema, err = ReadSchema(ctx, s.path); err != nil {
		return err
	}
	if !s.opts.Frozen && s.schema.Pending() {
		s.schema, err = Migrate(ctx, s.path, -1)
		if err != nil {
			return err
		}
	}
	return s.schema.check(s.path)
}

// quickCheck looks for damage, on a fresh connection: on one that has searched it would raise a false alarm.
func quickCheck(ctx context.Context, path string) error {
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return err
	}
	defer db.Close()
	var found string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	if err != nil && !damaged(err) {
		return translate(ctx, err)
	}
	if err == nil && found == "ok" {
		return nil
	}
	if err == nil {
		err = errors.New(found)
	}
	return &store.UnavailableError{Halt: true, NotDone: true, Err: err, Reason: fmt.Sprintf(
		"the database file %s is damaged: move it away and restore a backup; keep the damaged file until that is done", path)}
}

// Check looks for damage in the file.
func (s *Store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return quickCheck(ctx, s.path)
}

// Ping returns nil when the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read(ctx, "ping", "SELECT 1", nil, func(r *sql.Rows) error { return r.Scan(&one) })
}

// Close ends the store. What was acknowledged is in the file.
func (s *Store) Close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return store.ErrClosed
	}
	close(s.quit)
	s.bell.close()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.err, s.reads.close())
}
