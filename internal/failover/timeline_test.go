package failover_test

import (
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
)

// An old primary that comes back in the address has the log as far as the mirror knows it and then its own, and nothing
// need fail on the way to it. Only its timeline tells.
func TestAnEarlierTimelineIsNotFollowedWithoutAPerson(t *testing.T) {
	c := newScene(t)
	c.primary.promoted.Store(1) // a standby was promoted, and lacks nothing
	c.past(knowledge.Put(rule("NEW-001"), 0))
	c.follow()
	waitMode(t, c.s, knowledge.ModeNormal)

	refuses := func(when string, restart bool) {
		t.Helper()
		if restart {
			c.end()
			c.open()
		}
		waitMode(t, c.s, knowledge.ModeDiverged)
		if r, err := c.s.Get(t.Context(), ruleKey("ZOMBIE-001")); err == nil {
			t.Errorf("%s: %s of the earlier timeline is shown", when, versionOf(r))
		}
		if list := c.conflicts(); len(list) > 0 {
			t.Errorf("%s: kept for a person: %s; want nothing, since nothing is lost", when, brief(list))
		}
		if why := c.status().Why; why == "" {
			t.Errorf("%s: nothing says why", when)
		}
	}
	c.primary.promoted.Store(0)
	c.past(knowledge.Put(rule("ZOMBIE-001"), 0))
	refuses("running", false)
	refuses("after a restart", true)

	c.primary.promoted.Store(1)
	waitMode(t, c.s, knowledge.ModeNormal)
	c.primary.promoted.Store(0)
	c.past(knowledge.Put(rule("ZOMBIE-002"), 0))
	waitMode(t, c.s, knowledge.ModeDiverged)
	c.s.AcceptPrimary()
	waitMode(t, c.s, knowledge.ModeNormal)
	if _, err := c.s.Get(t.Context(), ruleKey("ZOMBIE-002")); err != nil {
		t.Errorf("of a primary that a person has accepted: %v", err)
	}
}

// A mirror that must be made anew is not made of an old primary either.
func TestAMirrorIsNotMadeAnewFromAnEarlierTimeline(t *testing.T) {
	g := &gated{}
	c := newScene(t, behind(g), func(o *failover.Options) { o.Failures = 1 })
	c.primary.promoted.Store(1)
	c.past(knowledge.Put(rule("NEW-001"), 0))
	c.follow()
	c.primary.promoted.Store(0)
	failed := error(&fullError{})
	g.broken.Store(&failed)
	c.past(knowledge.Put(rule("ZOMBIE-001"), 0))
	waitMode(t, c.s, knowledge.ModeDiverged)
	if _, err := c.s.Get(t.Context(), ruleKey("ZOMBIE-001")); err == nil {
		t.Error("what the old primary took is shown")
	}
}

type fullError struct{}

func (*fullError) Error() string { return "the disk is full" }
