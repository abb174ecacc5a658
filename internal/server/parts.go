package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"tenet/internal/access"
	"tenet/internal/backup"
	"tenet/internal/cache"
	"tenet/internal/coherence"
	"tenet/internal/console"
	"tenet/internal/erasure"
	"tenet/internal/failover"
	"tenet/internal/guidance"
	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/labels"
	"tenet/internal/live"
	"tenet/internal/mcp"
	"tenet/internal/observe"
	"tenet/internal/store"
	"tenet/internal/unchanged"
	"tenet/internal/upkeep"
)

// parts are the parts of a server below its doors.
type parts struct {
	log       *slog.Logger
	engine    serving
	from      sources // of the engine
	cache     *cache.Store
	directory *access.Directory
	uses      *uses
	refusals  *refusals
	reads     *reads
	told      access.Reads // of reads; nil where they are not audited
	live      *live.Hub
	mcp       *mcp.Door
	guidance  *guidance.Index
	policy    access.Policy
	labels    *labels.Copies
	erasures  *erasure.Keeper
	fleet     *fleet
	effects   *effects
	checks    *checks
	metrics   *prometheus.Registry
	measures  *observe.Metrics
	store     store.Store   // the whole chain
	backups   backup.Engine // nil where none are made
	glance    glance
	// archivedAt is when the newest WAL was archived, seconds since 1970; 0 while nobody has looked.
	archivedAt atomic.Int64
	keeper     *upkeep.Keeper
	// begun is true once an empty database has got its admin, who is known by then.
	begun atomic.Bool
}

// assemble opens the database and builds everything that stands on it.
func assemble(ctx context.Context, o Options) (*parts, error) {
	registry := newRegistry(o.Version)
	o.measures = observe.NewMetrics(registry)
	o.measures.SlowQuery = o.SlowQuery
	e, err := openEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &parts{
		metrics: registry, measures: o.measures, log: o.Log, engine: e, from: e.sources(),
		uses: newUses(e, o.Log), refusals: newRefusals(e.auditBook(), o.Log),
		policy: o.Policy,
		reads:  newReads(e.auditBook(), o.Log), directory: access.NewDirectory(e, o.Log),
	}
	if o.Upkeep.AuditReads {
		p.told = p.reads.note
	}
	p.directory.Follow(p.from.feed)
	e.start(ctx)
	if err := p.loadDirectory(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if p.store, err = p.stack(ctx, o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	p.measure()
	turns := newTurns(runtime.GOMAXPROCS(0))
	p.checks = newChecks(e, p.store, o.Policy.Confidential, turns)
	p.fleet = newFleet(e, turns, o.Log)
	p.fleet.gauges = newFleetGauges(registry)
	p.effects = &effects{
		book: e.effectBook(), docs: e, fleet: p.fleet, log: o.Log,
		pending: map[effectKey]store.EffectTally{},
	}
	p.effects.holds = func(key knowledge.Key) bool { return p.guidance.Holds(key) }
	p.fleet.count = p.effects.Count
	if err := p.openUpkeep(o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if p.erasures, err = p.newErasures(o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	p.live = live.NewHub(p.liveOptions(o))
	p.guidance = p.newGuidance()
	if p.labels, err = p.newLabels(o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	p.mcp = p.newMCP(o)
	p.listen()
	return p, nil
}

// loadDirectory reads who may call. Without a primary and a mirror nobody is known yet; the directory loads again on
// its own.
func (p *parts) loadDirectory(ctx context.Context) error {
	err := p.directory.Load(ctx)
	if err != nil && p.engine.passes(err) {
		return nil
	}
	return err
}

// stack puts the stores of a server on top of each other; a call meets the last line first. At the bottom is the
// engine: the embedded database, or the failover that [openDual] puts over the primary, its mirror and its journal.
func (p *parts) stack(ctx context.Context, o Options) (_ store.Store, err error) {
	quotas, err := access.ParseQuotas(o.Quotas)
	if err != nil {
		return nil, err
	}
	var s store.Store = p.engine
	p.cache, err = cache.Open(ctx, s, cache.Options{
		Hot: o.CacheHot, Warm: o.CacheWarm, Dir: filepath.Join(o.DataDir, cacheDir), Feed: p.from.feed,
		AsOf: p.from.asOf, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	s = unchanged.New(p.cache)
	s = observe.New(s, "all", p.measures)
	s = coherence.New(s).WithSight(o.Policy.Confidential.Sees(p.engine))
	return access.New(s, p.directory, p.refusals.note).WithReads(p.told).WithJournal(p.from.taken).WithQuotas(quotas).
		WithPolicy(o.Policy), nil
}

// newGuidance makes the index of what holds where.
func (p *parts) newGuidance() *guidance.Index {
	return guidance.New(guidance.Options{
		Store: p.engine, Feed: p.from.feed, AsOf: p.from.asOf, Waits: p.from.waits, Log: p.log,
		Served: func(ctx context.Context, q *guidance.Query, keys []knowledge.Key) {
			if !q.Budget.Explain {
				p.effects.Served(keys)
			}
			p.told.Tell(ctx, guidanceRead(q, len(keys)))
		},
	})
}

// level returns how current answers are. What is in memory is as old as the moment to which it has followed the mirror,
// and the mirror as old as that at most.
func (p *parts) level() knowledge.Level {
	l := p.engine.Level()
	if p.from.alone {
		return l
	}
	l.Local = localAsOf(l)
	if at := p.cache.AsOf(); !at.IsZero() && at.Before(l.Local.Time) {
		l.Local = at
	}
	return l
}

// cacheDir keeps the warm memory between two runs, in the data directory.
const cacheDir = "cache"

func (p *parts) liveOptions(o Options) live.Options {
	l := o.Live
	l.Origins = slices.Concat(o.Live.Origins, o.Entrance.Origins)
	l.Feed, l.Alone, l.Level, l.Queued = p.engine, p.from.alone, p.engine.Level, p.from.queued
	l.Hidden = o.Policy.Confidential.Hidden
	l.Tells = func(ctx context.Context, c *knowledge.Change) ([]string, error) {
		return o.Policy.Confidential.Tells(ctx, p.engine, c)
	}
	l.Holds, l.Metrics, l.Log, l.Reads = p.directory.Holds, p.metrics, o.Log, p.told
	return l
}

// listen tells the memory and the live door what happens in an outage.
func (p *parts) listen() {
	settled := func(keys []knowledge.Key) {
		if keys == nil {
			p.cache.InvalidateAll()
		} else {
			p.cache.Invalidate(keys...)
		}
		p.guidance.Stale(keys...)
	}
	event := func(e failover.Event) {
		p.live.Announce(live.Notice{
			At: e.At, Mode: e.Mode, From: e.From, Breaker: e.Breaker, Why: e.Why,
			Queued: e.Queued,
		})
		if e.Queued != nil {
			p.guidance.StaleBatch(*e.Queued)
		}
	}
	p.engine.tell(settled, event)
}

// watchAgain announces what waits since before this start: who has heard of it hears what becomes of it.
func (p *parts) watchAgain(ctx context.Context) error {
	if p.from.journal == nil {
		return nil
	}
	for after := int64(0); ; {
		waiting, err := p.from.journal.Oldest(ctx, after, waitingAtOnce)
		if err != nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "what waits in the journal can't be announced live",
				slog.Any("error", err))
			return nil
		}
		if len(waiting) == 0 {
			return nil
		}
		for i := range waiting {
			after = waiting[i].Seq
			p.live.Announce(live.Notice{Queued: &waiting[i].Batch.ID})
		}
	}
}

// waitingAtOnce is how many batches are read from the journal in one go.
const waitingAtOnce = 100

// door returns the REST door.
func (p *parts) door(o Options, crowd *httpapi.Crowd) *httpapi.Handler {
	trusted, _ := o.Entrance.trusted() // [Options.Check] has read them
	h := httpapi.Options{
		Store: p.store, Authenticate: p.authenticate(o.DataDir), Refused: p.refusals.note, Policy: o.Policy,
		Level: p.level, Seq: p.engine.Seq,
		Fresh: store.WithFresh, Ready: p.ready, Status: p.status, Observe: p.observed,
		Guidance: p.guidance, Labels: p.labelled(), Notes: p.from.notes, Uses: p.uses, Jobs: p.keeper,
		Audit: p.engine.auditBook(),
		Fleet: p.fleet, Effects: p.effects, Check: p.check, Erase: p.erase, Reads: p.told,
		Archive: p.policy.Confidential.Archived(p.engine, p.engine.archive()),
		Batches: p.from.batches, Found: p.from.found, Desk: p.from.desk, Mirror: p.from.mirror,
		MetricsOpen: o.Entrance.MetricsOpen, MetricsHandler: promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}),
		LiveDescription: live.Description(),
		Limits:          o.Limits, Crowded: crowd.Crowded, Trusted: trusted, Origins: o.Entrance.Origins,
		Log: o.Log, AccessLog: o.AccessLog, Version: o.Version,
	}
	pages := console.New(console.Options{
		Store: p.store, Authenticate: h.Authenticate, Level: p.level, Ready: p.ready, Version: o.Version,
	})
	h.Pages, h.Mounts = pages, []httpapi.Mount{liveDoor(p.live), assistantDoor(p.mcp), pageDoor(pages)}
	switch {
	case o.CacheHot > 0:
		h.Position = p.cache.Position
	case p.from.alone:
		h.Position = p.live.Position // of the one log that every read is answered from
	}
	return httpapi.New(h)
}

// observed returns what measures the requests of a route.
func (p *parts) observed(route string) func(status int, took time.Duration) {
	return p.measures.Request(route).Observe
}

// readyTimeout bounds the question whether the engine answers: who probes does not wait long.
const readyTimeout = 2 * time.Second

// ready returns why the server can't answer, nothing if it can.
func (p *parts) ready(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := p.engine.Ping(ctx)
	if e, ok := errors.AsType[*store.UnavailableError](err); ok {
		return []string{e.Reason} // the cause is for the log: it may name hosts and users
	}
	if err != nil {
		return []string{"the database gave no answer within " + readyTimeout.String()}
	}
	return nil
}

// status returns what the status page shows of the parts. What can't be told is left out; readiness says why.
func (p *parts) status(ctx context.Context) any {
	d := map[string]any{"database": p.engine.place(), "cache": p.cache.Stats()}
	if s, err := p.engine.stat(ctx); err == nil {
		maps.Copy(d, s)
	}
	if head, err := headOf(ctx, p.engine); err == nil && head != "" {
		d["head"] = head
	}
	if b := p.backupStatus(ctx); b != nil {
		d["backups"] = b
	}
	if missing, err := p.policy.Missing(ctx, p.engine); err == nil && len(missing) > 0 {
		d["policy"] = missing
	}
	return d
}

// run does what goes on beside the requests, until ctx ends.
func (p *parts) run(ctx context.Context) error {
	return together(ctx, p.directory.Run, p.uses.Run, p.refusals.Run, p.reads.Run, p.live.Run, p.cache.Run,
		p.guidance.Run, p.labels.Run, p.mcp.Run,
		p.keeper.Run, p.fleet.Run, p.effects.Run, p.erasures.Run, p.watchAgain)
}

// together runs all of fns until ctx ends, or one of them fails, which ends the others.
func together(ctx context.Context, fns ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, fn := range fns {
		g.Go(func() error {
			if err := fn(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// close writes what is still in memory, and closes the database.
func (p *parts) close(ctx context.Context) error {
	p.uses.flush(ctx)
	p.refusals.flush(ctx)
	p.reads.flush(ctx)
	p.effects.flush(ctx)
	return errors.Join(p.labels.Close(), p.cache.Close()) // and the engine under it
}
