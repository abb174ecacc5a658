package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
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
	"tenet/internal/upkeep"
)

// parts are what a tenet is made of, below its doors.
type parts struct {
	log       *slog.Logger
	engine    engine
	dual      *dual // the engine, on a PostgreSQL; nil when it is embedded
	cache     *cache.Store
	directory *access.Directory
	uses      *uses
	refusals  *refusals
	live      *live.Hub
	mcp       *mcp.Door
	guidance  *guidance.Index
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
	mode       string // in words
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
	p := &parts{metrics: registry, measures: o.measures, log: o.Log, engine: e, uses: newUses(e, o.Log), refusals: newRefusals(e, o.Log), mode: "embedded: the data is in this directory alone"}
	if o.DatabaseURL != "" {
		p.mode = "on " + e.place()
	}
	p.dual, _ = e.(*dual)
	p.directory = access.NewDirectory(e, o.Log)
	if p.dual != nil {
		p.directory.Follow(p.dual.Mirrored())
		p.dual.start(ctx)
	}
	if err := p.loadDirectory(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if p.cache, err = p.openCache(ctx, o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	var waits func(context.Context, knowledge.BatchID) (bool, error)
	if p.dual != nil {
		waits = p.dual.Journalled
	}
	p.store = stack(observe.New(p.cache, "all", p.measures), p.directory, p.refusals, waits, o.Quotas, o.Policy)
	p.measure()
	p.checks = &checks{docs: e}
	p.fleet = newFleet(e, o.Log)
	p.fleet.gauges = newFleetGauges(registry)
	p.effects = &effects{book: e.effectBook(), docs: e, fleet: p.fleet, log: o.Log, pending: map[effectKey]store.EffectTally{}}
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
	if p.dual != nil {
		p.listen()
	}
	return p, nil
}

// loadDirectory reads who may call. Without a primary and a mirror nobody is known yet; the directory loads again on its own.
func (p *parts) loadDirectory(ctx context.Context) error {
	err := p.directory.Load(ctx)
	if p.dual != nil && errors.Is(err, store.ErrUnavailable) {
		return nil
	}
	return err
}

// stack puts the stores of a tenet on top of each other; a call meets the last line first. At the bottom is the engine: the
// embedded database, or the failover between a PostgreSQL and its mirror.
func stack(
	memory store.Store, dir *access.Directory, refused *refusals, waits func(context.Context, knowledge.BatchID) (bool, error), quotas access.Quotas,
	policy access.Policy,
) store.Store {
	return access.New(coherence.New(memory), dir, refused.note).WithJournal(waits).WithQuotas(quotas).WithPolicy(policy)
}

// openCache opens the memory over the engine. It follows what the mirror has applied, not the primary's log: of a change that
// a read could not see yet it must not hear.
func (p *parts) openCache(ctx context.Context, o Options) (*cache.Store, error) {
	c := cache.Options{Hot: o.CacheHot, Warm: o.CacheWarm, Dir: filepath.Join(o.DataDir, cacheDir), Log: o.Log}
	if p.dual != nil {
		c.Feed, c.AsOf = p.dual.Mirrored(), p.dual.mirrorAsOf
	}
	return cache.Open(ctx, p.engine, c)
}

// newGuidance makes the index of what holds where. It follows what the mirror has applied, as the memory does.
func (p *parts) newGuidance() *guidance.Index {
	g := guidance.Options{Store: p.engine, Feed: p.engine, Log: p.log, Served: p.effects.Served}
	if p.dual != nil {
		g.Feed, g.AsOf, g.Waits = p.dual.Mirrored(), p.dual.mirrorAsOf, p.dual.waiting
	}
	return guidance.New(g)
}

// level returns how fresh answers are. What is in memory is as old as the moment to which it has followed the mirror, and the
// mirror as old as that at most.
func (p *parts) level() knowledge.Level {
	l := p.dual.Level()
	l.Local = localAsOf(l)
	if at := p.cache.AsOf(); !at.IsZero() && at.Before(l.Local.Time) {
		l.Local = at
	}
	return l
}

// cacheDir keeps the warm memory between two runs, in the data directory.
const cacheDir = "cache"

func (p *parts) liveOptions(o Options) live.Options {
	l := live.Options{
		Feed: p.engine, Holds: p.directory.Holds, Metrics: p.metrics, Log: o.Log,
		Origins: slices.Concat(o.Live.Origins, o.Entrance.Origins), MaxConnections: o.Live.MaxConnections, MaxPerPrincipal: o.Live.MaxPerPrincipal,
		Alone: p.dual == nil,
	}
	if p.dual != nil {
		l.Level, l.Queued = p.dual.Level, p.dual.journal.Find
	}
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
	p.dual.settled.Store(&settled)
	event := func(e failover.Event) {
		p.live.Announce(live.Notice{At: e.At, Mode: e.Mode, From: e.From, Breaker: e.Breaker, Why: e.Why, Queued: e.Queued})
		if e.Queued != nil {
			p.guidance.StaleBatch(*e.Queued)
		}
	}
	p.dual.event.Store(&event)
}

// watchAgain announces what waits since before this start: who has heard of it hears what becomes of it.
func (p *parts) watchAgain(ctx context.Context) error {
	if p.dual == nil {
		return nil
	}
	for after := int64(0); ; {
		waiting, err := p.dual.journal.Oldest(ctx, after, waitingAtOnce)
		if err != nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "what waits in the journal can't be announced live", slog.Any("error", err))
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
	h := httpapi.Options{
		Store: p.store, Authenticate: p.authenticate(o.DataDir), Refused: p.refusals.note, Guidance: p.guidance, Labels: p.labels, Uses: p.uses, Status: p.status, Ready: p.ready, Fresh: store.WithFresh, Observe: p.observed,
		Live: p.live, MCP: p.mcp, MetricsOpen: o.MetricsOpen, MetricsHandler: promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}), Log: o.Log, AccessLog: o.AccessLog, Limits: o.Limits, Crowded: crowd.Crowded, Trusted: o.Entrance.Trusted, Origins: o.Entrance.Origins, LiveDescription: live.Description(), Version: o.Version, Jobs: p.keeper, Audit: p.engine, Fleet: p.fleet, Effects: p.effects, Check: p.checks.Check, Erase: p.erase,
	}
	h.Notes, h.PageRoutes, h.Policy = p.notes, console.Routes(), o.Policy
	h.Pages = console.New(console.Options{Store: p.store, Authenticate: h.Authenticate, Level: levelOf(p), Ready: p.ready, Version: o.Version})
	if seq, ok := p.engine.(interface{ Seq() knowledge.Seq }); ok {
		h.Seq = seq.Seq
	}
	if p.dual != nil {
		h.Level, h.Batches, h.Desk, h.Mirror = p.level, p.dual.Store, p.dual.Store, p.dual.Store
	}
	switch {
	case o.CacheHot > 0:
		h.Position = p.cache.Position
	case p.dual == nil:
		h.Position = p.live.Position // of the one log that every read is answered from
	}
	return httpapi.New(h)
}

// levelOf returns what tells how fresh the answers are.
func levelOf(p *parts) func() knowledge.Level {
	if p.dual != nil {
		return p.level
	}
	return func() knowledge.Level {
		return knowledge.Level{Mode: knowledge.ModeNormal, AsOf: knowledge.At(time.Now())}
	}
}

// observed returns what measures the requests of a route.
func (p *parts) observed(route string) func(status int, took time.Duration) {
	return p.measures.Request(route).Observe
}

// readyTimeout bounds the question whether the engine answers: who probes does not wait long.
const readyTimeout = 2 * time.Second

// ready returns why the tenet can't answer, nothing when it can.
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

// notes returns what an operator should know although the tenet can answer.
func (p *parts) notes() []string {
	if p.dual == nil {
		return nil
	}
	return p.dual.standbys.notes()
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
	return d
}

// run does what goes on beside the requests, until ctx ends.
func (p *parts) run(ctx context.Context) error {
	return together(ctx, p.directory.Run, p.uses.Run, p.refusals.Run, p.live.Run, p.cache.Run, p.guidance.Run, p.labels.Run, p.mcp.Run, p.keeper.Run, p.fleet.Run, p.effects.Run, p.erasures.Run, p.watchAgain)
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
	p.effects.flush(ctx)
	return errors.Join(p.labels.Close(), p.cache.Close()) // and the engine under it
}
