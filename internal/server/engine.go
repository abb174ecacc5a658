package server

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/access"
	"tenet/internal/failover"
	"tenet/internal/httpapi"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/observe"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/upkeep"
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
	o.Log.LogAttrs(ctx, slog.LevelWarn, "documents lie in the embedded database of before, and are not read: tenet "+
		"move brings them to the PostgreSQL",
		slog.String("path", DatabasePath(o)), slog.Int64("documents", c.Documents), slog.Int64("changes", c.Changes))
}

// An engine is the store of a server's data, with the methods that the server needs beyond the contract.
type engine interface {
	store.Store
	useCounter
	store.Eraser
	// archive returns what holds the documents that were retired long ago.
	archive() store.Archive
	// auditBook returns where it is kept who was refused, and who read what.
	auditBook() store.AuditBook
	// VerifyChanges checks the log from its first change to its last.
	VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error
	// eachStored reads documents as the database holds them, also what can't be read as one; see [sqlite.EachStored].
	eachStored(ctx context.Context, kind knowledge.Kind, after string, limit int,
		each func(id string, row []byte)) (int, error)
	// guards returns what should guard the log in the database and does not, as an error.
	guards(ctx context.Context) error
	// drift tells how the database's schema differs from what the migrations make of it.
	drift(ctx context.Context) ([]string, error)
	schema(ctx context.Context) (Schema, error)
	// retain removes changes and entries of the audit that were made before a time, but for the newest keep changes,
	// and returns how many changes went.
	retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error)
	// maintain does what the database needs from time to time, and says what that was.
	maintain(ctx context.Context) (string, error)
	// stat tells what the status page shows of the engine.
	stat(ctx context.Context) (map[string]any, error)
	// size tells how much the database holds.
	size(ctx context.Context) (size, error)
	// place says in words which database it is.
	place() string
}

// A serving engine is what a running server stands on. There are two: the embedded database, and the primary with its
// mirror and its journal.
type serving interface {
	engine
	// Seq returns a seq that no answer given so far is ahead of.
	Seq() knowledge.Seq
	// Level returns how current the engine's answers are.
	Level() knowledge.Level
	// sources returns what the rest of the server reads of the engine beyond its calls.
	sources() sources
	// start begins the work that goes on beside the calls. Close ends it.
	start(ctx context.Context)
	// readable reports whether reads can be answered before join has returned.
	readable() bool
	// join waits until the engine knows whether it can reach its database, or a start has waited long enough.
	join(ctx context.Context)
	// passes reports whether an error may end without anybody doing something, so that a server starts all the same.
	passes(err error) bool
	// runBooks returns where the runs of jobs are kept: those about the data, and those about this machine, nil for the
	// same. Then no other instance uses it.
	runBooks() (shared, local store.RunBook)
	// fleetBook returns where it is kept how repositories stand.
	fleetBook() store.FleetBook
	// effectBook returns where it is kept what becomes of documents.
	effectBook() store.EffectBook
	// tell sets the functions that are called when documents settle and when an outage begins, moves on or ends.
	tell(settled func(keys []knowledge.Key), event func(failover.Event))
	// measure registers the engine's metrics.
	measure(reg prometheus.Registerer, m *observe.Metrics)
	// jobs returns the scheduled jobs that only this engine needs.
	jobs(o Options) ([]upkeep.Job, error)
	// mode says in words how the data is kept.
	mode() string
}

// sources are what the rest of a server reads of its engine. Fields but the first and found may be nil; the embedded
// database has no others.
type sources struct {
	// feed brings changes that reads can see already: the feed for memories and indexes to follow.
	feed store.Feed
	// alone says that feed is the only log: nothing in it was read elsewhere before.
	alone bool
	// asOf returns the time up to which the feed is current. Nil: it always is.
	asOf func() knowledge.Time
	// journal holds the batches that wait for the primary.
	journal *journal.Journal
	// taken reports whether a batch is in the journal that the log does not have yet.
	taken func(ctx context.Context, id knowledge.BatchID) (bool, error)
	// waits returns the documents that a batch in the journal writes.
	waits func(ctx context.Context, id knowledge.BatchID) ([]knowledge.Key, error)
	// queued returns a batch of the journal and its state.
	queued func(ctx context.Context, id knowledge.BatchID) (store.Entry, store.Outcome, error)
	// forget takes the name of an erased person out of the files that this machine alone has.
	forget []func(ctx context.Context, pseudonym string, person *knowledge.Erasure) error

	// found tells of a batch that changed nothing, which the ledger alone knows.
	found   func(ctx context.Context, id knowledge.BatchID) (knowledge.Seq, bool, error)
	batches httpapi.BatchTeller
	desk    access.Desk
	mirror  httpapi.Mirror
	// notes returns warnings for the operator of a server that can answer.
	notes func() []string
}

// openEngine opens the database of the options for a server.
func openEngine(ctx context.Context, o Options) (serving, error) {
	if o.DatabaseURL != "" {
		if hasFile(o, databaseFile) {
			tellOfEmbedded(ctx, o)
		}
		return openDual(ctx, o)
	}
	if err := o.embedded(); err != nil {
		return nil, err
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
