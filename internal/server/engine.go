package server

import (
	"context"
	"log/slog"
	"path/filepath"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// databaseFile is the embedded database in the data directory.
const databaseFile = "tenet.db"

// DatabasePath returns where the embedded database of a data directory lies.
func DatabasePath(o Options) string { return filepath.Join(o.DataDir, databaseFile) }

// tellOfEmbedded says that documents lie in an embedded database beside a PostgreSQL, where nobody looks any more.
func tellOfEmbedded(ctx context.Context, o Options) {
	c, err := sqlite.ReadContents(ctx, DatabasePath(o))
	if err != nil || c.Changes == 0 {
		return // there is none, or nothing that could be brought over
	}
	o.Log.LogAttrs(ctx, slog.LevelWarn, "documents lie in the embedded database of before, and are not read: tenet move brings them to the PostgreSQL",
		slog.String("path", DatabasePath(o)), slog.Int64("documents", c.Documents), slog.Int64("changes", c.Changes))
}

// An engine is what a tenet needs of the store that holds its data, beyond the contract.
type engine interface {
	store.Store
	useCounter
	refusalKeeper
	store.Eraser
	// VerifyChanges checks the log from its first change to its last.
	VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error
	// guards returns what should guard the log in the database and does not, as an error.
	guards(ctx context.Context) error
	// drift tells how the database's schema differs from what the migrations make of it.
	drift(ctx context.Context) ([]string, error)
	schema(ctx context.Context) (Schema, error)
	// runBooks returns where the runs of jobs are kept: those about the data, and those about this machine, nil for the same.
	runBooks() (shared, local store.RunBook)
	// fleetBook returns where it is kept how repositories stand.
	fleetBook() store.FleetBook
	// effectBook returns where it is kept what becomes of documents.
	effectBook() store.EffectBook
	// retain removes changes and refusals that were made before a time, but for the newest keep changes, and returns how many
	// changes went.
	retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error)
	// maintain does what the database needs from time to time, and says what that was.
	maintain(ctx context.Context) (string, error)
	// stat tells what the status page shows of the engine.
	stat(ctx context.Context) (map[string]any, error)
	// size tells how much the database holds.
	size(ctx context.Context) (size, error)
	// place says in words which database it is.
	place() string
	// leftBehind says what the database's files may still hold of what was overwritten, "" for nothing.
	leftBehind() string
}

// openEngine opens the database that the options name, for a tenet that serves.
func openEngine(ctx context.Context, o Options) (engine, error) {
	if o.DatabaseURL != "" {
		if hasFile(o, databaseFile) {
			tellOfEmbedded(ctx, o)
		}
		return openDual(ctx, o)
	}
	if hasFile(o, JournalFile) { // also beside an embedded database: that is of before
		return nil, &store.UnavailableError{Halt: true, NotDone: true, Reason: "the data directory " + o.DataDir + " is that of a tenet on a PostgreSQL: " +
			"name its PostgreSQL with --database-url; to leave the PostgreSQL for good, see that tenet doctor journal shows nothing that waits, and move " +
			mirrorFile + " and " + JournalFile + " away"}
	}
	e, err := openEmbedded(ctx, o)
	if err != nil {
		return nil, err
	}
	warnOfDrift(ctx, o.Log, e)
	return e, nil
}

// openDirect opens the database that the options name, and nothing beside it.
func openDirect(ctx context.Context, o Options) (engine, error) {
	if o.DatabaseURL != "" {
		return openPostgres(ctx, o)
	}
	return openEmbedded(ctx, o)
}

// embedded is the engine of a tenet without a PostgreSQL.
type embedded struct {
	*sqlite.Store
	path string
}

func openEmbedded(ctx context.Context, o Options) (*embedded, error) {
	path := filepath.Join(o.DataDir, databaseFile)
	s, err := sqlite.Open(ctx, path, sqlite.Options{
		SlowQuery: o.SlowQuery, Log: o.Log, Observer: o.observer("sqlite"),
		Slow: func(q sqlite.SlowQuery) { o.slowStatement(ctx, "sqlite", q.Statement, q.Duration, q.Plan) },
	})
	if err != nil {
		return nil, err
	}
	return &embedded{s, path}, nil
}

// Erase implements [store.Eraser].
func (e *embedded) Erase(ctx context.Context, r store.ErasureRequest) (store.ErasureResult, error) {
	return sqlite.NewEraser(e.Store).Erase(ctx, r)
}

func (e *embedded) leftBehind() string { return "" }

func (e *embedded) place() string { return "the embedded database " + e.path }

func (e *embedded) schema(ctx context.Context) (Schema, error) {
	s, err := e.Schema(ctx)
	return Schema{e.place(), s.Version, s.Newest}, err
}

func (e *embedded) stat(ctx context.Context) (map[string]any, error) {
	s, err := e.Stat(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"bytes": s.Bytes, "wal_bytes": s.WALBytes, "free_bytes": s.FreeBytes, "oldest_change": s.Oldest, "newest_change": s.Newest,
		"waiting_writes": s.Waiting, "schema": s.Schema.Version,
	}, nil
}

// guards has nothing to look at: the program itself writes the log of an embedded database.
func (e *embedded) guards(context.Context) error { return nil }

func (e *embedded) drift(ctx context.Context) ([]string, error) { return sqlite.Drift(ctx, e.Store) }

func (e *embedded) runBooks() (shared, local store.RunBook) { return e.RunBook(), nil }

func (e *embedded) retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	return e.Retain(ctx, before, keep)
}

func (e *embedded) maintain(ctx context.Context) (string, error) {
	return "statistics of the query planner", e.Maintain(ctx)
}
