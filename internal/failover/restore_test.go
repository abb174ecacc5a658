package failover_test

import (
	"context"
	"errors"
	"fmt"
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
