package server

import (
	"context"
	"path/filepath"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// databaseFile is the embedded database in the data directory.
const databaseFile = "tenet.db"

// An engine is what a tenet needs of the store that holds its data, beyond the contract.
type engine interface {
	store.Store
	useCounter
	refusalKeeper
	// VerifyChanges checks the log from its first change to its last.
	VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error
	schema(ctx context.Context) (Schema, error)
	// stat tells what the status page shows of the engine.
	stat(ctx context.Context) (map[string]any, error)
	// place says in words which database it is.
	place() string
}

// openEngine opens the database that the options name, for a tenet that serves.
func openEngine(ctx context.Context, o Options) (engine, error) {
	if o.DatabaseURL != "" {
		return openDual(ctx, o)
	}
	if hasFile(o, JournalFile) { // also beside an embedded database: that is of before
		return nil, &store.UnavailableError{Halt: true, NotDone: true, Reason: "the data directory " + o.DataDir + " is that of a tenet on a PostgreSQL: " +
			"name its PostgreSQL with --database-url; to leave the PostgreSQL for good, see that tenet doctor journal shows nothing that waits, and move " +
			mirrorFile + " and " + JournalFile + " away"}
	}
	return openEmbedded(ctx, o)
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

func (e *embedded) refuse(ctx context.Context, list []refusal) error {
	out := make([]sqlite.Refusal, len(list))
	for i, r := range list {
		out[i] = sqlite.Refusal{At: r.at, Actor: r.actor, Action: r.action, Key: r.key, Reason: r.reason, RequestID: r.requestID}
	}
	return e.Refuse(ctx, out...)
}
