package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// retryEvery is how long the follower waits when the feed can't answer.
	retryEvery = 200 * time.Millisecond
	// catchUp bounds how many changes a warm start follows; with more it begins cold.
	catchUp = 200_000
)

// errParted says that the log is not the one that was followed: a standby that lacks the last commits, a restored backup.
var errParted = errors.New("the log of changes is another one than before")

// A place is how far the feed was followed.
type place struct {
	mu    sync.Mutex // guards what follows
	at    mark
	found bool          // at was compared with the feed
	until knowledge.Seq // the warm tier can be used from here on
	asked moment        // when the feed was last asked
	level moment        // when it was last asked and everything that it said was followed
}

// A moment is when the feed was asked, and as of when it was current itself.
type moment struct {
	at   time.Time
	asOf knowledge.Time
}

// A mark is a change that was followed. Two logs that have it in common have everything before it in common.
type mark struct {
	seq   knowledge.Seq
	chain [32]byte
	known bool // whether chain is known
}

func (p *place) now() (mark, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, p.found
}

// Followed returns how far the feed was followed: an answer of this cache is not older than that change.
func (s *Store) Followed() knowledge.Seq {
	at, _ := s.place.now()
	return at.seq
}

// AsOf returns when everything in memory was last known to be current, the zero time while it never was: an outage of the
// feed shows here.
func (s *Store) AsOf() knowledge.Time {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	return s.place.level.asOf
}

// levelAt returns when the feed was last found to be followed to its end.
func (s *Store) levelAt() time.Time {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	return s.place.level.at
}

// moment returns the present one. It is taken before the feed is asked.
func (s *Store) moment() moment {
	m := moment{at: time.Now()}
	if m.asOf = knowledge.At(m.at); s.o.AsOf != nil {
		m.asOf = s.o.AsOf()
	}
	return m
}

// Run follows the feed, moves what is evicted to the warm tier and keeps the statistics, until ctx ends. It returns the
// context's error.
func (s *Store) Run(ctx context.Context) error {
	if s.hot == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	var wg sync.WaitGroup
	if s.warm != nil {
		wg.Go(func() { s.demoteAll(ctx) })
	}
	wg.Go(func() { s.stats.run(ctx, s.o.Log) })
	var failed time.Time
	for ctx.Err() == nil {
		err := s.follow(ctx)
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			pause(ctx, retryEvery)
			continue
		}
		if gone := errors.Is(err, store.ErrGone); gone || errors.Is(err, errParted) {
			s.o.Log.WarnContext(ctx, "cache begins anew: what was missed can't be told", "error", err.Error())
			s.lost()
			continue
		}
		if !s.levelAt().Before(failed) { // once for each outage
			s.o.Log.WarnContext(ctx, "cache can't follow the changes and serves what it holds until it can", "error", err.Error())
		}
		failed = time.Now()
		pause(ctx, retryEvery)
	}
	wg.Wait()
	return ctx.Err()
}

// follow follows the feed until it fails.
func (s *Store) follow(ctx context.Context) error {
	if err := s.locate(ctx); err != nil {
		return err
	}
	at, _ := s.place.now()
	return store.Follow(ctx, anchored{s}, at.seq, 0, s.followed)
}

// lost forgets where the feed was followed to, and with it everything.
func (s *Store) lost() {
	s.stamps.changeAll()
	s.seen.clear()
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	s.place.at, s.place.found = mark{}, false
}

// locate finds the place in the feed to follow it from, unless it is known: where the saved warm tier was left if the log
// still has that place, else its end. Everything read before the end is known is then asked again.
func (s *Store) locate(ctx context.Context) error {
	at, found := s.place.now()
	if found {
		return nil
	}
	end, err := s.end(ctx)
	if err != nil {
		return err
	}
	if at.known && at.seq <= end.seq && end.seq-at.seq <= catchUp {
		changes, err := s.o.Feed.Changes(ctx, knowledge.ChangeQuery{After: at.seq - 1, Limit: 1})
		if err != nil && !errors.Is(err, store.ErrGone) {
			return err
		}
		if len(changes) > 0 && changes[0].Seq == at.seq && changes[0].Chain == at.chain {
			s.settle(at, end.seq)
			return nil
		}
	}
	if at.known {
		s.o.Log.InfoContext(ctx, "warm cache begins empty: the log does not tell what has changed since it was saved")
	}
	s.stamps.changeAll()
	s.settle(end, end.seq)
	return nil
}

// end returns the last change of the feed.
func (s *Store) end(ctx context.Context) (mark, error) {
	changes, err := s.o.Feed.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil {
		return mark{}, err
	}
	if len(changes) > 0 {
		return mark{changes[0].Seq, changes[0].Chain, true}, nil
	}
	// An empty log may still begin late: a copy that was made without its past.
	_, err = s.o.Feed.Changes(ctx, knowledge.ChangeQuery{Limit: 1})
	if gone, ok := errors.AsType[*store.GoneError](err); ok {
		return mark{seq: gone.Oldest - 1}, nil
	}
	return mark{}, err
}

// settle notes the place to follow from, and from where on the warm tier is as good as the feed.
func (s *Store) settle(at mark, until knowledge.Seq) {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	s.place.at, s.place.found, s.place.until = at, true, until
	s.openAt(at.seq)
}

// openAt lets the warm tier answer once the feed was followed far enough. It needs place.mu.
func (s *Store) openAt(seq knowledge.Seq) {
	if s.warm != nil && seq >= s.place.until {
		s.warm.usable.Store(true)
	}
}

// followed stamps what changes have touched.
func (s *Store) followed(changes []knowledge.Change) error {
	list := make([]stripe, 0, 4*len(changes))
	var last knowledge.BatchID
	for i := range changes {
		c := &changes[i]
		if own, ok := s.own.touched(c.Batch); !ok {
			list = s.touched(list, c.Key, c.Record, len(changes) <= fewOps)
		} else if c.Batch != last || i == 0 {
			list = append(list, own...)
		}
		last = c.Batch
	}
	s.stamps.change(list...)
	for i := range changes {
		s.told(changes[i].Record)
	}
	end := &changes[len(changes)-1]
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	s.place.at = mark{end.Seq, end.Chain, true}
	if len(changes) < knowledge.DefaultChanges { // it had no more to say; under steady writes it is never found silent
		s.place.level = s.place.asked
	}
	s.openAt(end.Seq)
	return nil
}

// anchored is the feed of a cache, read from one change before the place that was followed to: when that change is no longer
// the same, or no longer there, the log is another one.
type anchored struct{ s *Store }

// Changes implements [store.Feed].
func (a anchored) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	asked := a.s.moment()
	changes, err := a.after(ctx, q)
	if err == nil {
		a.s.place.mu.Lock()
		if a.s.place.asked = asked; len(changes) == 0 {
			a.s.place.level = asked
		}
		a.s.place.mu.Unlock()
	}
	return changes, err
}

func (a anchored) after(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	at, _ := a.s.place.now()
	if !at.known {
		return a.s.o.Feed.Changes(ctx, q)
	}
	back := q
	back.After = at.seq - 1
	changes, err := a.s.o.Feed.Changes(ctx, back)
	switch {
	case errors.Is(err, store.ErrGone):
		return a.s.o.Feed.Changes(ctx, q) // the log begins right behind the place: there is nothing to compare
	case err != nil:
		return nil, err
	case len(changes) == 0, changes[0].Seq != at.seq, changes[0].Chain != at.chain:
		return nil, errParted
	}
	return changes[1:], nil
}

// Wait implements [store.Feed].
func (a anchored) Wait(ctx context.Context, after knowledge.Seq) error {
	return a.s.o.Feed.Wait(ctx, after)
}

func (s *Store) demoteAll(ctx context.Context) {
	for {
		select {
		case d := <-s.down:
			s.demote(d)
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
