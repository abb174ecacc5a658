package failover_test

import (
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// TestFaultsAroundACommit breaks the connection where it matters most: between a commit and its answer.
func TestFaultsAroundACommit(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	var troubles []trouble
	for _, trick := range []struct {
		name string
		is   pgtest.Trick
		soak bool
	}{
		{"cut before the commit", pgtest.CutBefore, true},
		{"reset before the commit", pgtest.ResetBefore, false},
		{"the commit hangs", pgtest.HangBefore, true},
		{"the client vanishes before the commit", pgtest.Vanish, false},
		{"cut after the commit", pgtest.CutAfter, false},
		{"reset after the commit", pgtest.ResetAfter, true},
		{"the answer hangs", pgtest.HangAfter, false},
		{"the commit comes late", pgtest.Late, false},
	} {
		var proxy *pgtest.Proxy
		troubles = append(troubles, trouble{
			name: trick.name, soak: trick.soak, lasts: time.Second,
			site: func(t *testing.T) *site {
				t.Helper()
				s := newSite(t, server)
				proxy = pgtest.NewProxy(t, server.Addr(), "tenet_apply")
				s.address = proxy.Through(s.url)
				return s
			},
			inject: func(*cluster) { proxy.Play(trick.is) },
			heal:   func(*cluster) { proxy.Stop() },
			after: func(c *cluster) {
				if proxy.Played() == 0 {
					c.t.Error("no commit was interfered with: the test tests nothing")
				}
			},
		})
	}
	runAll(t, server, troubles)
}
