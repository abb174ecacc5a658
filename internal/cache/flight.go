package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenet/internal/store"
)

// flightTime is the deadline of a shared load, which does not have its callers' deadlines.
const flightTime = 15 * time.Second

// A flight is one load that any number of callers wait for.
type flight struct {
	asOf   uint64
	cancel context.CancelFunc
	done   chan struct{}
	item   *item // set before done is closed
	err    error
}

// flights holds the loads under way.
type flights struct {
	work sync.WaitGroup

	mu     sync.Mutex           // guards the fields below
	open   map[slot]*flight     // loads that callers may join
	all    map[*flight]struct{} // also loads that a change has outdated
	closed bool
}

// close cancels the loads in flight and waits for them. No load starts later.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	for one := range f.all {
		one.cancel()
	}
	f.mu.Unlock()
	f.work.Wait()
}

// fly returns the result of load for a slot. A caller joins a load in flight if nothing that it depends on has changed
// since it started; otherwise a new one starts.
func (s *Store) fly(
	ctx context.Context, at slot, deps []stripe, load func(ctx context.Context, asOf uint64) (*item, error),
) (*item, error) {
	f, err := s.board(ctx, at, deps, load)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded):
		return f.item, f.err
	case s.mem.closed.Load():
		return nil, store.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	// The shared load hit its own deadline; this caller's has not passed.
	return load(ctx, s.mem.stamps.now())
}

// board returns the flight that a caller waits for.
func (s *Store) board(
	ctx context.Context, at slot, deps []stripe, load func(ctx context.Context, asOf uint64) (*item, error),
) (*flight, error) {
	fs := &s.flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return nil, store.ErrClosed
	}
	if f := fs.open[at]; f != nil && s.mem.stamps.valid(f.asOf, deps...) {
		return f, nil
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	f := &flight{asOf: s.mem.stamps.now(), cancel: cancel, done: make(chan struct{})}
	fs.open[at], fs.all[f] = f, struct{}{}
	fs.work.Go(func() {
		defer cancel()
		f.item, f.err = load(own, f.asOf)
		fs.mu.Lock()
		if fs.open[at] == f {
			delete(fs.open, at)
		}
		delete(fs.all, f)
		fs.mu.Unlock()
		close(f.done)
	})
	return f, nil
}
