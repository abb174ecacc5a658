package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A journal of the log's lines that a test reads while they are written.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestChangesFromElsewhereArrive(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	run(t, s)
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	list(t, s, knowledge.Query{Kind: knowledge.KindRule})
	for i := range 20 {
		put(t, src, rule("a"))
		put(t, src, rule(fmt.Sprint("other-", i)))
		end := knowledge.Seq(3 + 2*i)
		await(t, "the change has arrived", func() bool { return s.Followed() >= end })
		if got := get(t, s, key).Version; got != int64(i+2) {
			t.Fatalf("version %d, want %d", got, i+2)
		}
		if n := len(list(t, s, knowledge.Query{Kind: knowledge.KindRule}).Records); n != i+2 {
			t.Fatalf("%d documents are listed, want %d", n, i+2)
		}
	}
}

func TestAnEditCostsNoList(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	run(t, s)
	key := put(t, s, rule("a")).Key
	put(t, s, rule("b"))
	await(t, "the feed is level", func() bool { return s.Followed() == 2 })
	q := knowledge.Query{Kind: knowledge.KindRule}
	list(t, s, q)
	receipt, err := s.Apply(t.Context(), storetest.Batch(knowledge.Op{
		Verb: knowledge.VerbPatch, Key: key,
		Patch: []byte(`{"description":"new"}`),
	}))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the feed has brought it", func() bool { return s.Followed() >= receipt.Seq })
	before := src.asked.Load()
	page := list(t, s, q)
	if page.Records[0].Version+page.Records[1].Version != 3 {
		t.Errorf("versions %d and %d", page.Records[0].Version, page.Records[1].Version)
	}
	if n := src.asked.Load() - before; n != 1 {
		t.Errorf("the source was asked %d times, want once, for the document", n)
	}
	if again := list(t, s, q); again.Source != knowledge.SourceHot || again != list(t, s, q) {
		t.Error("the page is made anew each time")
	}
}

func TestTheFeedsOutageIsToldOnceAndEndsByItself(t *testing.T) {
	src, log := newSource(), &lines{}
	s := openTest(t, src, Options{Log: log.logger()})
	run(t, s)
	key := put(t, s, rule("a")).Key
	await(t, "the feed is level", func() bool { return s.Followed() == 1 })
	for range 2 {
		told := log.count("can't be followed")
		src.setAway(&store.UnavailableError{Reason: "out for lunch"})
		src.ring()
		await(t, "the outage is told", func() bool { return log.count("can't be followed") == told+1 })
		asOf := s.AsOf()
		src.setAway(nil)
		put(t, src, rule("a"))
		end := knowledge.Seq(len(src.log))
		await(t, "the feed is level again", func() bool { return s.Followed() == end && s.AsOf().After(asOf.Time) })
	}
	if got := get(t, s, key).Version; got != 3 {
		t.Errorf("version %d, want 3", got)
	}
}

func TestAFeedThatCantBeAskedAtTheStartIsAskedLater(t *testing.T) {
	src := newSource()
	feed := newSource()
	feed.setAway(&store.UnavailableError{Reason: "not yet"})
	s := openTest(t, src, Options{Feed: both{src, feed}})
	key := put(t, src, rule("a")).Key
	get(t, s, key)
	put(t, src, rule("a"))
	run(t, s)
	if got := get(t, s, key).Version; got != 1 {
		t.Fatalf("version %d, want the one that is held", got)
	}
	feed.setAway(nil)
	await(t, "the feed is found", func() bool { return s.Followed() == 2 })
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("version %d, want 2: nobody followed while it was written", got)
	}
}

// both is the feed of one source that is away when the other is.
type both struct {
	*source
	gate *source
}

func (b both) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := b.gate.Ping(ctx); err != nil {
		return nil, err
	}
	return b.source.Changes(ctx, q)
}

// another returns a source with as many changes as the one before, and the same documents but for their texts.
func another(t *testing.T, n int) *source {
	src := newSource()
	for range n {
		put(t, src, rule("a", func(r *knowledge.Rule) { r.Description = "of another history" }))
	}
	return src
}

// become puts another history in the place of a source's own.
func (s *source) become(o *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs, s.past, s.log, s.begin = o.docs, o.past, o.log, o.begin
	close(s.bell)
	s.bell = make(chan struct{})
}

// ring wakes who waits.
func (s *source) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.bell)
	s.bell = make(chan struct{})
}

func TestAnotherHistoryIsNoticed(t *testing.T) {
	for name, length := range map[string]int{"as long": 3, "shorter": 2, "longer": 5, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			src, log := newSource(), &lines{}
			s := openTest(t, src, Options{Log: log.logger()})
			run(t, s)
			var key knowledge.Key
			for range 3 {
				key = put(t, s, rule("a")).Key
			}
			await(t, "the feed is level", func() bool { return s.Followed() == 3 })
			get(t, s, key)
			src.become(another(t, length))
			await(t, "the other history is noticed",
				func() bool { return log.count("starts again") > 0 && s.Followed() == knowledge.Seq(length) })
			rec, err := s.Get(t.Context(), key)
			switch {
			case length == 0 && !errors.Is(err, store.ErrNotFound):
				t.Errorf("Get of what the other history does not hold: %v, %v", rec, err)
			case length > 0 && (err != nil || !strings.Contains(string(rec.JSON), "of another history")):
				t.Errorf("Get: %v, %v", rec, err)
			}
		})
	}
}

func TestALogThatWasCutIsFollowedFromWhereItBegins(t *testing.T) {
	src, log := newSource(), &lines{}
	s := openTest(t, src, Options{Log: log.logger()})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	for range 5 {
		put(t, src, rule("a"))
	}
	src.cut(4) // before the cache has followed
	run(t, s)
	await(t, "the end is found", func() bool { return s.Followed() == 6 })
	if got := get(t, s, key).Version; got != 6 {
		t.Errorf("version %d, want 6", got)
	}
	if n := log.count("starts again"); n != 1 {
		t.Errorf("it was told %d times that everything is asked again, want once", n)
	}
	// Now the change that the cache stands at is gone too, and there is nothing to compare.
	src.cut(6)
	put(t, src, rule("a"))
	await(t, "the change has arrived", func() bool { return s.Followed() == 7 })
	if n := log.count("starts again"); n != 1 {
		t.Errorf("it was told %d times that everything is asked again, want once", n)
	}
}

// cut removes the log up to a change.
func (s *source) cut(seq knowledge.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.begin = s.log[seq-s.begin:], seq
	close(s.bell)
	s.bell = make(chan struct{})
}

func TestAnEmptyLogThatBeginsLateIsFollowed(t *testing.T) {
	src := newSource()
	key := put(t, src, rule("a")).Key
	src.cut(1)
	s := openTest(t, src, Options{})
	run(t, s)
	get(t, s, key)
	put(t, src, rule("a"))
	await(t, "the change has arrived", func() bool { return s.Followed() == 2 })
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("version %d, want 2", got)
	}
}

// What is in memory is never claimed to be fresher than the feed was when it was last followed to its end, also while
// there is always something to follow.
func TestMemoryIsAsOldAsTheFeedWasWhenItWasFollowed(t *testing.T) {
	src, log := newSource(), &lines{}
	var now atomic.Int64 // of the feed, in seconds
	at := func(n int64) knowledge.Time { return knowledge.At(time.Unix(n, 0)) }
	now.Store(100)
	s := openTest(t, src, Options{Log: log.logger(), AsOf: func() knowledge.Time { return at(now.Load()) }})
	put(t, src, rule("a"))
	run(t, s)
	await(t, "the feed was followed", func() bool { return s.AsOf() == at(100) })
	now.Store(50) // a mirror that was replaced by an older one
	put(t, src, rule("b"))
	await(t, "a change was followed", func() bool { return s.Followed() == 2 })
	await(t, "its time is told", func() bool { return s.AsOf() == at(50) })
	src.setAway(&store.UnavailableError{Reason: "away"})
	now.Store(200)
	src.ring()
	await(t, "the outage is told", func() bool { return log.count("can't be followed") == 1 })
	if got := s.AsOf(); got != at(50) {
		t.Errorf("while the feed can't be asked memory claims to be as of %s, want %s", got, at(50))
	}
}

func TestTheCacheBeginsAnewInANewHistory(t *testing.T) {
	storetest.RunFollower(t, func() store.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}, func(s store.Store) storetest.Follower {
		c, err := Open(t.Context(), s, Options{Hot: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return storetest.Follower{Run: c.Run, Name: func(id string) string {
			r, err := c.Get(t.Context(), knowledge.Key{Kind: knowledge.KindPrincipal, ID: id})
			if err != nil {
				return ""
			}
			d, err := r.Document()
			if err != nil {
				t.Error(err)
				return ""
			}
			return d.(*knowledge.Principal).Name
		}}
	})
}
