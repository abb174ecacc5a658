package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Apply implements [store.Store]: what a batch touches is invalid before its writer hears that it is done. Where the
// outcome is unknown it is invalid too.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if s.closed.Load() {
		return knowledge.Receipt{}, store.ErrClosed
	}
	rec, err := s.next.Apply(ctx, b)
	switch {
	case err == nil:
		for i := range b.Ops {
			var after *knowledge.Record
			if i < len(rec.Records) {
				after = rec.Records[i]
			}
			s.changed(b.Ops[i].Key, after)
		}
		if !rec.Queued {
			s.own.add(b.ID)
		}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrReused):
		// Nothing was done; but the writer and this cache may have been behind.
		s.Invalidate(keysOf(&b)...)
	default:
		if _, invalid := errors.AsType[*knowledge.InvalidError](err); !invalid {
			s.Invalidate(keysOf(&b)...)
		}
	}
	return rec, err
}

func keysOf(b *knowledge.Batch) []knowledge.Key {
	keys := make([]knowledge.Key, len(b.Ops))
	for i := range b.Ops {
		keys[i] = b.Ops[i].Key
	}
	return keys
}

// Invalidate makes everything about some documents be asked again.
func (s *Store) Invalidate(keys ...knowledge.Key) {
	for _, key := range keys {
		s.changed(key, nil)
	}
}

// InvalidateAll makes everything be asked again.
func (s *Store) InvalidateAll() { s.stamps.changeAll() }

// changed stamps what a change of a document touches: the document, the lists ordered by change, the searches, and, where
// it may have moved on or off a list or within one, the lists of its kind.
func (s *Store) changed(key knowledge.Key, after *knowledge.Record) {
	kind := key.Kind
	list := []stripe{s.stamps.ofKey(key), s.stamps.ofScope(scopeUpdated, kind, ""), s.stamps.ofScope(scopeText, kind, "")}
	before := s.held(key)
	if before == nil || after == nil || !sameShape(before, after) {
		list = append(list, s.stamps.ofScope(scopeAll, kind, ""))
		if after != nil {
			list = append(list, s.stamps.ofScope(scopeCategory, kind, after.Category))
		}
		if before != nil {
			list = append(list, s.stamps.ofScope(scopeCategory, kind, before.Category))
		}
		if before == nil || after == nil {
			list = append(list, s.stamps.ofScope(scopeMoved, kind, ""))
		}
	}
	s.stamps.change(list...)
}

// held returns the valid record in the hot tier, nil when there is none.
func (s *Store) held(key knowledge.Key) *knowledge.Record {
	if s.hot == nil {
		return nil
	}
	e, ok := s.hot.GetEntryQuietly(slot{'r', key.Kind, key.ID})
	if !ok || !s.stamps.valid(e.Value.asOf, s.stamps.ofKey(key)) {
		return nil
	}
	return e.Value.rec
}

// sameShape reports whether two states of a document stand in the same places of the same lists, but for those ordered by
// change.
func sameShape(a, b *knowledge.Record) bool {
	if a.Category != b.Category || a.Active != b.Active || a.Rank != b.Rank || b.Version != a.Version+1 {
		return false
	}
	x, err := a.Document()
	if err != nil {
		return false
	}
	y, err := b.Document()
	if err != nil {
		return false
	}
	if x.Text().Title != y.Text().Title {
		return false
	}
	switch x := x.(type) {
	case *knowledge.Rule:
		y, ok := y.(*knowledge.Rule)
		return ok && x.Severity == y.Severity && x.Enforcement == y.Enforcement && x.Status == y.Status && sameCommon(&x.Common, &y.Common)
	case *knowledge.Practice:
		y, ok := y.(*knowledge.Practice)
		return ok && sameCommon(&x.Common, &y.Common)
	case *knowledge.Template:
		y, ok := y.(*knowledge.Template)
		return ok && sameCommon(&x.Common, &y.Common)
	case *knowledge.Violation:
		y, ok := y.(*knowledge.Violation)
		return ok && x.Severity == y.Severity && x.Status == y.Status && x.RuleID == y.RuleID && x.Repository == y.Repository
	case *knowledge.Category, *knowledge.Principal:
		return true
	}
	return false
}

func sameCommon(a, b *knowledge.Common) bool {
	return slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Scope.Languages, b.Scope.Languages)
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

// retryEvery is how long the follower waits when the feed can't answer.
const retryEvery = 200 * time.Millisecond

// Run follows the feed, moves what is evicted to the warm tier and keeps the statistics, until ctx ends. It returns the
// context's error.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	if s.warm != nil {
		wg.Go(func() { s.demoteAll(ctx) })
	}
	wg.Go(func() { s.stats.run(ctx) })
	for ctx.Err() == nil {
		err := store.Follow(ctx, s.o.Feed, knowledge.Seq(s.seq.Load()), 0, s.followed)
		if gone, ok := errors.AsType[*store.GoneError](err); ok {
			// What was missed can't be told: everything is asked again.
			s.stamps.changeAll()
			s.seq.Store(int64(gone.Oldest - 1))
		}
		pause(ctx, retryEvery)
	}
	wg.Wait()
	return ctx.Err()
}

func (s *Store) followed(changes []knowledge.Change) error {
	for i := range changes {
		c := &changes[i]
		if !s.own.has(c.Batch) {
			s.changed(c.Key, c.Record)
		}
	}
	s.seq.Store(int64(changes[len(changes)-1].Seq))
	return nil
}

func (s *Store) demoteAll(ctx context.Context) {
	for {
		select {
		case it := <-s.down:
			s.demote(it)
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// ownKept is how many of this instance's own batches are remembered until the feed has brought them.
const ownKept = 4096

// ownBatches remembers the batches whose changes were stamped when they were acknowledged: when the feed brings them they
// are no news.
type ownBatches struct {
	mu   sync.Mutex // guards what follows
	ids  map[knowledge.BatchID]struct{}
	ring [ownKept]knowledge.BatchID
	next int
}

func (o *ownBatches) init() { o.ids = make(map[knowledge.BatchID]struct{}, ownKept) }

func (o *ownBatches) add(id knowledge.BatchID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.ids, o.ring[o.next])
	o.ring[o.next] = id
	o.ids[id] = struct{}{}
	o.next = (o.next + 1) % ownKept
}

func (o *ownBatches) has(id knowledge.BatchID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.ids[id]
	return ok && id != (knowledge.BatchID{})
}
