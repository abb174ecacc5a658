package cache

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A memory holds a [Store]'s two tiers, and the stamps and versions that tell which entries are still valid. It asks no
// other store.
type memory struct {
	o      Options
	stamps stamps
	seen   seen
	hot    *otter.Cache[slot, *item] // nil when the cache is off
	warm   *warm                     // nil if the tier is off
	down   chan descent
	stats  statistics
	closed atomic.Bool
}

// open opens the tiers. It returns the place in the feed at which the warm tier was saved.
func (m *memory) open(o Options) (at store.Place, err error) {
	m.o, m.down = o, make(chan descent, demotions)
	m.stamps.clock.Store(1)
	m.stats.begin()
	if o.Hot <= 0 {
		return at, nil
	}
	m.hot, err = otter.New(&otter.Options[slot, *item]{
		MaximumWeight:    uint64(o.Hot),
		Weigher:          func(_ slot, it *item) uint32 { return it.weight },
		OnAtomicDeletion: m.deleted,
	})
	if err != nil {
		return at, fmt.Errorf("open the hot tier: %w", err)
	}
	return m.openWarm()
}

// openWarm opens the warm tier with its saved entries, and returns the place in the feed at which they were saved.
func (m *memory) openWarm() (at store.Place, err error) {
	switch {
	case m.o.Warm <= 0:
		return at, nil
	case m.o.Warm < MinWarm:
		m.o.Log.Warn("warm tier is off: its budget is too small", "budget", m.o.Warm, "least", int64(MinWarm))
		return at, nil
	}
	dir, written, saved := "", uint64(0), false
	if m.o.Dir != "" {
		if at, written, saved = m.restore(); saved {
			dir = m.o.Dir
		}
	}
	if m.warm, err = openWarm(dir, m.o.Warm); err != nil {
		return at, err
	}
	m.warm.written.Store(written)
	m.warm.usable.Store(!saved)
	if m.o.Dir != "" {
		return at, discard(m.o.Dir)
	}
	return at, nil
}

// promote moves a record back from the warm tier, nil if that has no valid one.
func (m *memory) promote(key knowledge.Key, at slot, dep stripe) *item {
	if m.warm == nil {
		return nil
	}
	rec, was := m.warm.get(key)
	if rec == nil || !m.stamps.holds(was, dep) {
		return nil
	}
	m.stats.promoted.Add(1)
	m.seen.raise(dep, rec.Version)
	it := recordItem(rec, was, dep)
	m.keep(at, it)
	return it
}

// keep puts an item into the hot tier, unless the tier has a later load or a newer version: two loads of one document
// may end in the wrong order, and no reader may go back in time.
func (m *memory) keep(at slot, it *item) {
	if it.passing {
		return
	}
	if int64(it.weight) > m.o.Hot/largest {
		m.stats.unfit.Add(1)
		return
	}
	if it.rec != nil {
		at.id = it.rec.Key.ID // the caller's string may be part of a long one
	} else {
		at.id = strings.Clone(at.id)
	}
	m.hot.Compute(at, func(old *item, found bool) (*item, otter.ComputeOp) {
		if found && m.outdoes(old, it) {
			return nil, otter.CancelOp
		}
		return it, otter.WriteOp
	})
}

// keepReady keeps a ready answer if it is small enough: it must be asked for more often than all the records together
// that it displaces.
func (m *memory) keepReady(at slot, it *item) {
	if int64(it.weight) <= m.o.Hot/largestReady {
		at.ready = true
		m.keep(at, it)
	}
}

// outdoes reports whether an item in memory is better than one that was just loaded.
func (m *memory) outdoes(old, it *item) bool {
	if it.rec == nil || old.rec == nil {
		return old.asOf > it.asOf
	}
	return old.rec.Version >= it.rec.Version && m.stamps.holds(old.asOf, old.dep)
}

// peek returns the valid item of a document in the hot tier, else nil. It does not count as a use.
func (m *memory) peek(key knowledge.Key, dep stripe) *item {
	if m.hot == nil {
		return nil
	}
	e, ok := m.hot.GetEntryQuietly(slotOf(key))
	if !ok || !m.stamps.holds(e.Value.asOf, dep) {
		return nil
	}
	return e.Value
}

// held returns the valid record of a document in memory, nil for none.
func (m *memory) held(key knowledge.Key) *knowledge.Record {
	dep := stripeOf(key)
	if it := m.peek(key, dep); it != nil {
		return it.rec
	}
	if m.warm == nil {
		return nil
	}
	if rec, asOf := m.warm.get(key); rec != nil && m.stamps.holds(asOf, dep) {
		return rec
	}
	return nil
}
