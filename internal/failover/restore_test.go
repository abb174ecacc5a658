package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAStartWithMuchWaitingReadsAtOnce opens an instance whose journal holds more than a start lays over the mirror
// before it answers, with a mirror that has lost those layers and takes none. Reads are answered, a write is refused
// and not done; then all of it lies there and is brought to the primary.
func TestAStartWithMuchWaitingReadsAtOnce(t *testing.T) {
	const many = 520
	p := &faulty{Store: openEngine(t), system: "one"}
	dir := t.TempDir()
	first, end := openInstance(t, dir, p, patient)
	stop := run(t, first)
	waitFor(t, "there is a mirror", func() bool {
		st, err := first.Status(t.Context())
		return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
	})
	if _, err := first.Apply(t.Context(), batchOf(
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0),
		knowledge.Put(rule("before"), 0))); err != nil {
		t.Fatal(err)
	}
	p.set(refused)
	waitMode(t, first, knowledge.ModeDegraded)
	for i := range many {
		if _, err := first.Apply(t.Context(), batchOf(knowledge.Put(rule(fmt.Sprint("w-", i)), 0))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	end()

	hold := make(chan struct{})
	g := &gated{lays: func(int) { <-hold }}
	s, _ := openInstance(t, dir, p, func(o *failover.Options) {
		behind(g)(o)
		g.Mirror = &bare{Mirror: g.Mirror}
		o.Wait(failover.Waits{WriteTimeout: 50 * time.Millisecond})
	})
	run(t, s)
	if _, err := s.Get(t.Context(), ruleKey("before")); err != nil {
		t.Errorf("a read while what waits is laid over the mirror: %v", err)
	}
	_, err := s.Apply(t.Context(), batchOf(knowledge.Put(rule("during"), 0)))
	if u, ok := errors.AsType[*store.UnavailableError](err); !ok || !u.NotDone || u.RetryAfter == 0 {
		t.Errorf("a write meanwhile: %v, want a refusal that is certain and says when to come back", err)
	}
	close(hold)
	waitFor(t, "writes are taken", func() bool {
		_, err := s.Apply(t.Context(), batchOf(knowledge.Put(rule("after"), 0)))
		return err == nil || errors.Is(err, store.ErrConflict)
	})
	p.set(healthy)
	waitMode(t, s, knowledge.ModeNormal)
	for _, id := range []string{"w-0", fmt.Sprint("w-", many-1), "after"} {
		if _, err := p.engine().Get(t.Context(), ruleKey(id)); err != nil {
			t.Errorf("%s at the primary: %v", id, err)
		}
	}
}

// bare is a mirror that says that nothing lies over it, as after a power cut.
type bare struct{ failover.Mirror }

func (b *bare) Overlaid(context.Context) (map[knowledge.BatchID][]knowledge.Key, error) {
	return map[knowledge.BatchID][]knowledge.Key{}, nil
}

// TestAStartShowsNoOlderWriteThanTheMirrorHas has two writes of a document waiting, more batches apart than are read
// from the journal at once, and a mirror that shows them and takes no more. After a start nothing older than the last
// one is shown, although the first is known earlier.
func TestAStartShowsNoOlderWriteThanTheMirrorHas(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g), patient)
	c.follow()
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	c.write(knowledge.Put(titled("R", "first"), knowledge.NoVersion))
	for i := range 510 {
		c.write(knowledge.Put(rule(fmt.Sprint("w-", i)), knowledge.NoVersion))
	}
	r, err := c.s.Get(t.Context(), ruleKey("R"))
	if err != nil {
		t.Fatal(err)
	}
	c.write(onto(titled("R", "last"), r))
	c.end()
	p := &paged{reached: make(chan struct{}), hold: make(chan struct{})}
	g.full.Store(true)
	c.open(behind(g), patient, func(o *failover.Options) {
		g.Mirror = &bare{Mirror: g.Mirror}
		p.Journal, o.Journal = o.Journal, p
	})
	<-p.reached
	r, err = c.s.Get(t.Context(), ruleKey("R"))
	if err != nil || titleOf(t, r) != "last" {
		t.Errorf("R reads as %+v, %v, want what was written last", r, err)
	}
	close(p.hold)
	waitFor(t, "the whole journal is known", func() bool {
		r, err := c.s.Get(t.Context(), ruleKey("R"))
		return err == nil && titleOf(t, r) == "last" && c.s.Level().Lacking > 510
	})
}

// paged is a journal whose second page, and those after it, are not read before hold is closed.
type paged struct {
	failover.Journal
	once          sync.Once
	reached, hold chan struct{}
}

func (p *paged) Oldest(ctx context.Context, after int64, n int) ([]store.Entry, error) {
	if after > 0 {
		p.once.Do(func() { close(p.reached) })
		<-p.hold
	}
	return p.Journal.Oldest(ctx, after, n)
}
