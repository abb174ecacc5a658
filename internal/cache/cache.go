// Package cache answers repeated queries from memory. A hot tier holds ready-to-send records, pages and search results;
// a warm tier holds compressed records and outlives the process. DESIGN.md in this directory explains the design.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options configures a [Store].
type Options struct {
	// Hot and Warm are budgets in bytes. Hot 0 turns the cache off; Warm below [MinWarm] turns the warm tier off.
	Hot, Warm int64
	// Dir is a directory only for the cache, which keeps the warm tier across restarts; "" keeps the tier in memory
	// only.
	Dir string
	// Feed brings the changes; nil means the store under the cache. It must not bring a change before a read of that
	// store can see it: over a primary with a mirror it is the mirror's feed.
	Feed store.Feed
	// AsOf returns the time at which the feed is current, for [Store.AsOf]; nil means that the feed is always current.
	AsOf func() knowledge.Time
	// Log receives warnings about an unusable warm tier, a failing feed and a poor hit ratio; nil discards them.
	Log *slog.Logger
}

// A Store answers from memory, and loads what it does not hold from the store under it, once for all who ask.
type Store struct {
	next    store.Store
	o       Options
	mem     memory
	flights flights
	feed    follower
}

var _ store.Store = (*Store)(nil)

// Open returns a cache over next. The warm tier saved by an earlier process is used if the feed can tell what has
// changed since; if the feed can't be read now, [Store.Run] tries again.
func Open(ctx context.Context, next store.Store, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Feed == nil {
		o.Feed = next
	}
	s := &Store{next: next, o: o}
	s.flights.open, s.flights.all = map[slot]*flight{}, map[*flight]struct{}{}
	at, err := s.mem.open(o)
	if err != nil {
		return nil, err
	}
	s.feed.o, s.feed.mem, s.feed.place.at = o, &s.mem, at
	if s.mem.hot == nil {
		return s, nil
	}
	if err := s.feed.locate(ctx); err != nil {
		if ctx.Err() != nil {
			s.mem.warm.close()
			return nil, ctx.Err()
		}
		o.Log.WarnContext(ctx, "cache can't read the change log yet; the saved warm tier is not used until it can",
			"error", err.Error())
	}
	return s, nil
}

// freshGet reads from the store under the cache, and invalidates what a newer version makes outdated.
func (s *Store) freshGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := s.next.Get(ctx, key)
	dep := stripeOf(key)
	switch {
	case err == nil:
		s.mem.noticed(rec, dep, 0)
	case errors.Is(err, store.ErrNotFound) && s.mem.held(key) != nil:
		s.mem.stamps.change(dep)
	}
	return rec, err
}

// loadRecord loads a record from the warm tier or from the store under the cache, in one flight for all who ask. "Not
// found" is cached too.
func (s *Store) loadRecord(ctx context.Context, key knowledge.Key, at slot) (*item, error) {
	dep := stripeOf(key)
	return s.fly(ctx, at, []stripe{dep}, func(ctx context.Context, asOf uint64) (*item, error) {
		if it := s.mem.promote(key, at, dep); it != nil {
			s.mem.stats.found(at).warm.Add(1)
			return it, nil
		}
		s.mem.stats.found(at).miss.Add(1)
		began := time.Now()
		rec, err := s.next.Get(ctx, key)
		s.mem.stats.loaded(began, err)
		var it *item
		switch {
		case err == nil:
			it = recordItem(rec, s.mem.noticed(rec, dep, asOf), dep)
		case errors.Is(err, store.ErrNotFound):
			it = absentItem(key, asOf, dep, err)
		default:
			return nil, err
		}
		s.mem.keep(at, it)
		return it, nil
	})
}

// Changes implements [store.Store]; the log is not cached.
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if s.mem.closed.Load() {
		return nil, store.ErrClosed
	}
	return s.next.Changes(ctx, q)
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	if s.mem.closed.Load() {
		return store.ErrClosed
	}
	return s.next.Wait(ctx, after)
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	if s.mem.closed.Load() {
		return store.ErrClosed
	}
	return s.next.Ping(ctx)
}

// Close implements [store.Store]: it closes the store under the cache, waits for loads in flight, and saves the warm
// tier. Run should have ended before.
func (s *Store) Close() error {
	if s.mem.closed.Swap(true) {
		return store.ErrClosed
	}
	err := s.next.Close()
	s.flights.close()
	if s.mem.warm != nil {
		err = errors.Join(err, s.mem.save(s.feed.at()))
		s.mem.warm.close()
	}
	return err
}
