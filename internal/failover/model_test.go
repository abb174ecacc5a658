package failover_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

//nolint:gochecknoglobals // flags of the test
var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the random outages; 0 takes several fixed ones")
	roundsFlag = flag.Int("rounds", 400, "steps of each random run")
)

// TestRandomOutagesLoseNothing drives writes, reads, faults and restarts of one instance at random, one after the
// other, and has the judge compare what came of it with what the writer was told.
func TestRandomOutagesLoseNothing(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if os.Getenv(soakEnv) != "" {
		seeds = append(seeds, 4, 5, 6)
	}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel() // most of the time they wait
			l := newLab(t, 1, hasty)
			r := rand.New(rand.NewPCG(seed, seed))
			s := l.session(l.nodes[0], "writer", r)
			for range *roundsFlag {
				switch n := r.IntN(100); {
				case n < 76:
					s.step()
				case n < 90:
					l.foreign(shared(r.IntN(5)))
				case n < 98:
					l.primary.set([]fault{healthy, healthy, healthy, refused, hangs, losesReply, readonly}[r.IntN(7)])
				default: // without a farewell
					l.nodes[0].end()
					l.again(l.nodes[0])
				}
			}
			l.primary.set(healthy)
			l.settle()
			for i := range 5 {
				s.get(shared(i), true)
			}
			l.check()
		})
	}
}

// hasty has an instance wait for nothing long.
func hasty(o *failover.Options) {
	o.Recovery = 20 * time.Millisecond
	o.Wait(failover.Waits{
		ReadWait: 200 * time.Millisecond, ReadTimeout: 150 * time.Millisecond, WriteTimeout: 150 * time.Millisecond,
		ConnectTimeout: 150 * time.Millisecond,
	})
}

// foreign writes at the primary past the instances, as another instance would.
func (l *lab) foreign(key knowledge.Key) {
	l.t.Helper()
	c := &call{by: "another", began: time.Now(), write: &write{whatever: true, shared: true, batch: knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "another", Ops: []knowledge.Op{knowledge.Put(rule(key.ID), knowledge.AnyVersion)},
	}}}
	c.write.receipt, c.err = l.primary.engine().Apply(l.t.Context(), c.write.batch)
	if c.err != nil {
		l.t.Fatal(c.err)
	}
	l.history.ended(c)
}

func versionOf(r *knowledge.Record) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("version %d from %s, pending %s", r.Version, r.Source, r.Pending)
}

// logOf returns a store's whole log.
func logOf(t testing.TB, s store.Store) []knowledge.Change {
	t.Helper()
	var all []knowledge.Change
	for after := knowledge.Seq(0); ; {
		changes, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			return all
		}
		all = append(all, changes...)
		after = changes[len(changes)-1].Seq
	}
}

// waitFor polls a condition until it holds; what it waits for has no signal of its own.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !awaittest.Until(time.Minute, ok) {
		t.Fatalf("waited in vain until %s", what)
	}
}

// waitMirror waits until an instance has a complete mirror.
func waitMirror(t testing.TB, s *failover.Store) {
	t.Helper()
	waitFor(t, "there is a mirror", func() bool {
		st, err := s.Status(t.Context())
		return err == nil && st.Mirror.Ready
	})
}

func waitMode(t testing.TB, s *failover.Store, want knowledge.Mode) {
	t.Helper()
	t.Cleanup(func() {
		if st, err := s.Status(context.Background()); t.Failed() {
			t.Logf("status: %+v (%v)", st, err)
		}
	})
	waitFor(t, "the mode is "+string(want), func() bool { return s.Level().Mode == want })
}
