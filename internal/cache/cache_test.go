package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A gate stops one kind of answer of a source on its way.
type gate struct {
	what    string
	reached chan struct{}
	release chan struct{}
	shut    atomic.Bool
}

// stop makes the next answer to what wait at a gate.
func stop(src *source, what string) *gate {
	g := &gate{what: what, reached: make(chan struct{}), release: make(chan struct{})}
	src.pause = func(what string) {
		if what == g.what && g.shut.CompareAndSwap(false, true) {
			close(g.reached)
			<-g.release
		}
	}
	return g
}

func TestWhatWasAskedOnceIsNotAskedAgain(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	want := put(t, s, rule("a"))
	first, again := get(t, s, want.Key), get(t, s, want.Key)
	if first.Source != knowledge.SourcePrimary || again.Source != knowledge.SourceHot {
		t.Errorf("sources are %q and %q, want primary and hot", first.Source, again.Source)
	}
	if string(again.JSON) != string(want.JSON) || again.Version != want.Version {
		t.Errorf("got %s at version %d, want %s at version %d", again.JSON, again.Version, want.JSON, want.Version)
	}
	if n := src.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
}

func TestThatThereIsNoneIsRememberedUntilThereIsOne(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "a"}
	for i := range 3 {
		want := knowledge.SourceHot
		if i == 0 {
			want = ""
		}
		_, err := s.Get(t.Context(), key)
		if none, ok := errors.AsType[*store.NotFoundError](err); !ok || none.Source != want || none.Key != key {
			t.Fatalf("Get of nothing: %+v, want a NotFoundError from %q", err, want)
		}
	}
	if n := src.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
	put(t, s, rule("a"))
	get(t, s, key)
	write(t, s, knowledge.Op{Verb: knowledge.VerbPurge, Key: key})
	if rec, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after a purge: %v, %v", rec, err)
	}
}

func TestManyWhoAskAtOnceAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		s := openTest(t, src, Options{})
		key := put(t, s, rule("a")).Key
		g := stop(src, "get")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get(t, s, key) })
		}
		synctest.Wait() // all wait for one answer
		close(g.release)
		wg.Wait()
		if n := src.asked.Load(); n != 1 {
			t.Errorf("the source was asked %d times, want once", n)
		}
	})
}

func TestALoadThatAChangeOvertakesIsNeitherJoinedNorKept(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, s, rule("a")).Key
	g := stop(src, "get")
	early := make(chan *knowledge.Record, 1)
	go func() { early <- get(t, s, key) }()
	<-g.reached // the first version was read and is on its way
	put(t, s, rule("a"))
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("a reader who came after the write got version %d, want 2", got)
	}
	close(g.release)
	if got := (<-early).Version; got != 1 {
		t.Errorf("the reader who came before the write got version %d, want 1", got)
	}
	if got := get(t, s, key); got.Version != 2 || got.Source != knowledge.SourceHot {
		t.Errorf("later: version %d from %s, want 2 from hot", got.Version, got.Source)
	}
}

func TestALoadOnItsWayIsNotJoinedByWhoHasSeenWhatIsNewer(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, src, rule("a")).Key
	g := stop(src, "get")
	early := make(chan *knowledge.Record, 1)
	go func() { early <- get(t, s, key) }()
	<-g.reached
	put(t, src, rule("a")) // elsewhere: no feed has told of it
	if got := list(t, s, knowledge.Query{Kind: knowledge.KindRule}).Records[0].Version; got != 2 {
		t.Fatalf("the list shows version %d, want 2", got)
	}
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("after version 2 was shown the same reader got version %d", got)
	}
	close(g.release)
	<-early
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("when the early load had ended a reader got version %d, want 2", got)
	}
}

// A list is on its way while a document moves off it, or changes what it is filtered by, and a reader is shown that:
// the list must show the document neither as it was, since that reader has seen what is newer, nor as it is, since it
// does not belong.
func TestAListOnItsWayShowsNothingThatHasLeftIt(t *testing.T) {
	for _, c := range []struct {
		name, patch string
		q           knowledge.Query
		want        int
	}{
		{"moved", `{"category":"elsewhere"}`, knowledge.Query{Kind: knowledge.KindRule, Category: "here"}, 0},
		{"edited", `{"description":"another text"}`, knowledge.Query{Kind: knowledge.KindRule, Category: "here"}, 1},
		{"retagged", `{"tags":[]}`, knowledge.Query{Kind: knowledge.KindRule, Category: "here", Tag: "here"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := newSource()
			s := openTest(t, src, Options{})
			key := put(t, src, rule("a", func(r *knowledge.Rule) { r.Category, r.Tags = "here", []string{"here"} })).Key
			get(t, s, key)
			g := stop(src, "list")
			early := make(chan *knowledge.Page, 1)
			go func() { early <- list(t, s, c.q) }()
			<-g.reached
			// elsewhere: no feed has told of it
			moved := write(t, src, knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(c.patch)})
			if _, err := s.Get(store.WithFresh(t.Context()), key); err != nil {
				t.Fatal(err)
			}
			get(t, s, key) // the new version is in memory
			close(g.release)
			for _, page := range []*knowledge.Page{<-early, list(t, s, c.q)} {
				if len(page.Records) != c.want {
					t.Errorf("the list has %d documents, want %d", len(page.Records), c.want)
				}
				for _, r := range page.Records {
					if r.Version != moved.Version {
						t.Errorf("the list shows version %d after version %d was shown", r.Version, moved.Version)
					}
				}
			}
		})
	}
}

// A list is in memory when a document on it has changed what the list is filtered by, and a reader is shown that before
// the feed has told of it.
func TestAListInMemoryShowsNothingThatHasLeftIt(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, src, rule("a", func(r *knowledge.Rule) { r.Category, r.Tags = "here", []string{"here"} })).Key
	q := knowledge.Query{Kind: knowledge.KindRule, Category: "here", Tag: "here"}
	if n := len(list(t, s, q).Records); n != 1 {
		t.Fatalf("the list has %d documents, want 1", n)
	}
	write(t, src, knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(`{"tags":[]}`)})
	if _, err := s.Get(store.WithFresh(t.Context()), key); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, s, q).Records); n != 0 {
		t.Errorf("the list has %d documents, want none: the only one has lost the tag, and a reader has seen that", n)
	}
}

func TestACallerWhoLeavesDoesNotEndTheLoadForOthers(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, s, rule("a")).Key
	g := stop(src, "get")
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := s.Get(ctx, key)
		left <- err
	}()
	<-g.reached
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who left got %v", err)
	}
	close(g.release)
	get(t, s, key)
	if n := src.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times, want once", n)
	}
}

// A stubborn store answers its first read only when the read is given up.
type stubborn struct {
	*source
	asked atomic.Bool
}

func (s *stubborn) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if s.asked.CompareAndSwap(false, true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.source.Get(ctx, key)
}

func TestTheDeadlineOfASharedLoadIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, &stubborn{source: newSource()}, Options{})
		key := put(t, s, rule("a")).Key
		get(t, s, key) // the shared load ends after its 15 seconds; then the caller asks for itself
	})
}

func TestCloseEndsTheLoadsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, &stubborn{source: newSource()}, Options{})
		key := put(t, s, rule("a")).Key
		got := make(chan error, 1)
		go func() {
			_, err := s.Get(t.Context(), key)
			got <- err
		}()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-got; !errors.Is(err, store.ErrClosed) {
			t.Errorf("the reader got %v, want ErrClosed", err)
		}
	})
}

func TestAnOutageHidesNothingThatIsHeld(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	run(t, s)
	held, other := put(t, s, rule("a")), put(t, s, rule("b"))
	// What the feed brings after the read is stamped again, and read again.
	await(t, "the feed is level", func() bool { return s.Followed() == 2 && !s.AsOf().IsZero() })
	get(t, s, held.Key)
	src.setAway(&store.UnavailableError{Reason: "out for lunch"})
	if got := get(t, s, held.Key); got.Source != knowledge.SourceHot {
		t.Errorf("source is %q, want hot", got.Source)
	}
	if _, err := s.Get(t.Context(), other.Key); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get of what is not held: %v, want ErrUnavailable", err)
	}
	// What is invalid is not served, outage or not.
	s.Invalidate(held.Key)
	if _, err := s.Get(t.Context(), held.Key); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get of what is invalid: %v, want ErrUnavailable", err)
	}
	src.setAway(nil)
	get(t, s, held.Key)
}

func TestAFreshReadGoesToTheSourceAndTellsEverybody(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	put(t, src, rule("a")) // elsewhere: no feed has told of it
	if got := get(t, s, key).Version; got != 1 {
		t.Fatalf("version %d, want the one that is held", got)
	}
	fresh, err := s.Get(store.WithFresh(t.Context()), key)
	if err != nil || fresh.Version != 2 {
		t.Fatalf("fresh: %v, %v", fresh, err)
	}
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("after version 2 was shown a reader got version %d", got)
	}
	write(t, src, knowledge.Op{Verb: knowledge.VerbPurge, Key: key})
	if _, err := s.Get(store.WithFresh(t.Context()), key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("fresh after a purge: %v", err)
	}
	if rec, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after it was shown to be gone: %v, %v", rec, err)
	}
}

func TestAScanLeavesNothingBehind(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, rule(id))
	}
	ctx := store.WithFresh(t.Context())
	for range 2 {
		if err := store.All(ctx, s, knowledge.Query{Kind: knowledge.KindRule}, func(*knowledge.Record) error {
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Search(ctx, knowledge.SearchQuery{
			Text:  "descriptors",
			Kinds: []knowledge.Kind{knowledge.KindRule},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.HotEntries != 0 || st.Lists.SinceStart != (Counts{}) || src.asked.Load() != 4 {
		t.Errorf("%d entries, %+v, the source was asked %d times", st.HotEntries, st.Lists.SinceStart, src.asked.Load())
	}
}

// A replaying store answers with records that wait in a journal, or with the seed data.
type replaying struct {
	*source
	change func(*knowledge.Record)
}

func (r *replaying) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := r.source.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	c := *rec
	r.change(&c)
	return &c, nil
}

func (r *replaying) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := r.source.List(ctx, q)
	if err != nil {
		return nil, err
	}
	for i, rec := range page.Records {
		c := *rec
		r.change(&c)
		page.Records[i], page.Source = &c, c.Source
	}
	return page, nil
}

func TestWhatNoChangeWillEndIsNotKept(t *testing.T) {
	for name, change := range map[string]func(*knowledge.Record){
		"a batch that waits": func(r *knowledge.Record) { r.Pending = knowledge.NewBatchID() },
		"seed data":          func(r *knowledge.Record) { r.Source = knowledge.SourceSeed },
	} {
		t.Run(name, func(t *testing.T) {
			src := &replaying{newSource(), change}
			s := openTest(t, src, Options{})
			key := put(t, src, rule("a")).Key
			for range 2 {
				get(t, s, key)
				list(t, s, knowledge.Query{Kind: knowledge.KindRule})
			}
			if n := src.asked.Load(); n != 4 {
				t.Errorf("the source was asked %d times, want each time", n)
			}
		})
	}
}

func TestADocumentTooLargeForTheBudgetIsAnsweredAndNotKept(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{Hot: 8 << 10})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	get(t, s, key)
	if st := s.Stats(); st.Unfit != 2 || st.HotBytes > 8<<10 || src.asked.Load() != 2 {
		t.Errorf("unfit %d, %d bytes, the source was asked %d times", st.Unfit, st.HotBytes, src.asked.Load())
	}
}

func TestAKindThatDoesNotExistIsForTheSourceToRefuse(t *testing.T) {
	s := openTest(t, newSource(), Options{})
	for _, kind := range []knowledge.Kind{"", "recipe"} {
		if _, err := s.Get(t.Context(), knowledge.Key{Kind: kind, ID: "a"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of kind %q: %v", kind, err)
		}
	}
	if n := s.Stats().HotEntries; n != 0 {
		t.Errorf("%d entries are kept", n)
	}
}

func TestAConflictMakesItsWriterReadAfresh(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	put(t, src, rule("a")) // elsewhere: no feed has told of it
	_, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(rule("a"), 1)))
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("Apply on an old version: %v", err)
	}
	if got := get(t, s, key).Version; got != 2 {
		t.Errorf("after the conflict a reader got version %d, want 2", got)
	}
}

// A forgetful store does what it is asked and fails to say so.
type forgetful struct{ *source }

func (f forgetful) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if _, err := f.source.Apply(ctx, b); err != nil {
		return knowledge.Receipt{}, err
	}
	return knowledge.Receipt{}, &store.UnavailableError{Reason: "the line went dead"}
}

func TestAnUnknownOutcomeIsAskedFor(t *testing.T) {
	src := newSource()
	s := openTest(t, forgetful{src}, Options{})
	key := put(t, src, rule("a")).Key
	get(t, s, key)
	list(t, s, knowledge.Query{Kind: knowledge.KindRule})
	if _, err := s.Apply(t.Context(), storetest.Batch(knowledge.Op{Verb: knowledge.VerbRetire, Key: key})); !errors.Is(
		err, store.ErrUnavailable) {
		t.Fatalf("Apply: %v", err)
	}
	if got := get(t, s, key); got.Active {
		t.Error("the document still shows as active")
	}
	if page := list(t, s, knowledge.Query{Kind: knowledge.KindRule}); len(page.Records) != 0 {
		t.Errorf("the list still shows %d documents", len(page.Records))
	}
}

func TestSwitchedOffItOnlyPassesOn(t *testing.T) {
	src := newSource()
	s, err := Open(t.Context(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	key := put(t, s, rule("a")).Key
	for range 3 {
		get(t, s, key)
		list(t, s, knowledge.Query{Kind: knowledge.KindRule})
	}
	if n := src.asked.Load(); n != 6 {
		t.Errorf("the source was asked %d times, want 6", n)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
