package guidance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// stale collects the documents that must be read again without a change in the feed: batches that wait in the journal
// are not in the feed yet, and may never be.
type stale struct {
	bell chan struct{}

	marked, done atomic.Uint64 // how often something was marked, and how much of that was read again

	mu      sync.Mutex // guards the fields below
	all     bool
	keys    []knowledge.Key
	batches []knowledge.BatchID
}

// mostStale is the largest number of keys remembered; with more, everything is read again.
const mostStale = 10_000

// Stale marks documents as possibly changed, all of them if none is named. It does not wait.
func (x *Index) Stale(keys ...knowledge.Key) {
	x.stale.add(func(s *stale) {
		s.keys = append(s.keys, keys...)
		s.all = s.all || len(keys) == 0
	})
}

// StaleBatch marks the documents of a batch in the journal as possibly changed. It does not wait.
func (x *Index) StaleBatch(id knowledge.BatchID) {
	x.stale.add(func(s *stale) { s.batches = append(s.batches, id) })
}

func (s *stale) add(fn func(*stale)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s)
	s.marked.Add(1)
	if len(s.keys)+len(s.batches) > mostStale {
		s.all, s.keys, s.batches = true, nil, nil
	}
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// take returns what was marked, and up to which mark that is.
func (s *stale) take() (all bool, keys []knowledge.Key, batches []knowledge.BatchID, upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, keys, batches = s.all, s.keys, s.batches
	s.all, s.keys, s.batches = false, nil, nil
	return all, keys, batches, s.marked.Load()
}

// refresh reads stale documents again, until ctx ends.
func (x *Index) refresh(ctx context.Context) {
	for {
		select {
		case <-x.stale.bell:
		case <-ctx.Done():
			return
		}
		all, keys, batches, upTo := x.stale.take()
		for _, id := range batches {
			written, err := x.o.Waits(ctx, id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				all = true
			}
			keys = append(keys, written...)
		}
		if all || x.reread(ctx, keys) != nil {
			if err := x.Load(ctx); err != nil && ctx.Err() == nil {
				x.o.Log.WarnContext(ctx, "guidance could not read all documents again and answers from its old index",
					"error", err)
			}
		}
		x.stale.done.Store(upTo)
		x.mu.Lock()
		x.step()
		x.mu.Unlock()
	}
}

// reread reads documents again.
func (x *Index) reread(ctx context.Context, keys []knowledge.Key) error {
	for _, key := range keys {
		rec, err := x.o.Store.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		x.mu.Lock()
		if x.base != nil && x.set(ctx, key, rec) { // without a base, everything is about to be read anyway
			x.publish()
		}
		x.mu.Unlock()
	}
	return nil
}
