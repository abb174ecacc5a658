// Package cache answers from memory what was asked before: ready-to-send records, pages and search results in a hot tier,
// compressed records in a warm one that outlives the process.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options of a [Store].
type Options struct {
	// Hot and Warm are budgets in bytes; 0 turns the tier off.
	Hot, Warm int64
	// Dir keeps the warm tier across restarts; "" keeps it in memory only.
	Dir string
	// Feed tells what has changed. It must not tell of a change before a read of the store under the cache can see it.
	Feed store.Feed
	Log  *slog.Logger
}

// A Store answers from memory, and asks the store under it once for what it does not hold.
type Store struct {
	next    store.Store
	o       Options
	stamps  stamps
	hot     *otter.Cache[slot, *item]
	warm    *warm
	flights flights
	loads   sync.WaitGroup
	down    chan *item // on the way from hot to warm
	seq     atomic.Int64
	own     ownBatches
	stats   statistics
	closed  atomic.Bool
}

var _ store.Store = (*Store)(nil)

// A slot names what an item answers: a document, a list or a search.
type slot struct {
	what byte // 'r', 'l' or 's'
	kind knowledge.Kind
	id   string
}

// An item is an answer in memory.
type item struct {
	asOf   uint64
	deps   []stripe // what membership and order depend on, for a list or a search; nil for a record, whose key tells
	rec    *knowledge.Record
	loaded knowledge.Source // where the record came from
	absent error            // what the source said instead of a record
	page   *knowledge.Page
	pageAt uint64 // when the bodies of the page were last known to hold
	hits   *knowledge.Hits
	weight uint32
}

// overhead is about what an item costs beside its bytes: the otter's node, the structs, the strings.
const overhead = 420

// Open returns a cache over next. What the warm tier holds of an earlier process is used as far as the feed can tell what
// has changed since.
func Open(ctx context.Context, next store.Store, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Feed == nil {
		o.Feed = next
	}
	s := &Store{next: next, o: o, flights: flights{open: map[slot]*flight{}}, down: make(chan *item, demotions)}
	s.stamps.clock.Store(1)
	s.own.init()
	tail, err := store.Tail(ctx, o.Feed)
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		return nil, fmt.Errorf("read the end of the log: %w", err)
	}
	s.seq.Store(int64(tail))
	if o.Warm > 0 {
		if err := s.openWarm(ctx, tail); err != nil {
			return nil, err
		}
	}
	if o.Hot > 0 {
		s.hot, err = otter.New(&otter.Options[slot, *item]{
			MaximumWeight:    uint64(o.Hot),
			Weigher:          func(_ slot, it *item) uint32 { return it.weight },
			OnAtomicDeletion: s.deleted,
		})
		if err != nil {
			return nil, fmt.Errorf("open the hot tier: %w", err)
		}
	}
	return s, nil
}

// catchUp bounds how many changes a warm start follows; with more it begins cold.
const catchUp = 200_000

// openWarm opens the warm tier and, where it was saved, catches up with what has changed since.
func (s *Store) openWarm(ctx context.Context, tail knowledge.Seq) error {
	seq, saved := s.restore()
	dir := ""
	if saved && tail >= seq && tail-seq <= catchUp {
		dir = s.o.Dir
	}
	var err error
	if s.warm, err = openWarm(dir, s.o.Warm); err != nil || dir == "" {
		return err
	}
	for seq < tail {
		changes, err := s.o.Feed.Changes(ctx, knowledge.ChangeQuery{After: seq, Limit: knowledge.MaxChanges})
		if err != nil || len(changes) == 0 {
			s.warm.cache.Reset()
			s.o.Log.Warn("warm cache begins empty: the log does not tell what has changed since it was saved")
			return nil //nolint:nilerr // a cold start is no failure
		}
		for i := range changes {
			s.stamps.change(s.stamps.ofKey(changes[i].Key))
		}
		seq = changes[len(changes)-1].Seq
	}
	return nil
}

// deleted sends what the hot tier has no room for on the way to the warm tier. It must be quick: it runs under otter's lock.
func (s *Store) deleted(e otter.DeletionEvent[slot, *item]) {
	if e.Cause != otter.CauseOverflow {
		return
	}
	s.stats.evicted.Add(1)
	if s.warm == nil || e.Value.rec == nil || !s.stamps.valid(e.Value.asOf, s.stamps.ofKey(e.Value.rec.Key)) {
		return
	}
	select {
	case s.down <- e.Value:
	default:
		s.stats.dropped.Add(1)
	}
}

// demote compresses an item into the warm tier, unless the warm tier has that very load already.
func (s *Store) demote(it *item) {
	if asOf, ok := s.warm.asOf(it.rec.Key); ok && asOf == it.asOf {
		return
	}
	if !s.stamps.valid(it.asOf, s.stamps.ofKey(it.rec.Key)) {
		return
	}
	if s.warm.put(it.rec, it.asOf) {
		s.stats.demoted.Add(1)
	} else {
		s.stats.tooLarge.Add(1)
	}
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := slot{'r', key.Kind, key.ID}
	dep := s.stamps.ofKey(key)
	if s.hot == nil || store.Fresh(ctx) {
		return s.next.Get(ctx, key)
	}
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, dep) {
		s.stats.records.hot.Add(1)
		return it.rec, it.absent
	}
	it, err := s.fly(ctx, at, []stripe{dep}, func(ctx context.Context, asOf uint64) (*item, error) {
		return s.load(ctx, key, at, dep, asOf)
	})
	if err != nil {
		return nil, err
	}
	if it.rec != nil {
		return it.rec.From(it.loaded), nil // the first who asked hear where it came from
	}
	return nil, it.absent
}

// load brings a record in from the warm tier or from the store under the cache. That there is none is an answer too.
func (s *Store) load(ctx context.Context, key knowledge.Key, at slot, dep stripe, asOf uint64) (*item, error) {
	if s.warm != nil {
		if rec, was := s.warm.get(key); rec != nil && s.stamps.valid(was, dep) {
			s.stats.records.warm.Add(1)
			s.stats.promoted.Add(1)
			it := recordItem(rec, was)
			s.hot.Set(at, it)
			return it, nil
		}
	}
	s.stats.records.miss.Add(1)
	began := time.Now()
	rec, err := s.next.Get(ctx, key)
	s.stats.loaded(began)
	var it *item
	switch {
	case err == nil:
		it = recordItem(rec, asOf)
	case errors.Is(err, store.ErrNotFound):
		it = &item{asOf: asOf, absent: err, weight: overhead + uint32(len(key.ID))}
	default:
		return nil, err
	}
	s.hot.Set(at, it)
	return it, nil
}

func recordItem(rec *knowledge.Record, asOf uint64) *item {
	return &item{
		asOf: asOf, rec: rec.From(knowledge.SourceHot), loaded: rec.Source,
		weight: uint32(len(rec.Key.ID)+cap(rec.JSON)+len(rec.Category)) + overhead,
	}
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.next.Ping(ctx)
}

// Close implements [store.Store]: it saves the warm tier and closes the store under the cache.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return store.ErrClosed
	}
	s.loads.Wait()
	err := s.save(knowledge.Seq(s.seq.Load()))
	if s.hot != nil {
		s.hot.StopAllGoroutines()
	}
	return errors.Join(err, s.next.Close())
}
