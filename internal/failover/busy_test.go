package failover_test

import (
	"fmt"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
)

// A primary that answers reads and is too busy to take writes in time is no outage: nothing is degraded, and the
// breaker stays closed.
func TestSlowWritesAreNoOutage(t *testing.T) {
	c := newScene(t, func(o *failover.Options) {
		o.Recovery = 10 * time.Second
		o.Wait(failover.Waits{Soon: 10 * time.Second, ReadTimeout: 10 * time.Second})
	})
	c.follow()
	c.primary.set(stalls)
	for i := range 6 {
		if rec := c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0)); !rec.Queued {
			t.Fatalf("write %d was not queued", i)
		}
	}
	st := c.status()
	if st.Mode != knowledge.ModeRecovering || st.Breaker != "closed" {
		t.Errorf("mode %s, breaker %s; want recovering and closed", st.Mode, st.Breaker)
	}
}

// What was journalled meanwhile is brought to it when it has time again.
func TestSlowWritesAreReplayed(t *testing.T) {
	c := newScene(t, func(o *failover.Options) { o.Wait(failover.Waits{ReadTimeout: 10 * time.Second}) })
	c.primary.set(stalls)
	for i := range 4 {
		c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0))
	}
	c.primary.set(healthy)
	waitMode(t, c.s, knowledge.ModeNormal)
	if list := c.conflicts(); len(list) != 0 {
		t.Errorf("parked: %s", brief(list))
	}
	for i := range 4 {
		if r, err := c.s.Get(t.Context(), ruleKey(fmt.Sprintf("R-%d", i))); err != nil || r.Version != 1 ||
			r.Pending != (knowledge.BatchID{}) {
			t.Errorf("R-%d: %s, %v", i, versionOf(r), err)
		}
	}
}

// A primary that is too slow for many batches at once gets them one at a time, so that the replay ends.
func TestAPrimaryThatIsTooSlowForManyAtOnceIsReplayedTo(t *testing.T) {
	c := newScene(t, func(o *failover.Options) { o.Wait(failover.Waits{ReadTimeout: 10 * time.Second}) })
	c.primary.set(stalls)
	for i := range 12 {
		c.write(knowledge.Put(rule(fmt.Sprintf("R-%d", i)), 0))
	}
	c.primary.set(crowded)
	waitMode(t, c.s, knowledge.ModeNormal)
}
