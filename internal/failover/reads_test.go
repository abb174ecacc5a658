package failover_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// required returns a context whose reads are as of now or fail.
func required(ctx context.Context) context.Context {
	return store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
}

func atLeast(ctx context.Context, seq knowledge.Seq) context.Context {
	return store.WithWish(ctx, store.Wish{MinSeq: seq})
}

// wants checks which version a read of rule R shows.
func (c *scene) wants(ctx context.Context, version int64, from knowledge.Source) {
	c.t.Helper()
	if r, err := c.s.Get(ctx, ruleKey("R")); err != nil || r.Version != version || r.Source != from {
		c.t.Errorf("a read shows %s (%v), want version %d from %s", versionOf(r), err, version, from)
	}
}

// knowing is an instance whose mirror has version 1 of rule R, as its primary has.
func knowing(t *testing.T, change ...func(*failover.Options)) *scene {
	t.Helper()
	c := newScene(t, change...)
	c.past(knowledge.Put(rule("R"), 0))
	c.follow()
	return c
}

// blindfolded is knowing, with a mirror that from now on hears of no change and takes no write.
func blindfolded(t *testing.T, change ...func(*failover.Options)) (*scene, *gated) {
	t.Helper()
	g := &gated{}
	c := knowing(t, append([]func(*failover.Options){behind(g)}, change...)...)
	g.shut.Store(true)
	g.blind.Store(true)
	return c, g
}

// behindByOne is an instance whose mirror has version 1 of rule R, while the primary has version 2.
func behindByOne(t *testing.T, change ...func(*failover.Options)) (*scene, *gated) {
	t.Helper()
	g := &gated{}
	c := knowing(t, append([]func(*failover.Options){patient, behind(g)}, change...)...)
	g.shut.Store(true)
	c.past(knowledge.Put(rule("R"), 0))
	return c, g
}

func TestAPlainReadIsAnsweredByTheCopyAndSaysSo(t *testing.T) {
	c, g := behindByOne(t)
	asked := c.primary.newest.Load()
	c.wants(t.Context(), 1, knowledge.SourceMirror)
	// the third is on its way, and may be seen at any moment
	if at := c.s.Seq(); c.s.Level().Local.After(time.Now()) || at < 2 || at > 3 {
		t.Errorf("the answer is as of change %d, want 2, or 3", at)
	}
	if n := c.primary.newest.Load() - asked; n != 0 {
		t.Errorf("plain reads have asked the primary %d times", n)
	}
	g.shut.Store(false)
	c.follow()
	c.wants(t.Context(), 2, knowledge.SourceMirror)
}

func TestAReadThatWishesForMoreWaitsForTheMirror(t *testing.T) {
	for name, wish := range map[string]func(context.Context) context.Context{
		"as of now":        store.WithFresh,
		"as of a seq":      func(ctx context.Context) context.Context { return atLeast(ctx, 3) },
		"or else an error": required,
	} {
		t.Run(name, func(t *testing.T) {
			c, g := behindByOne(t, func(o *failover.Options) { o.Wait(failover.Waits{ReadWait: time.Minute}) })
			asked := c.primary.newest.Load()
			var reader sync.WaitGroup
			reader.Go(func() { c.wants(wish(t.Context()), 2, knowledge.SourceMirror) })
			waitFor(t, "the primary is asked for its newest change",
				func() bool { return c.primary.newest.Load() > asked })
			g.shut.Store(false)
			reader.Wait()
		})
	}
}

func TestAWishThatCantBeMetIsAnErrorOnlyWhenItIsRequired(t *testing.T) {
	c, g := behindByOne(t, func(o *failover.Options) { o.Wait(failover.Waits{ReadWait: 10 * time.Millisecond}) })
	c.wants(store.WithFresh(t.Context()), 1, knowledge.SourceMirror)
	c.wants(atLeast(t.Context(), 3), 1, knowledge.SourceMirror)
	if _, err := c.s.Get(required(t.Context()), ruleKey("R")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read that requires an answer as of now: %v, want it refused", err)
	}
	c.primary.set(refused)
	waitFor(t, "the reads have noticed that the primary is away", func() bool {
		_, err := c.s.Get(required(t.Context()), ruleKey("R"))
		return errors.Is(err, store.ErrUnavailable) && c.s.Level().Mode == knowledge.ModeDegraded
	})
	c.wants(store.WithFresh(t.Context()), 1, knowledge.SourceMirror)
	if _, err := c.s.Get(required(t.Context()), ruleKey("R")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read that requires an answer as of now, in an outage: %v, want it refused", err)
	}
	g.shut.Store(false)
}

func TestASeqThatThePrimaryHasNotIsNotWaitedFor(t *testing.T) {
	c := knowing(t, patient, func(o *failover.Options) { o.Wait(failover.Waits{ReadWait: time.Hour}) })
	c.wants(atLeast(t.Context(), 1_000_000), 1, knowledge.SourceMirror)
}

func TestQuestionsForTheNewestChangeAreShared(t *testing.T) {
	c := knowing(t, patient)
	c.primary.set(slow)
	asked := c.primary.newest.Load()
	var readers sync.WaitGroup
	for range 64 {
		readers.Go(func() { c.wants(required(t.Context()), 1, knowledge.SourceMirror) })
	}
	readers.Wait()
	if n := c.primary.newest.Load() - asked; n > 32 {
		t.Errorf("64 readers at once have asked the primary %d times", n)
	}
}

func TestWhatTheCopyCouldNotTakeIsReadAtThePrimary(t *testing.T) {
	c, g := blindfolded(t, patient)
	if rec := c.write(knowledge.Put(rule("R"), 0)); rec.Queued {
		t.Fatal("the write was queued")
	}
	c.wants(t.Context(), 2, knowledge.SourcePrimary)
	page, err := c.s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
	if err != nil || len(page.Records) != 1 || page.Records[0].Version != 2 {
		t.Errorf("a list does not show the write: %+v, %v", page, err)
	}
	g.shut.Store(false)
	c.follow()
	c.wants(t.Context(), 2, knowledge.SourceMirror)
}

// TestABatchThatIsParkedWhileItIsReadUncoversNothingOld reads a document whose last acknowledged write the mirror could
// not take, while a batch on top of it is decided: what lies below in the mirror is older than what was shown before.
// TestAnAnswerFromThePrimarysLogIsShown sends a batch again whose first answer was lost, to an instance whose mirror
// lacks it, behind a waiting write of the same document. What its writer hears, reads show from then on.
func TestAnAnswerFromThePrimarysLogIsShown(t *testing.T) {
	g, hold := &gated{}, make(chan struct{})
	c := knowing(t, patient, behind(g), func(o *failover.Options) {
		o.Authorize = func(ctx context.Context, _ failover.Lookup, _ string, _ *knowledge.Batch) error {
			select {
			case <-hold:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	g.shut.Store(true)
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(titled("R", "waits"), 1))
	first := batchOf(knowledge.Put(titled("R", "first"), 1))
	if _, err := c.primary.engine().Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeRecovering)
	rec, err := c.s.Apply(t.Context(), first)
	if err != nil || rec.Queued || rec.Records[0].Version != 2 {
		t.Fatalf("the batch sent again: %+v, %v, want version 2", rec, err)
	}
	close(hold)
	waitFor(t, "the waiting write is parked", func() bool {
		r, err := c.s.Get(t.Context(), ruleKey("R"))
		return err == nil && r.Pending == (knowledge.BatchID{})
	})
	c.wants(t.Context(), 2, knowledge.SourcePrimary)
	g.shut.Store(false)
}

func TestABatchThatIsParkedWhileItIsReadUncoversNothingOld(t *testing.T) {
	for _, read := range []string{"get", "list"} {
		t.Run(read, func(t *testing.T) {
			c, g := blindfolded(t, patient)
			if rec := c.write(knowledge.Put(rule("R"), 1)); rec.Queued {
				t.Fatal("the write was queued")
			}
			c.wants(t.Context(), 2, knowledge.SourcePrimary)
			c.primary.set(readonly)
			if rec := c.write(knowledge.Put(rule("R"), 2)); !rec.Queued {
				t.Fatal("the write was not queued")
			}
			c.past(knowledge.Put(titled("R", "another's"), 2))
			decided := func() {
				c.primary.set(healthy)
				waitFor(t, "the batch is parked, and the mirror shows what lies below", func() bool {
					list, err := c.s.Conflicts(t.Context(), store.ParkedQuery{})
					below, failed := g.Mirror.Get(t.Context(), ruleKey("R"))
					return err == nil && failed == nil && len(list) == 1 && below.Version == 1
				})
			}
			g.asked.Store(&decided)
			ctx := context.WithValue(t.Context(), asking{}, true)
			if read == "get" {
				c.wants(ctx, 3, knowledge.SourcePrimary)
			} else if page, err := c.s.List(ctx, knowledge.Query{Kind: knowledge.KindRule}); err != nil ||
				len(page.Records) != 1 || page.Records[0].Version != 3 {
				t.Errorf("a list has %+v, %v; want version 3", page, err)
			}
			if g.asked.Load() != nil {
				t.Error("the batch was not decided while the document was read")
			}
			g.shut.Store(false)
		})
	}
}

// TestAReadThatThePrimaryLetsHangIsUnavailable: the deadline is the instance's own, and the caller hears what to do.
func TestAReadThatThePrimaryLetsHangIsUnavailable(t *testing.T) {
	c, g := blindfolded(t, func(o *failover.Options) {
		o.Failures = 1000
		o.Wait(failover.Waits{ReadTimeout: 100 * time.Millisecond})
	})
	c.write(knowledge.Put(rule("R"), 0)) // the mirror lacks it, so that the primary is asked
	c.primary.set(hangs)
	_, err := c.s.Get(required(t.Context()), ruleKey("R"))
	if no, ok := errors.AsType[*store.UnavailableError](err); !ok || no.RetryAfter == 0 {
		t.Errorf("a read that the primary lets hang: %v, want that it is unavailable, and when to ask again", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.s.Get(required(short), ruleKey("R")); !errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read whose caller waits for a shorter time: %v, want the caller's own deadline", err)
	}
	c.primary.set(healthy)
	g.shut.Store(false)
}

func TestAMirrorThatDoesNotFollowIsPassedOver(t *testing.T) {
	c, g := behindByOne(t, func(o *failover.Options) { o.MirrorMaxLag = 50 * time.Millisecond })
	waitFor(t, "the primary answers a read", func() bool {
		r, err := c.s.Get(t.Context(), ruleKey("R"))
		return err == nil && r.Version == 2 && r.Source == knowledge.SourcePrimary
	})
	if c.s.Seq() != 3 {
		t.Errorf("what was shown is up to change %d, want 3", c.s.Seq())
	}
	g.shut.Store(false)
	waitFor(t, "the mirror answers again", func() bool {
		r, err := c.s.Get(t.Context(), ruleKey("R"))
		if err != nil || r.Version != 2 {
			t.Fatalf("a read went back in time: %s (%v)", versionOf(r), err)
		}
		return r.Source == knowledge.SourceMirror
	})
}

func TestAPartOfTheLogDoesNotLookWhole(t *testing.T) {
	few := func(o *failover.Options) { o.Versions = 2 }
	c := newScene(t, few)
	for range 4 {
		c.past(knowledge.Put(rule("R"), 0))
	}
	c.end()
	c.dir = t.TempDir() // a mirror made from now on has but the last versions
	c.open(few)
	waitFor(t, "there is a mirror", func() bool { return c.status().Mirror.Ready })
	history := knowledge.ChangeQuery{Key: ruleKey("R"), Newest: true}
	if list, err := c.s.Changes(t.Context(), history); err != nil || len(list) != 4 {
		t.Errorf("the history has %d versions (%v), want all 4", len(list), err)
	}
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	for _, q := range []knowledge.ChangeQuery{
		history,
		{Key: ruleKey("R"), Version: 1},
		{Key: ruleKey("never")},
		{Batch: knowledge.NewBatchID()},
		{},
	} {
		if list, err := c.s.Changes(t.Context(), q); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%+v is answered with %d changes, %v; want it unavailable", q, len(list), err)
		}
	}
	ctx, part := store.WithPartial(t.Context())
	list, err := c.s.Changes(ctx, history)
	if err != nil || len(list) != 2 || part.Oldest != list[1].Seq {
		t.Errorf("who takes a part gets %d versions from %d on, %v; want 2 and to be told", len(list), part.Oldest, err)
	}
	if list, err := c.s.Changes(t.Context(), knowledge.ChangeQuery{Key: ruleKey("R"), Version: 4}); err != nil ||
		len(list) != 1 {
		t.Errorf("a version that the mirror has: %d, %v", len(list), err)
	}
}

// TestAnAnswerPromisesAllThatItShows looks at the position that answers carry when readers first see a change: with a
// lower one a caller who goes on at another instance would go back in time.
func TestAnAnswerPromisesAllThatItShows(t *testing.T) {
	t.Parallel()
	var in atomic.Pointer[failover.Store]
	shown := make(chan knowledge.Seq, 1)
	g := &gated{shows: func(seq knowledge.Seq) {
		s := in.Load()
		if s == nil {
			return
		}
		if at := s.Seq(); at < seq {
			t.Errorf("answers say %d, and show change %d", at, seq)
		}
		shown <- seq
	}}
	c := newScene(t, behind(g))
	in.Store(c.s)
	rec := c.past(knowledge.Put(rule("seen"), 0))
	if seq := <-shown; seq != rec.Seq {
		t.Errorf("change %d is shown, want %d", seq, rec.Seq)
	}
}
