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
	}{
		{"cut before the commit", pgtest.CutBefore},
		{"reset before the commit", pgtest.ResetBefore},
		{"the commit hangs", pgtest.HangBefore},
		{"the client vanishes before the commit", pgtest.Vanish},
		{"cut after the commit", pgtest.CutAfter},
		{"reset after the commit", pgtest.ResetAfter},
		{"the answer hangs", pgtest.HangAfter},
		{"the commit comes late", pgtest.Late},
	} {
		var proxy *pgtest.Proxy
		troubles = append(troubles, trouble{
			name: trick.name, lasts: time.Second,
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
