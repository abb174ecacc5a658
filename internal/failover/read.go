package failover

import (
	"context"
	"errors"
	"slices"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An answer is what one side said.
type answer[T any] struct {
	v   T
	err error
}

// ask answers a read: from the primary when it is in time, else from the mirror. The primary's attempt has a deadline of its
// own and is not cancelled when the mirror was faster: a cancelled query costs its connection. With whole, the mirror's answer
// is taken early only when it is known to be the primary's too.
func ask[T any](
	ctx context.Context, s *Store, primary func(context.Context, store.Store) (T, error), local func(context.Context) (T, error), whole func(T, error) bool,
) (T, error) {
	var none T
	if s.closed.Load() {
		return none, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	p := s.now()
	if p == nil || !s.asksPrimary() {
		return local(ctx)
	}
	patience := s.o.HedgeDelay
	if !s.hasMirror() {
		patience = s.o.ReadTimeout // nobody else can answer
	}
	hedge := time.NewTimer(patience)
	defer hedge.Stop()
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-hedge.C:
			s.counts.noSlot.Add(1)
			return local(ctx)
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	done, err := s.breaker.Allow()
	if err != nil {
		<-s.slots
		return local(ctx)
	}
	got := make(chan answer[T], 1)
	s.work.Go(func() {
		defer func() { <-s.slots }()
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.ReadTimeout)
		defer cancel()
		began := time.Now()
		v, err := primary(own, p)
		c := classify(nil, err)
		s.noteRead(c, err, time.Since(began))
		done(c.told())
		got <- answer[T]{v, err}
	})
	select {
	case a := <-got:
		return settle(ctx, s, a, local)
	case <-hedge.C:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if v, err := local(ctx); !errors.Is(err, store.ErrUnavailable) && (whole == nil || whole(v, err)) {
		s.counts.hedged.Add(1)
		return v, err
	}
	// No mirror yet, or not all of it: the primary is all there is.
	select {
	case a := <-got:
		return settle(ctx, s, a, local)
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// settle returns the primary's answer, or the mirror's where the primary had none.
func settle[T any](ctx context.Context, s *Store, a answer[T], local func(context.Context) (T, error)) (T, error) {
	switch classify(nil, a.err) {
	case infra, halted, gone, readOnly: // read-only too: the disk was too full even for what a read sorts
		s.counts.fellBack.Add(1)
		v, err := local(ctx)
		if errors.Is(err, store.ErrUnavailable) && errors.Is(a.err, store.ErrUnavailable) {
			return v, a.err // both are away: the primary's reason is the one to act on
		}
		return v, err
	case fine:
	}
	return a.v, a.err
}

// asksPrimary reports whether reads go to the primary in the present mode.
func (s *Store) asksPrimary() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case knowledge.ModeNormal, knowledge.ModeRecovering, knowledge.ModeCold:
		return s.halt.Load() == nil
	case knowledge.ModeDegraded, knowledge.ModeDiverged:
	}
	return false
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if r, waits, err := s.pendingGet(ctx, key); waits {
		return r, err
	}
	r, err := ask(ctx, s,
		func(ctx context.Context, p store.Store) (*knowledge.Record, error) {
			asked, before := time.Now(), s.touched.Load()
			r, err := p.Get(ctx, key)
			switch {
			case err == nil:
				s.recent.saw(r, asked)
			case isNotFound(err):
				s.sawGone(ctx, key, asked, before)
			}
			return r, err
		},
		func(ctx context.Context) (*knowledge.Record, error) { return s.localGet(ctx, key) }, nil)
	// A batch on the key may have been journalled while the primary was asked: the overlay is looked at after the row was
	// read, or a session could lose sight of its own write for an instant.
	if err == nil && r.Source == knowledge.SourcePrimary || isNotFound(err) {
		if r, waits, err := s.pendingGet(ctx, key); waits {
			return r, err
		}
	}
	return r, err
}

// pendingGet reads a document with a waiting batch, which lies over the mirror. Where there is no mirror, or it can't be read, the
// journal has what the batch leaves behind; false where that is not known, or nothing waits.
func (s *Store) pendingGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, bool, error) {
	if !s.isPending(key) {
		return nil, false, nil
	}
	if s.hasMirror() {
		if r, err := s.localGet(ctx, key); !errors.Is(err, store.ErrUnavailable) {
			return r, true, err
		}
	}
	s.mu.Lock()
	id := s.pending[key].batch
	s.mu.Unlock()
	e, out, err := s.journal.Find(ctx, id)
	if err != nil || out.State != knowledge.BatchQueued {
		return nil, false, nil // it was settled just now
	}
	for _, r := range slices.Backward(queuedReceipt(&e).Records) {
		if r != nil && r.Key == key {
			return r, true, nil
		}
	}
	return nil, false, nil
}

// sawGone notes that the primary had no such document when it was asked, so that the mirror does not show one that it still has.
// What the mirror was given since the question may be newer than the answer, and then the answer tells nothing.
func (s *Store) sawGone(ctx context.Context, key knowledge.Key, asked time.Time, before int64) {
	var version int64
	if s.hasMirror() {
		if r, err := s.mirror.Get(ctx, key); err == nil {
			version = r.Version
		}
	}
	if s.touched.Load() == before {
		s.recent.gone(key, asked, version)
	}
}

func (s *Store) isPending(key knowledge.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.pending[key]
	return ok
}

// localGet reads the mirror, never behind what this instance has already shown.
func (s *Store) localGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if !s.hasMirror() {
		return s.seedGet(ctx, key)
	}
	return whole(&s.recent, func() (*knowledge.Record, error) { return s.mirrorGet(ctx, key) })
}

func (s *Store) mirrorGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := s.mirror.Get(ctx, key)
	if err != nil && !isNotFound(err) {
		s.readFailed(ctx, err)
		return nil, err
	}
	if err != nil {
		r = nil
	}
	if r = s.freshest(key, r); r == nil {
		return nil, &store.NotFoundError{Key: key, Source: knowledge.SourceMirror}
	}
	return r, nil
}

// freshest returns the newest that is known of a document of which the mirror has a record, or nil for none; nil for one that
// is gone. What lies over the mirror is newer than all that the primary has shown. Where a batch that waits lies not over the
// mirror, what the primary has shown may be what it did.
func (s *Store) freshest(key knowledge.Key, mirrored *knowledge.Record) *knowledge.Record {
	r := mirrored
	pending, seen := s.over(key)
	if !seen {
		switch newer, gone := s.recent.newer(key, mirrored); {
		case gone:
			return nil
		case newer != nil:
			r = newer.From(knowledge.SourceMirror)
		}
	}
	if r == nil || pending == (knowledge.BatchID{}) {
		return r
	}
	c := *r
	c.Pending = pending
	return &c
}

// over returns the last batch that waits for a document, if any, and whether what it leaves behind lies over the mirror.
func (s *Store) over(key knowledge.Key) (id knowledge.BatchID, seen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[key]
	return p.batch, p.seen
}

func (s *Store) hasMirror() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// seedGet answers from the seed data what they hold; everything else is unavailable, never missing.
func (s *Store) seedGet(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if s.o.Seed != nil {
		if r, err := s.o.Seed.Get(ctx, key); err == nil {
			return r.From(knowledge.SourceSeed), nil
		}
	}
	return nil, s.cold()
}

func (s *Store) cold() error {
	return &store.UnavailableError{
		Reason:     "the primary can't be reached and there is no mirror of it on this machine yet",
		RetryAfter: 5 * time.Second, NotDone: true,
	}
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	local := func(ctx context.Context) (*knowledge.Page, error) { return s.localList(ctx, q) }
	if s.anyPending() {
		if page, err := local(ctx); !errors.Is(err, store.ErrUnavailable) {
			return page, err
		}
	}
	return ask(ctx, s, func(ctx context.Context, p store.Store) (*knowledge.Page, error) {
		asked := time.Now()
		page, err := p.List(ctx, q)
		if err == nil {
			for _, r := range page.Records {
				s.recent.saw(r, asked)
			}
		}
		return page, err
	}, local, nil)
}

// anyPending reports whether lists and searches come from the mirror because batches lie over it.
func (s *Store) anyPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) > 0 && s.ready
}

func (s *Store) localList(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if !s.hasMirror() {
		if s.o.Seed != nil {
			if page, err := s.o.Seed.List(ctx, q); err != nil || len(page.Records) > 0 {
				return seedPage(page), err
			}
		}
		return nil, s.cold()
	}
	return whole(&s.recent, func() (*knowledge.Page, error) { return s.mirrorList(ctx, q) })
}

func (s *Store) mirrorList(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := s.mirror.List(ctx, q)
	if err != nil {
		s.readFailed(ctx, err)
		return nil, err
	}
	out := *page
	out.Records = make([]*knowledge.Record, 0, len(page.Records))
	for _, r := range page.Records {
		if r = s.freshest(r.Key, r); r != nil {
			out.Records = append(out.Records, r)
		}
	}
	return &out, nil
}

// readFailed notes that the mirror could not be read, unless that is the question's own fault.
func (s *Store) readFailed(ctx context.Context, err error) {
	if _, ok := errors.AsType[*store.UnavailableError](err); ok {
		s.mirrorFailed(ctx, err)
	}
}

func seedPage(p *knowledge.Page) *knowledge.Page {
	if p == nil {
		return nil
	}
	out := &knowledge.Page{Next: p.Next, Source: knowledge.SourceSeed, Records: make([]*knowledge.Record, len(p.Records))}
	for i, r := range p.Records {
		out.Records[i] = r.From(knowledge.SourceSeed)
	}
	return out
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	local := func(ctx context.Context) (*knowledge.Hits, error) { return s.localSearch(ctx, q) }
	if s.anyPending() {
		if hits, err := local(ctx); !errors.Is(err, store.ErrUnavailable) {
			return hits, err
		}
	}
	return ask(ctx, s, func(ctx context.Context, p store.Store) (*knowledge.Hits, error) {
		asked := time.Now()
		hits, err := p.Search(ctx, q)
		if err == nil {
			for i := range hits.Hits {
				s.recent.saw(hits.Hits[i].Record, asked)
			}
		}
		return hits, err
	}, local, nil)
}

func (s *Store) localSearch(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if s.hasMirror() {
		return whole(&s.recent, func() (*knowledge.Hits, error) { return s.mirrorSearch(ctx, q) })
	}
	if s.o.Seed == nil {
		return nil, s.cold()
	}
	hits, err := s.o.Seed.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(hits.Hits) == 0 {
		return nil, s.cold()
	}
	out := &knowledge.Hits{Source: knowledge.SourceSeed, Bounded: hits.Bounded, Hits: make([]knowledge.Hit, len(hits.Hits))}
	for i, h := range hits.Hits {
		h.Record = h.Record.From(knowledge.SourceSeed)
		out.Hits[i] = h
	}
	return out, nil
}

func (s *Store) mirrorSearch(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	hits, err := s.mirror.Search(ctx, q)
	if err != nil {
		s.readFailed(ctx, err)
		return nil, err
	}
	out := &knowledge.Hits{Source: knowledge.SourceMirror, Bounded: hits.Bounded, Hits: make([]knowledge.Hit, 0, len(hits.Hits))}
	for _, h := range hits.Hits {
		if h.Record = s.freshest(h.Record.Key, h.Record); h.Record != nil {
			h.Record = h.Record.From(knowledge.SourceMirror)
			out.Hits = append(out.Hits, h)
		}
	}
	return out, nil
}

func (s *Store) open() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return nil
}

// Changes implements [store.Store]: the primary's log, or the part of it that the mirror holds.
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return ask(ctx, s,
		func(ctx context.Context, p store.Store) ([]knowledge.Change, error) { return p.Changes(ctx, q) },
		func(ctx context.Context) ([]knowledge.Change, error) {
			if err := s.open(); err != nil {
				return nil, err
			}
			if !s.hasMirror() {
				return nil, s.cold()
			}
			changes, err := s.mirror.Changes(ctx, q)
			if gone, ok := errors.AsType[*store.GoneError](err); ok {
				return nil, &store.GoneError{Oldest: gone.Oldest, Copy: true} // the primary keeps more
			}
			return changes, err
		},
		func(changes []knowledge.Change, err error) bool { return err == nil && wholeHistory(&q, changes) })
}

// wholeHistory reports whether a mirror, which keeps only a part of the log, has answered as the primary would have.
func wholeHistory(q *knowledge.ChangeQuery, changes []knowledge.Change) bool {
	switch {
	case q.Batch != (knowledge.BatchID{}), q.Key != (knowledge.Key{}) && q.Version > 0:
		return len(changes) > 0
	case q.Key != (knowledge.Key{}):
		return len(changes) > 0 && (changes[0].Version == 1 || changes[len(changes)-1].Version == 1 || q.Newest && len(changes) == q.Limit)
	}
	return true
}

// Wait implements [store.Store]: it rings when the mirror has followed the primary.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	if err := s.open(); err != nil {
		return err
	}
	rung := s.bell.wait()
	if knowledge.Seq(s.applied.Load()) > after {
		return nil
	}
	select {
	case <-rung:
		return s.open()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Mirrored returns the feed of what the mirror has applied. A read of this store that begins after a change was told there
// sees it, whichever side answers: that is what a cache has to follow.
func (s *Store) Mirrored() store.Feed { return mirrored{s} }

// mirrored is the mirror's part of the log as a feed.
type mirrored struct{ s *Store }

// Changes implements [store.Feed].
func (m mirrored) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := m.s.open(); err != nil {
		return nil, err
	}
	if !m.s.hasMirror() {
		return nil, &store.UnavailableError{Reason: "there is no mirror of the primary on this machine yet", RetryAfter: 5 * time.Second}
	}
	return m.s.mirror.Changes(ctx, q)
}

// Wait implements [store.Feed].
func (m mirrored) Wait(ctx context.Context, after knowledge.Seq) error { return m.s.Wait(ctx, after) }
