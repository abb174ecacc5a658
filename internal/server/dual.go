package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Files of an instance with PostgreSQL, in its data directory.
const (
	mirrorFile = "mirror.db"
	seedFile   = "seed.db"
	// JournalFile holds what waits for the PostgreSQL.
	JournalFile = "journal.db"
)

// dual is the engine of an instance with PostgreSQL: the primary, its mirror and its journal.
type dual struct {
	*failover.Store
	o        Options
	where    string
	primary  atomic.Pointer[primary] // nil until PostgreSQL was reached
	mirror   *sqlite.Store
	journal  *journal.Journal
	seeds    *sqlite.Store // nil where there is a mirror
	instance *sqlite.Store // runs of the jobs of this machine
	stop     func()        // ends what start began
	standbys standbys      // of the PostgreSQL

	// Called with the events of the engine, for the parts above it.
	settled atomic.Pointer[func([]knowledge.Key)]
	event   atomic.Pointer[func(failover.Event)]
}

// openDual opens the local files and, as far as it can be reached, the PostgreSQL.
func openDual(ctx context.Context, o Options) (_ *dual, err error) {
	d := &dual{o: o, where: "the PostgreSQL at " + databasePlace(o.DatabaseURL)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.closeFiles())
		}
	}()
	slow := func(q sqlite.SlowQuery) { o.slowStatement(ctx, "mirror", q.Statement, q.Duration, q.Plan) }
	d.mirror, err = openMirror(ctx, filepath.Join(o.DataDir, mirrorFile), sqlite.Options{
		Mirror: true, Versions: int64(o.Outage.Versions), SlowQuery: o.SlowQuery, Slow: slow, Log: o.Log,
		Observer: o.observer("mirror"), IndexLater: o.serves,
	})
	if err != nil {
		return nil, fmt.Errorf("open the mirror: %w", err)
	}
	d.journal, err = journal.Open(ctx, filepath.Join(o.DataDir, JournalFile), o.Journal)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	if n := d.journal.Requeued(); n > 0 {
		o.Log.WarnContext(ctx, "batches of the journal were marked as settled, and not by this program: they wait "+
			"again", "batches", n)
	}
	if d.instance, err = sqlite.Open(ctx, filepath.Join(o.DataDir, instanceFile),
		sqlite.Options{Log: o.Log}); err != nil {
		return nil, fmt.Errorf("open what this machine keeps of its jobs: %w", err)
	}
	var seeds store.Reader
	if _, err := d.mirror.Position(ctx); errors.Is(err, store.ErrNotFound) && !o.NoSeed {
		if d.seeds, err = openSeeds(ctx, filepath.Join(o.DataDir, seedFile)); err != nil {
			return nil, err
		}
		seeds = d.seeds
	}
	f := o.Outage
	f.Connect, f.Mirror, f.Journal, f.Seed, f.Hosts = d.connect, d.mirror, d.journal, seeds,
		postgres.Hosts(o.DatabaseURL)
	if o.ReplicaURL != "" {
		f.Replica = replicaOf(o)
	}
	f.Authorize, f.Caller, f.Log = authorize, caller, o.Log
	f.Settled = func(keys []knowledge.Key) {
		if fn := d.settled.Load(); fn != nil {
			(*fn)(keys)
		}
	}
	f.Event = func(e failover.Event) {
		if fn := d.event.Load(); fn != nil {
			(*fn)(e)
		}
	}
	d.Store, err = failover.Open(ctx, f)
	return d, err
}

// openSeeds opens the starter set as a store of its own: what answers when there is neither primary nor mirror.
func openSeeds(ctx context.Context, path string) (*sqlite.Store, error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, fmt.Errorf("open the starter set: %w", err)
	}
	if _, err := Seed(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openMirror opens the mirror. A damaged one, or one of a newer program, is moved aside and rebuilt from the primary:
// the fault of a copy must not block the start.
func openMirror(ctx context.Context, path string, o sqlite.Options) (*sqlite.Store, error) {
	s, err := sqlite.Open(ctx, path, o)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
		o.Log.ErrorContext(ctx, "mirror is damaged, or of a newer program: it is moved aside and rebuilt", "error",
			u.Error())
		aside, err := sqlite.SetAside(path)
		if err != nil {
			return nil, errors.Join(u, err)
		}
		o.Log.WarnContext(ctx, "mirror kept for a look", "path", aside)
		return sqlite.Open(ctx, path, o)
	}
	return s, err
}

// connect opens the PostgreSQL.
func (d *dual) connect(ctx context.Context) (failover.Primary, error) {
	p, err := openPostgres(ctx, d.o)
	if err != nil {
		return nil, err
	}
	d.primary.Store(p)
	warnOfDrift(ctx, d.o.Log, p)
	warnOfExposure(ctx, d.o.Log, p)
	return p, nil
}

// replicaOf returns what opens the standby that mirrors are built from.
func replicaOf(o Options) func(context.Context) (failover.Replica, error) {
	p := o.Postgres
	p.URL, p.AllowUnverifiedTLS, p.Log, p.MinConns, p.MaxConns = o.ReplicaURL, o.AllowUnverifiedTLS, o.Log, 1, 1
	return func(ctx context.Context) (failover.Replica, error) { return postgres.Open(ctx, p) }
}

// caller returns who is calling, "" for the program itself.
func caller(ctx context.Context) string {
	if c := access.CallerFrom(ctx); c != nil {
		return c.ID
	}
	return access.SystemID
}

// authorize looks at a caller's rights again before a journalled batch is replayed, as they are at the primary then:
// what follows its log here may not have heard yet that somebody was revoked during the outage.
func authorize(ctx context.Context, now failover.Lookup, who string, b *knowledge.Batch) error {
	if who == access.SystemID {
		return nil
	}
	r, err := now(ctx, knowledge.Key{Kind: knowledge.KindPrincipal, ID: who})
	var by *access.Caller
	switch {
	case err == nil:
		if by, err = access.CallerOf(r); err != nil {
			return err
		}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if by == nil {
		return &store.ForbiddenError{Reason: who + ", who asked for it, was disabled, has expired or is gone"}
	}
	err = access.DecideAgain(ctx, by, now, b)
	if no, ok := errors.AsType[*store.ForbiddenError](err); ok {
		no.Reason = fmt.Sprintf("%s, who asked for it, has the role %s by now: %s", who, by.Role, no.Reason)
	}
	return err
}

func (d *dual) place() string { return d.where }

func (d *dual) mode() string { return "on " + d.where }

func (d *dual) sources() sources {
	return sources{
		feed: d.Mirrored(), asOf: d.mirrorAsOf, journal: d.journal, taken: d.Journalled, waits: d.waiting,
		queued:  d.journal.Find,
		found:   foundIn(&d.primary),
		batches: d.Store, desk: d.Store, mirror: d.Store, forget: d.forgets(),
		notes: func() []string { return append(d.standbys.notes(), indexingNotes(d.mirror)...) },
	}
}

func (d *dual) tell(settled func([]knowledge.Key), event func(failover.Event)) {
	d.settled.Store(&settled)
	d.event.Store(&event)
}

// foundIn tells of a batch that changed nothing, which PostgreSQL alone knows.
func foundIn(from *atomic.Pointer[primary]) func(context.Context, knowledge.BatchID) (knowledge.Seq, bool, error) {
	return func(ctx context.Context, id knowledge.BatchID) (knowledge.Seq, bool, error) {
		p := from.Load()
		if p == nil {
			return 0, false, nil
		}
		seq, there, err := p.Found(ctx, id)
		if errors.Is(err, store.ErrUnavailable) {
			return 0, false, nil // what is known here is known; a batch that is not may be one
		}
		return seq, there, err
	}
}

// mirrorAsOf returns as of when the mirror is current.
func (d *dual) mirrorAsOf() knowledge.Time { return localAsOf(d.Level()) }

// waiting returns the documents that a batch in the journal writes.
func (d *dual) waiting(ctx context.Context, id knowledge.BatchID) ([]knowledge.Key, error) {
	e, _, err := d.journal.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	keys := make([]knowledge.Key, len(e.Batch.Ops))
	for i := range e.Batch.Ops {
		keys[i] = e.Batch.Ops[i].Key
	}
	return keys, nil
}

// localAsOf returns as of when what is kept on this machine is current.
func localAsOf(l knowledge.Level) knowledge.Time {
	if l.Local.IsZero() {
		return l.AsOf
	}
	return l.Local
}

// errAway says that a call needs the PostgreSQL itself.
func (d *dual) errAway() error {
	return &store.UnavailableError{Reason: d.where + " can't be reached", RetryAfter: 5 * time.Second, NotDone: true}
}

func (d *dual) schema(ctx context.Context) (Schema, error) {
	p := d.primary.Load()
	if p == nil {
		return Schema{}, d.errAway()
	}
	return p.schema(ctx)
}

func (d *dual) stat(ctx context.Context) (map[string]any, error) {
	st, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"outage": st}
	addIndexing(out, d.mirror)
	if n := d.standbys.now.Load(); n != nil {
		out["standbys"] = n
	}
	if r := d.standbys.replica.Load(); r != nil {
		out["replica"] = r
	}
	if p := d.primary.Load(); p != nil {
		pool := p.Stat()
		out["connections"], out["connections_idle"], out["connections_most"] = pool.TotalConns(), pool.IdleConns(),
			pool.MaxConns()
		ends := postgres.CertificatesOf(p.Store)
		for name, at := range map[string]time.Time{
			"certificate_ends":        ends.Server,
			"client_certificate_ends": ends.Client,
		} {
			if !at.IsZero() {
				out[name] = at.UTC().Format(time.RFC3339)
			}
		}
	}
	return out, nil
}

// VerifyChanges checks the primary's log, while it is there, and that of the mirror, with what the mirror finds its
// documents by: readers are answered by it.
func (d *dual) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	if p := d.primary.Load(); p != nil && d.Level().Mode == knowledge.ModeNormal {
		if err := p.VerifyChanges(ctx, progress); err != nil {
			return err
		}
		progress = nil
	}
	err := verifyMirror(ctx, d.mirror, progress)
	if _, tampered := errors.AsType[*sqlite.TamperError](err); tampered {
		err = verifyMirror(ctx, d.mirror, nil) // it may have been rebuilt meanwhile
	}
	if err != nil {
		return fmt.Errorf("the mirror of this instance: %w; stop the server and remove %s: the next start rebuilds it",
			err, mirrorFile)
	}
	return nil
}

func verifyMirror(ctx context.Context, m *sqlite.Store, progress func(done, last knowledge.Seq)) error {
	if err := m.VerifyChanges(ctx, progress); err != nil {
		return err
	}
	return sqlite.VerifyPlaces(ctx, m)
}

// keepTimeout bounds the writing of counts to the journal's file.
const keepTimeout = time.Second

// AddUses adds to the counts of the primary, or keeps them in the journal's file while it is away. A primary that goes
// away at that moment may have counted them already: better twice than not at all.
func (d *dual) AddUses(ctx context.Context, counts map[string]int64) error {
	p := d.primary.Load()
	if p != nil && d.Level().Mode == knowledge.ModeNormal && d.journal.TakeUses(ctx, p.AddUses) == nil &&
		p.AddUses(ctx, counts) == nil {
		return nil
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	return d.journal.AddUses(keep, counts)
}

// countTimeout bounds the question for counts.
const countTimeout = 2 * time.Second

// FlushUses adds what was counted in an outage to the counts of the primary, once that is back: also where nothing is
// rendered any more. What waits for the audit follows.
func (d *dual) FlushUses(ctx context.Context) error {
	p := d.primary.Load()
	if p == nil || d.Level().Mode != knowledge.ModeNormal {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, usesTimeout)
	defer cancel()
	return errors.Join(d.journal.TakeUses(ctx, p.AddUses), d.journal.TakeAudit(ctx, p.auditBook().Add))
}

// Uses returns the counts of the primary.
func (d *dual) Uses(ctx context.Context, ids []string) (map[string]int64, error) {
	p := d.primary.Load()
	if p == nil || d.Level().Mode == knowledge.ModeDegraded {
		return nil, d.errAway()
	}
	own, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	counts, err := p.Uses(own, ids)
	if err != nil && ctx.Err() == nil && own.Err() != nil {
		return nil, d.errAway()
	}
	return counts, err
}

// guards looks at the primary, while that is there.
func (d *dual) guards(ctx context.Context) error {
	if p := answering(d); p != nil {
		return p.guards(ctx)
	}
	return nil
}

// drift looks at the primary, while that is there.
func (d *dual) drift(ctx context.Context) ([]string, error) {
	if p := answering(d); p != nil {
		return p.drift(ctx)
	}
	return nil, nil
}

// Close closes everything, the journal last.
func (d *dual) Close() error {
	if d.stop != nil {
		d.stop()
	}
	err := d.Store.Close()
	if p := d.primary.Load(); p != nil {
		err = errors.Join(err, p.Close())
	}
	return errors.Join(err, d.closeFiles())
}

func (d *dual) closeFiles() error {
	var errs []error
	if d.seeds != nil {
		errs = append(errs, d.seeds.Close())
	}
	if d.instance != nil {
		errs = append(errs, d.instance.Close())
	}
	if d.mirror != nil {
		errs = append(errs, d.mirror.Close())
	}
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	return errors.Join(errs...)
}
