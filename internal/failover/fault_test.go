package failover_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tenet/internal/pgtest"
	"tenet/internal/store"
)

func TestMain(m *testing.M) {
	if point := os.Getenv(crashEnv); point != "" {
		if err := crashing(point); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if text := os.Getenv(instanceEnv); text != "" {
		if err := beInstance(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// A trouble is a row of the fault matrix: something that happens to PostgreSQL or on the way to it while clients read
// and write.
type trouble struct {
	name   string
	site   func(t *testing.T) *site // where it happens; nil for the cluster that the group shares
	inject func(c *cluster)
	heal   func(c *cluster) // nil when it passes by itself
	// lasts is for how long it lasts at least; 2 s. Reads must not take half as long.
	lasts time.Duration
	// refuses says that writes are refused meanwhile, and not taken into the journal.
	refuses bool
	// unfelt says that it may pass without any call noticing.
	unfelt bool
	// soak says that it runs in "make soak" alone, since another row of its class runs everywhere.
	soak bool
	// after looks at more than every row does.
	after func(c *cluster)
}

// run drives a trouble under load and checks what every trouble must leave behind: no read failed or waited for its
// end, every acknowledged write is there exactly once or waits for a person, the log is whole, the mirrors equal the
// primary.
func (f *trouble) run(c *cluster) {
	c.t.Helper()
	before := c.noticed()
	var began, healed time.Time
	c.load(func() {
		c.until("writes to be done", time.Now(), 20, wasTaken)
		began = time.Now()
		f.inject(c)
		answered := wasTaken
		if f.refuses {
			answered = wasRefused
		}
		c.until("writes to be answered through the trouble", began, 20, answered)
		hold(c.t, time.Until(began.Add(cmp.Or(f.lasts, 2*time.Second))))
		healed = time.Now()
		if f.heal != nil {
			f.heal(c)
		}
		c.until("writes to reach the primary after it", healed, 20, wasDirect)
	})
	c.bound(began, healed)
	c.check()
	if !f.unfelt && !c.felt(began) && (c.site.forgets || c.noticed() == before) {
		c.t.Error("nobody has noticed the trouble: the test tests nothing")
	}
	if f.after != nil {
		f.after(c)
	}
}

// soakEnv is set by "make soak" to how long it runs.
const soakEnv = "TENET_SOAK"

// runAll runs troubles one after the other, beside other groups. Those that need no site of their own share a cluster,
// whose site where returns: its history goes on, and is judged after each.
func runAll(t *testing.T, where func() *site, troubles []trouble) {
	t.Helper()
	var common *cluster
	for i := range troubles {
		f := &troubles[i]
		if f.soak && os.Getenv(soakEnv) == "" {
			continue
		}
		if f.site == nil && common == nil {
			common = newCluster(t, where(), 2)
		}
		well := t.Run(f.name, func(t *testing.T) {
			if f.site != nil {
				f.run(newCluster(t, f.site(t), 2))
				return
			}
			common.within(t, func() { f.run(common) })
		})
		if !well && f.site == nil { // what it has left behind is not the next one's fault
			common.end()
			common = nil
		}
	}
}

// TestFaultsOfPostgreSQL does to a real server what servers suffer.
func TestFaultsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	runAll(t, func() *site { return newSite(t, server) }, []trouble{
		{name: "killed", inject: func(*cluster) { server.Kill() }, heal: func(*cluster) { server.Start() }},
		{
			name: "stopped and continued", inject: func(*cluster) { server.Pause() },
			heal: func(*cluster) { server.Continue() }, lasts: 4 * time.Second,
		},
		{
			name: "one backend killed", soak: true, inject: func(*cluster) { server.KillBackend() },
			heal: func(*cluster) { server.WaitReady() }, lasts: time.Millisecond,
		},
		{
			name: "shut down fast", soak: true, inject: func(*cluster) { server.Stop(pgtest.Fast) },
			heal: func(*cluster) { server.Start() },
		},
		{
			name: "shut down immediately", soak: true, inject: func(*cluster) { server.Stop(pgtest.Immediate) },
			heal: func(*cluster) { server.Start() },
		},
		{
			// It waits for its clients, who notice nothing until they need a new connection.
			name: "shut down smartly", unfelt: true, soak: true,
			inject: func(*cluster) { server.Shutdown(pgtest.Smart) },
			heal:   func(*cluster) { server.Stop(pgtest.Fast); server.Start() },
		},
		{
			name: "restarted", inject: func(*cluster) { server.Restart() }, lasts: time.Millisecond, unfelt: true,
			soak: true,
		},
	})
}

func wasTaken(c *call) bool  { return c.err == nil && !c.write.foul }
func wasDirect(c *call) bool { return wasTaken(c) && !c.write.receipt.Queued && !c.write.again }
func wasQueued(c *call) bool { return wasTaken(c) && c.write.receipt.Queued && !c.write.again }
func wasRefused(c *call) bool {
	return errors.Is(c.err, store.ErrUnavailable)
}

// hold lets a trouble last.
func hold(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// bound lets the judge look whether reads waited for a trouble to end.
func (c *cluster) bound(began, healed time.Time) {
	c.t.Helper()
	c.history.waits = append(c.history.waits, span{began, healed})
	reads, lasted := c.history.readsIn(began, healed), healed.Sub(began)
	if len(reads) == 0 {
		c.t.Error("nobody has read through the trouble")
		return
	}
	c.t.Logf("%d reads in %v: p50 %v, p99 %v, max %v", len(reads), lasted.Round(time.Millisecond),
		reads[len(reads)/2].Round(time.Microsecond), reads[len(reads)*99/100].Round(time.Microsecond),
		reads[len(reads)-1].Round(time.Microsecond))
}

// felt reports whether clients have noticed that something was wrong: where the primary has lost what it had
// acknowledged, that this is kept.
func (c *cluster) felt(began time.Time) bool {
	c.t.Helper()
	if c.site.forgets {
		return len(c.parked()) > 0
	}
	return c.history.count(began, wasQueued)+c.history.count(began, wasRefused) > 0
}

// noticed returns what the instances have noticed so far.
func (c *cluster) noticed() string {
	c.t.Helper()
	var text strings.Builder
	for _, n := range c.nodes {
		st, err := n.s.Status(c.t.Context())
		fmt.Fprintln(&text, st.FellBack, st.Errors, err)
	}
	return text.String()
}

// TestSoakStoppedForLong stops a server for much longer than any deadline, and for longer than a breaker waits.
func TestSoakStoppedForLong(t *testing.T) {
	if os.Getenv(soakEnv) == "" {
		t.Skip("it takes a minute: make soak runs it")
	}
	server := pgtest.Start(t, pgtest.Options{})
	runAll(t, func() *site { return newSite(t, server) }, []trouble{{
		name: "stopped for 40 s", lasts: 40 * time.Second,
		inject: func(*cluster) { server.Pause() }, heal: func(*cluster) { server.Continue() },
	}})
}
