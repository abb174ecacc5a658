package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/erasure"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/observe"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// embedded is the engine of an instance without PostgreSQL.
type embedded struct {
	*sqlite.Store
	path string
}

func openEmbedded(ctx context.Context, o Options) (*embedded, error) {
	path := filepath.Join(o.DataDir, databaseFile)
	if err := notEmptied(o.DataDir); err != nil {
		return nil, err
	}
	check := int64(0) // the default
	if !o.serves {
		check = -1 // a command reads few pages, and gets an error of a damaged one; doctor looks at all
	}
	s, err := sqlite.Open(ctx, path, sqlite.Options{
		CheckLimit: check,
		SlowQuery:  o.SlowQuery, Log: o.Log, IndexLater: o.serves, Observer: o.observer("sqlite"),
		Slow: func(q sqlite.SlowQuery) { o.slowStatement(ctx, "sqlite", q.Statement, q.Duration, q.Plan) },
	})
	if err != nil {
		return nil, err
	}
	return &embedded{s, path}, nil
}

// notEmptied refuses a database file of no bytes where a server has run, as a disk may leave one that failed: SQLite
// takes it for a new one, which would be filled with the starter set, and get another admin token, as if nothing had
// been lost.
func notEmptied(dir string) error {
	path := filepath.Join(dir, databaseFile)
	file, err := os.Stat(path)
	if err != nil || file.Size() > 0 {
		return nil //nolint:nilerr // opening it says what is wrong
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return nil // what it holds is brought over
	}
	for _, trace := range []string{TokenFile, erasure.File} {
		if _, err := os.Stat(filepath.Join(dir, trace)); err == nil {
			return fmt.Errorf("%s is empty, and %s tells of a server that ran there: restore a backup into a new directory, "+
				"or remove the empty file to start again with nothing", path, trace)
		}
	}
	return nil
}

// Erase implements [store.Eraser].
func (e *embedded) Erase(ctx context.Context, r store.ErasureRequest) (store.ErasureResult, error) {
	return sqlite.NewEraser(e.Store).Erase(ctx, r)
}

func (e *embedded) archive() store.Archive { return sqlite.NewArchive(e.Store) }

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
	out := map[string]any{
		"bytes": s.Bytes, "wal_bytes": s.WALBytes, "reusable_bytes": s.FreeBytes, "oldest_change": s.Oldest,
		"newest_change":  s.Newest,
		"waiting_writes": s.Waiting, "schema": s.Schema.Version,
	}
	addIndexing(out, e.Store)
	return out, nil
}

// addIndexing adds, while the search index is being made, how many documents are in it.
func addIndexing(to map[string]any, s *sqlite.Store) {
	if done, all := s.Indexing(); all > 0 {
		to["search_index"] = map[string]int64{"documents": done, "of": all}
	}
}

// indexingNotes returns the same as a warning.
func indexingNotes(s *sqlite.Store) []string {
	done, all := s.Indexing()
	if all == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the search index is being made: %d of %s are in it", done,
		knowledge.Count(all, "document", "documents"))}
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

// Level is always normal: what is read is what was written last.
func (e *embedded) Level() knowledge.Level {
	return knowledge.Level{Mode: knowledge.ModeNormal, AsOf: knowledge.At(time.Now())}
}

func (e *embedded) sources() sources {
	return sources{
		feed: e, alone: true, found: e.Found,
		notes: func() []string { return indexingNotes(e.Store) },
	}
}

func (e *embedded) mode() string { return "embedded: the data is in this directory alone" }

// What follows is about a primary, of which there is none.

func (e *embedded) start(context.Context) {}

func (e *embedded) readable() bool { return false }

func (e *embedded) join(context.Context) {}

func (e *embedded) passes(error) bool { return false }

func (e *embedded) tell(func([]knowledge.Key), func(failover.Event)) {}

func (e *embedded) measure(prometheus.Registerer, *observe.Metrics) {}

func (e *embedded) jobs(Options) ([]upkeep.Job, error) { return nil, nil }

// VerifyChanges checks the log of changes and all that stands beside it.
func (e *embedded) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	if err := e.Store.VerifyChanges(ctx, progress); err != nil {
		return err
	}
	return sqlite.VerifyPlaces(ctx, e.Store)
}
