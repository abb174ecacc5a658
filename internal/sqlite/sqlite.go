// Package sqlite is the local engine: a store in one SQLite file, the mirror of another store, and files with the
// tables of other packages.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"tenet/internal/store"
)

// Options of a [Store]. Zero values stand for the defaults named.
type Options struct {
	// Mirror makes the store a mirror: it accepts changes by Replicate and no batches, its records have the source
	// mirror, and it uses synchronous=NORMAL: a power cut may lose the last commits, which are then replicated again.
	Mirror bool
	// Versions is the number of versions of each document that a mirror keeps; 20.
	Versions int64
	// Readers is the largest number of concurrent reads; twice the processors, at least 4.
	Readers int
	// ReadTimeout limits a read, including the wait for a reader; 10 s. Reads of everything have no timeout.
	ReadTimeout time.Duration
	// SearchBytes is how much of the lists of its words a search reads; 32 MiB. Beyond it the most common words are
	// left out.
	SearchBytes int
	// Frozen keeps the schema as it is; otherwise Open migrates to the newest.
	Frozen bool
	// CheckLimit is the largest size, in bytes, of a file that Open checks for damage; 64 MiB, which takes about a
	// second. Larger files are left to Check, and so is every file if CheckLimit is negative.
	CheckLimit int64
	// Observer is called after every statement; may be nil.
	Observer Observer
	// SlowQuery is the duration from which Slow is called; 200 ms.
	SlowQuery time.Duration
	// Slow is called for slow statements, with the plan, at most once a minute for each; may be nil.
	Slow func(SlowQuery)
	// IndexLater lets Open return before the search index is made that a new program needs. Everything but Search works
	// meanwhile; see [Store.Indexing].
	IndexLater bool
	// indexStep is the number of documents that enter such an index in one transaction; 1,000.
	indexStep int
	// Log gets messages about the store's background work; nil logs nothing.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Versions == 0 {
		o.Versions = 20
	}
	if o.Readers == 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 10 * time.Second
	}
	if o.SearchBytes == 0 {
		o.SearchBytes = 32 << 20
	}
	if o.indexStep == 0 {
		o.indexStep = 1000
	}
	if o.CheckLimit == 0 {
		o.CheckLimit = 64 << 20
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
	*file
	bell bell
}

var _ store.Store = (*Store)(nil)

// Open opens the database file at path, creates it if it is missing, and migrates it. The context is for opening only.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s := &Store{}
	r := primary
	if o.Mirror {
		r = mirror
		if err := sweep(path); err != nil {
			return nil, err
		}
	}
	f, err := openFile(ctx, path, r, nil, o, func(h head) { s.bell.ring(h.Seq) })
	if err != nil {
		return nil, err
	}
	s.file = f
	f.start(ctx)
	if err := f.makeIndex(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Ping returns nil when the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read(ctx, "ping", "SELECT 1", nil, func(r *sql.Rows) error { return r.Scan(&one) })
}

// Close closes the store. Every acknowledged write is in the file.
func (s *Store) Close() error {
	s.bell.close()
	return s.file.Close()
}
