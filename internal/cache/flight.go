package cache

import (
	"context"
	"sync"
	"time"
)

// flightTime is how long one shared load may take: it no longer has its callers' deadlines.
const flightTime = 15 * time.Second

// A flight is one load that any number of callers wait for.
type flight struct {
	asOf uint64
	done chan struct{}
	item *item // set before done is closed
	err  error
}

// flights holds the loads under way, by what they load.
type flights struct {
	mu   sync.Mutex // guards what follows
	open map[slot]*flight
}

// fly returns what load gives for a slot. A load under way is joined when nothing that it depends on has changed since it
// asked its source; otherwise a new one starts.
func (s *Store) fly(ctx context.Context, at slot, deps []stripe, load func(ctx context.Context, asOf uint64) (*item, error)) (*item, error) {
	s.flights.mu.Lock()
	f := s.flights.open[at]
	if f == nil || !s.stamps.valid(f.asOf, deps...) {
		f = &flight{asOf: s.stamps.now(), done: make(chan struct{})}
		s.flights.open[at] = f
		s.loads.Go(func() {
			own, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
			defer cancel()
			f.item, f.err = load(own, f.asOf)
			s.flights.mu.Lock()
			if s.flights.open[at] == f {
				delete(s.flights.open, at)
			}
			s.flights.mu.Unlock()
			close(f.done)
		})
	}
	s.flights.mu.Unlock()
	select {
	case <-f.done:
		return f.item, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
