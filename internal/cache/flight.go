package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenet/internal/store"
)

// flightTime is how long one shared load may take: it no longer has its callers' deadlines.
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

	mu     sync.Mutex           // guards what follows
	open   map[slot]*flight     // those that may be joined
	all    map[*flight]struct{} // also those that a change has overtaken
	closed bool
}

// close ends the loads under way and waits for them. None begins later.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	for one := range f.all {
		one.cancel()
	}
	f.mu.Unlock()
	f.work.Wait()
}

// fly returns what load gives for a slot. A load under way is joined when nothing that it depends on has changed since it
// asked its source; otherwise a new one starts.
func (s *Store) fly(ctx context.Context, at slot, deps []stripe, load func(ctx context.Context, asOf uint64) (*item, error)) (*item, error) {
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
	case s.closed.Load():
		return nil, store.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	// The shared load ran into its own deadline, which is none of this caller's.
	return load(ctx, s.stamps.now())
}

// board returns the flight to wait for.
func (s *Store) board(ctx context.Context, at slot, deps []stripe, load func(ctx context.Context, asOf uint64) (*item, error)) (*flight, error) {
	fs := &s.flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return nil, store.ErrClosed
	}
	if f := fs.open[at]; f != nil && s.stamps.valid(f.asOf, deps...) {
		return f, nil
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	f := &flight{asOf: s.stamps.now(), cancel: cancel, done: make(chan struct{})}
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
