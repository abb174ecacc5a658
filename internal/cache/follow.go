package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// retryEvery is how long the follower waits after the feed has failed.
	retryEvery = 200 * time.Millisecond
	// catchUp is how many changes a warm start follows at most; beyond it the warm tier starts empty.
	catchUp = 200_000
)

// A place is how far the feed has been followed.
type place struct {
	seq   atomic.Int64 // at's seq, to be read without the lock
	mu    sync.Mutex   // guards the fields below
	at    store.Place
	found bool          // at was found in the feed
	until knowledge.Seq // the warm tier may answer once the feed was followed to here
	asked moment        // when the feed was last asked
	level moment        // when it was last asked and everything it returned was followed
}

// A moment is when the feed was asked, and the time at which the feed was current then.
type moment struct {
	at   time.Time
	asOf knowledge.Time
}

func (p *place) now() (store.Place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, p.found
}

// A follower stamps what the changes of the feed touch, and knows how far the feed has been followed.
type follower struct {
	o     Options
	mem   *memory
	place place
	own   ownBatches
}

// at returns the place that the feed has been followed to.
func (f *follower) at() store.Place {
	at, _ := f.place.now()
	return at
}

// Followed returns the seq up to which the feed has been followed: an answer of this cache is not older than that
// change.
func (s *Store) Followed() knowledge.Seq {
	at, _ := s.feed.place.now()
	return at.Seq
}

// Position returns the mark of the last change that has been followed: answers that begin later include it and all
// before it. False means that no place in the feed is known.
func (s *Store) Position() (knowledge.Mark, bool) {
	at, found := s.feed.place.now()
	if !found || !at.Known && at.Seq > 0 {
		return knowledge.Mark{Seq: at.Seq}, found
	}
	return knowledge.MarkAt(at.Seq, at.Chain), true
}

// AsOf returns when everything in memory was last known to be current, zero if never. During an outage of the feed it
// stands still.
func (s *Store) AsOf() knowledge.Time {
	s.feed.place.mu.Lock()
	defer s.feed.place.mu.Unlock()
	return s.feed.place.level.asOf
}

// moment returns the current moment. It is taken before the feed is asked.
func (f *follower) moment() moment {
	m := moment{at: time.Now()}
	if m.asOf = knowledge.At(m.at); f.o.AsOf != nil {
		m.asOf = f.o.AsOf()
	}
	return m
}

// Run follows the feed, moves evicted entries to the warm tier and keeps the statistics, until ctx ends. It returns the
// context's error.
func (s *Store) Run(ctx context.Context) error {
	if s.mem.hot == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	var wg sync.WaitGroup
	if s.mem.warm != nil {
		wg.Go(func() { s.mem.demoteAll(ctx) })
	}
	wg.Go(func() { s.mem.stats.run(ctx, s.o.Log) })
	w := store.Watch{
		Name: "cache", Feed: s.o.Feed, Begin: s.feed.locateAgain, Changed: s.feed.followed, Asking: s.feed.asking,
		Level: s.feed.levelNow, Retry: retryEvery, Log: s.o.Log,
	}
	if err := w.Run(ctx); errors.Is(err, store.ErrClosed) {
		<-ctx.Done()
	}
	wg.Wait()
	return ctx.Err()
}

// locateAgain finds the place to follow the feed from. After an error, in a new history or beyond a trimmed log, the
// missed changes are unknown, so everything is invalidated.
func (f *follower) locateAgain(ctx context.Context, why error) (store.Place, error) {
	if why != nil {
		f.lost()
	}
	if err := f.locate(ctx); err != nil {
		return store.Place{}, err
	}
	at, _ := f.place.now()
	return at, nil
}

// asking notes that the feed is about to be asked.
func (f *follower) asking() {
	asked := f.moment()
	f.place.mu.Lock()
	defer f.place.mu.Unlock()
	f.place.asked = asked
}

// levelNow notes that the feed had no more changes.
func (f *follower) levelNow() {
	f.place.mu.Lock()
	defer f.place.mu.Unlock()
	f.place.level = f.place.asked
}

// lost forgets the place in the feed, and invalidates everything.
func (f *follower) lost() {
	f.mem.stamps.changeAll()
	f.mem.seen.clear()
	f.place.mu.Lock()
	defer f.place.mu.Unlock()
	f.place.at, f.place.found = store.Place{}, false
	f.place.seq.Store(0)
}

// locate finds the place in the feed to follow it from, unless it is known: the place of the saved warm tier if the log
// still has it, and otherwise the end. Everything read before is then invalid.
func (f *follower) locate(ctx context.Context) error {
	at, found := f.place.now()
	if found {
		return nil
	}
	end, err := store.Newest(ctx, f.o.Feed)
	if err != nil {
		return err
	}
	if at.Known && at.Seq <= end.Seq && end.Seq-at.Seq <= catchUp {
		changes, err := f.o.Feed.Changes(ctx, knowledge.ChangeQuery{After: at.Seq - 1, Limit: 1})
		if err != nil && !errors.Is(err, store.ErrGone) {
			return err
		}
		if len(changes) > 0 && changes[0].Seq == at.Seq && changes[0].Chain == at.Chain {
			f.start(at, end.Seq)
			return nil
		}
	}
	if at.Known {
		f.o.Log.InfoContext(ctx, "warm cache starts empty: the log does not reach back to when it was saved")
	}
	f.mem.stamps.changeAll()
	f.start(end, end.Seq)
	return nil
}

// start notes the place to follow the feed from, and the seq from which the warm tier is current.
func (f *follower) start(at store.Place, until knowledge.Seq) {
	f.place.mu.Lock()
	defer f.place.mu.Unlock()
	f.place.at, f.place.found, f.place.until = at, true, until
	f.place.seq.Store(int64(at.Seq))
	f.openAt(at.Seq)
}

// openAt lets the warm tier answer once the feed has been followed far enough. It needs place.mu.
func (f *follower) openAt(seq knowledge.Seq) {
	if f.mem.warm != nil && seq >= f.place.until {
		f.mem.warm.usable.Store(true)
	}
}

// followed stamps what changes touch.
func (f *follower) followed(changes []knowledge.Change) error {
	list := make([]stripe, 0, 4*len(changes))
	var last knowledge.BatchID
	for i := range changes {
		c := &changes[i]
		if own, ok := f.own.touched(c.Batch); !ok {
			list = f.mem.touched(list, c.Key, c.Record, len(changes) <= fewOps)
		} else if c.Batch != last || i == 0 {
			list = append(list, own...)
		}
		last = c.Batch
	}
	f.mem.stamps.change(list...)
	purged := false
	for i := range changes {
		f.mem.told(changes[i].Record)
		purged = purged || changes[i].Verb == knowledge.VerbPurge
		if e, err := changes[i].Erasure(); e != nil || err != nil { // any entry may name the person
			purged = true
			f.mem.stamps.changeAll()
			f.mem.hot.InvalidateAll()
		}
	}
	if purged && f.mem.warm != nil {
		if err := f.mem.warm.forget(f.o.Dir); err != nil {
			f.o.Log.Warn("the saved warm cache may still hold the text of a purged document or the name of an "+
				"erased person", "error", err.Error())
		}
	}
	end := &changes[len(changes)-1]
	f.place.mu.Lock()
	defer f.place.mu.Unlock()
	f.place.at = store.PlaceOf(end)
	f.place.seq.Store(int64(end.Seq))
	f.openAt(end.Seq)
	return nil
}

func (m *memory) demoteAll(ctx context.Context) {
	for {
		select {
		case d := <-m.down:
			m.demote(d)
		case <-ctx.Done():
			return
		}
	}
}
