package access

import (
	"context"
	"errors"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func TestAQuotaHoldsForOnePrincipalAndComesBack(t *testing.T) {
	m := newMeter(Quotas{knowledge.RoleContributor: {Writes: 60}, QuotaAgent: {Bytes: 1000}})
	now := time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	ada, bob := &Caller{ID: "ada", Role: knowledge.RoleContributor}, &Caller{ID: "bob", Role: knowledge.RoleContributor}
	batch := func(ops, bytes int) *knowledge.Batch {
		b := &knowledge.Batch{Ops: make([]knowledge.Op, ops)}
		b.Ops[0].Patch = make([]byte, bytes)
		return b
	}
	refused := func(c *Caller, b *knowledge.Batch) time.Duration {
		err := m.take(c, b)
		if err == nil {
			return 0
		}
		u, ok := errors.AsType[*store.UnavailableError](err)
		if !ok || !u.TooMany || !u.NotDone || u.RetryAfter <= 0 {
			t.Fatalf("refused with %#v", err)
		}
		return u.RetryAfter
	}
	for i := range 60 {
		if refused(ada, batch(1, 0)) > 0 {
			t.Fatalf("write %d of 60 is refused", i+1)
		}
	}
	if wait := refused(ada, batch(1, 0)); wait != 2*time.Second {
		t.Errorf("the write after the last is to be tried again in %s, want 2s", wait)
	}
	if refused(bob, batch(1, 0)) > 0 {
		t.Error("another principal pays for the first one")
	}
	now = now.Add(2 * time.Second)
	if refused(ada, batch(1, 0)) > 0 {
		t.Error("after the time that was told it is refused still")
	}
	now = now.Add(time.Hour)
	if refused(ada, batch(180, 0)) > 0 {
		t.Error("a batch larger than the quota is never let in")
	}
	if wait := refused(ada, batch(1, 0)); wait < 2*time.Minute || wait > 3*time.Minute {
		t.Errorf("behind it the next has to wait for %s, want its debt of two minutes", wait)
	}
	leave, err := m.enter(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := m.enter(ended, ada); !errors.Is(err, context.Canceled) {
		t.Errorf("a second write of one principal is at work beside the first: %v", err)
	}
	if other, err := m.enter(t.Context(), bob); err != nil {
		t.Errorf("another principal waits for the first one: %v", err)
	} else {
		other()
	}
	leave()
	if leave, err = m.enter(t.Context(), ada); err != nil {
		t.Error(err)
	}
	leave()
	agent := &Caller{ID: "bot", Role: knowledge.RoleMaintainer, Agent: true}
	if refused(agent, batch(1, 1000)) > 0 || refused(agent, batch(1, 1)) == 0 {
		t.Error("an agent's bytes are not bounded by the quota of agents")
	}
	for range 1000 {
		if refused(&Caller{ID: "carla", Role: knowledge.RoleAdmin}, batch(100, 1<<20)) > 0 {
			t.Fatal("a role without a quota is bounded")
		}
	}
}
