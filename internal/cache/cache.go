// Package cache answers from memory what was asked before: ready-to-send records, pages and search results in a hot tier,
// compressed records in a warm one that outlives the process. DESIGN.md beside this file tells why it is built as it is.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options of a [Store].
type Options struct {
	// Hot and Warm are budgets in bytes. Hot 0 turns the cache off; Warm below [MinWarm] turns the warm tier off.
	Hot, Warm int64
	// Dir is a directory of the cache's own that keeps the warm tier across restarts; "" keeps it in memory only.
	Dir string
	// Feed tells what has changed; the store under the cache when nil. It must not tell of a change before a read of that
	// store can see it: over a primary with a mirror that is the mirror's feed.
	Feed store.Feed
	// AsOf tells as of when the feed is current, for [Store.AsOf]; nil when it is always as of now.
	AsOf func() knowledge.Time
	// Log hears of a warm tier that can't be used, of a feed that can't be followed, and of a poor hit ratio; nothing when nil.
	Log *slog.Logger
}

// A Store answers from memory, and asks the store under it once for what it does not hold.
type Store struct {
	next    store.Store
	o       Options
	stamps  stamps
	seen    seen
	hot     *otter.Cache[slot, *item] // nil when the cache is off
	warm    *warm                     // nil when the tier is off
	flights flights
	down    chan descent
	place   place
	own     ownBatches
	stats   statistics
	closed  atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Open returns a cache over next. What the warm tier holds of an earlier process is used as far as the feed can tell what
// has changed since; when the feed can't be asked now, [Store.Run] asks it later.
func Open(ctx context.Context, next store.Store, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Feed == nil {
		o.Feed = next
	}
	s := &Store{next: next, o: o, down: make(chan descent, demotions)}
	s.flights.open, s.flights.all = map[slot]*flight{}, map[*flight]struct{}{}
	s.stamps.clock.Store(1)
	s.stats.begin()
	if o.Hot <= 0 {
		return s, nil
	}
	var err error
	s.hot, err = otter.New(&otter.Options[slot, *item]{
		MaximumWeight:    uint64(o.Hot),
		Weigher:          func(_ slot, it *item) uint32 { return it.weight },
		OnAtomicDeletion: s.deleted,
	})
	if err != nil {
		return nil, fmt.Errorf("open the hot tier: %w", err)
	}
	if err := s.openWarm(); err != nil {
		return nil, err
	}
	if err := s.locate(ctx); err != nil {
		if ctx.Err() != nil {
			s.warm.close()
			return nil, ctx.Err()
		}
		o.Log.WarnContext(ctx, "cache can't read the log of changes yet; the warm tier waits for it", "error", err.Error())
	}
	return s, nil
}

// openWarm opens the warm tier with what was saved of it.
func (s *Store) openWarm() error {
	switch {
	case s.o.Warm <= 0:
		return nil
	case s.o.Warm < MinWarm:
		s.o.Log.Warn("warm tier is off: its budget is too small", "budget", s.o.Warm, "least", int64(MinWarm))
		return nil
	}
	dir, written, saved := "", uint64(0), false
	if s.o.Dir != "" {
		if written, saved = s.restore(); saved {
			dir = s.o.Dir
		}
	}
	var err error
	if s.warm, err = openWarm(dir, s.o.Warm); err != nil {
		return err
	}
	s.warm.written.Store(written)
	s.warm.usable.Store(!saved)
	if s.o.Dir != "" {
		return discard(s.o.Dir)
	}
	return nil
}

// freshGet asks the source, and lets everybody know what it did not hold yet.
func (s *Store) freshGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := s.next.Get(ctx, key)
	dep := stripeOf(key)
	switch {
	case err == nil:
		s.noticed(rec, dep, 0)
	case errors.Is(err, store.ErrNotFound) && s.held(key) != nil:
		s.stamps.change(dep)
	}
	return rec, err
}

// loadRecord brings a record in from the warm tier or from the store under the cache, one flight for all who ask. That there
// is none is an answer too.
func (s *Store) loadRecord(ctx context.Context, key knowledge.Key, at slot) (*item, error) {
	dep := stripeOf(key)
	return s.fly(ctx, at, []stripe{dep}, func(ctx context.Context, asOf uint64) (*item, error) {
		if it := s.promote(key, at, dep); it != nil {
			s.stats.found(at).warm.Add(1)
			return it, nil
		}
		s.stats.found(at).miss.Add(1)
		began := time.Now()
		rec, err := s.next.Get(ctx, key)
		s.stats.loaded(began, err)
		var it *item
		switch {
		case err == nil:
			it = recordItem(rec, s.noticed(rec, dep, asOf), dep)
		case errors.Is(err, store.ErrNotFound):
			it = absentItem(key, asOf, dep, err)
		default:
			return nil, err
		}
		s.keep(at, it)
		return it, nil
	})
}

// promote brings a record back from the warm tier, nil when it holds none that is valid.
func (s *Store) promote(key knowledge.Key, at slot, dep stripe) *item {
	if s.warm == nil {
		return nil
	}
	rec, was := s.warm.get(key)
	if rec == nil || !s.stamps.holds(was, dep) {
		return nil
	}
	s.stats.promoted.Add(1)
	s.seen.raise(dep, rec.Version)
	it := recordItem(rec, was, dep)
	s.keep(at, it)
	return it
}

// Changes implements [store.Store]; the log is not cached.
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	return s.next.Changes(ctx, q)
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.next.Wait(ctx, after)
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.next.Ping(ctx)
}

// Close implements [store.Store]: it closes the store under the cache, lets the loads under way end, and saves the warm tier.
// Run should have ended before.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return store.ErrClosed
	}
	err := s.next.Close()
	s.flights.close()
	if s.warm != nil {
		err = errors.Join(err, s.save())
		s.warm.close()
	}
	return err
}
