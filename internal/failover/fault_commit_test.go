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
	proxy := pgtest.NewProxy(t, server.Addr(), "tenet_apply")
	var troubles []trouble
	for _, trick := range []struct {
		name string
		is   pgtest.Trick
		soak bool
	}{
		{"cut before the commit", pgtest.CutBefore, true},
		{"reset before the commit", pgtest.ResetBefore, false},
		{"the commit hangs", pgtest.HangBefore, true},
		{"the client vanishes before the commit", pgtest.Vanish, true},
		{"cut after the commit", pgtest.CutAfter, false},
		{"reset after the commit", pgtest.ResetAfter, true},
		{"the answer hangs", pgtest.HangAfter, true},
		{"the commit comes late", pgtest.Late, true},
	} {
		played := 0
		troubles = append(troubles, trouble{
			name: trick.name, soak: trick.soak, lasts: time.Second,
			inject: func(*cluster) { played = proxy.Played(); proxy.Play(trick.is) },
			heal:   func(*cluster) { proxy.Stop() },
			after: func(c *cluster) {
				if proxy.Played() == played {
					c.t.Error("no commit was interfered with: the test tests nothing")
				}
			},
		})
	}
	runAll(t, func() *site {
		s := newSite(t, server)
		s.address = proxy.Through(s.url)
		return s
	}, troubles)
}
