// Package sqlite is the local engine: a store in one SQLite file, the mirror of another store, and the journal of batches
// that wait for it.
package sqlite

import (
	"context"
	"database/sql"
	"log/slog"
	"runtime"
	"time"

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
	// CheckLimit is up to which size, in bytes, a file is looked over for damage when it is opened; 64 MiB, which takes about a
	// second. Larger files are left to Check, and so is every file when it is negative.
	CheckLimit int64
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

// Open opens the database file at path, makes it if it isn't there, and migrates it. The context is for opening only.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s := &Store{}
	r := primary
	if o.Mirror {
		r = mirror
		if err := sweep(path); err != nil {
			return nil, err
		}
	}
	f, err := openFile(ctx, path, r, o, func(h head) { s.bell.ring(h.Seq) })
	if err != nil {
		return nil, err
	}
	s.file = f
	f.start(ctx)
	return s, nil
}

// Ping returns nil when the store can answer.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read(ctx, "ping", "SELECT 1", nil, func(r *sql.Rows) error { return r.Scan(&one) })
}

// Close ends the store. What was acknowledged is in the file.
func (s *Store) Close() error {
	s.bell.close()
	return s.file.Close()
}
