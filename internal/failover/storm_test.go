package failover_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

//nolint:gochecknoglobals // a flag of the test
var stormSeed = flag.Uint64("storm-seed", 0, "seed of the random outages of a real PostgreSQL; 0 takes one from "+
	"the clock")

// TestRandomOutagesOfPostgreSQL lets clients read and write through three instances on a real server, each in a process
// of its own, while all that can go wrong does at random, alone and together: see [storm]. It checks every invariant. A
// failure names its seed: run it again with -storm-seed.
func TestRandomOutagesOfPostgreSQL(t *testing.T) { runStorm(t, seedOf(*stormSeed), 4) }

// TestSoakOutages does the same for as long as TENET_SOAK says, with a new seed and a new database each round.
func TestSoakOutages(t *testing.T) {
	text := os.Getenv(soakEnv)
	if text == "" {
		t.Skip("TENET_SOAK is not set: it says how long to soak, as in 10m")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TENET_SOAK: %v", err)
	}
	seed := seedOf(*stormSeed)
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { runStorm(t, seed, 20) })
	}
}

func seedOf(seed uint64) uint64 {
	if seed == 0 {
		return uint64(time.Now().UnixNano()) % 1_000_000
	}
	return seed
}

// TestTheCheckerFindsSeededBugs puts a bug into the instances, and expects the checker of the random outages to find
// it.
func TestTheCheckerFindsSeededBugs(t *testing.T) {
	var met sync.Map
	for _, bug := range []struct {
		name string
		wrap func(o *failover.Options)
		dial func(p failover.Primary) failover.Primary
		says []string // any of these
	}{
		{"none", nil, nil, nil},
		{
			"a retry has no batch id of its own", nil,
			func(p failover.Primary) failover.Primary { return &anew{p, &met} },
			[]string{
				"which nobody has sent",
				"and again with",
			},
		},
		{
			"no version is compared", nil, func(p failover.Primary) failover.Primary { return &careless{p} },
			[]string{"and replaced version", "is not one of a compare-and-set register"},
		},
		{
			"a journal forgets", func(o *failover.Options) { o.Journal = &forgetful{Journal: o.Journal} }, nil,
			[]string{"applied false, parked false", "has not come back to normal"},
		},
		{
			"what the copy could not take is forgotten", func(o *failover.Options) { o.Mirror = &belated{o.Mirror} },
			func(p failover.Primary) failover.Primary { return &tardy{p} },
			[]string{"and went back to"},
		},
		{
			"a text is shown under the tag of another moment",
			func(o *failover.Options) { o.Mirror = &mixing{Mirror: o.Mirror} }, nil,
			[]string{"under the tag of version"},
		},
	} {
		t.Run(bug.name, func(t *testing.T) {
			engine := openEngine(t)
			p := &faulty{Store: engine, system: "one"}
			c := newChaos(t, engine, func() (failover.Primary, error) {
				if bug.dial != nil {
					return bug.dial(stays{p}), p.Ping(context.Background())
				}
				return stays{p}, p.Ping(context.Background())
			}, 2, bug.wrap).begin()
			if bug.says != nil {
				c.patience = 3 * time.Second
			}
			c.load(1, func(r *rand.Rand) {
				normal := true // with a bug it may never be again
				for range 8 {
					p.set([]fault{refused, losesReply, losesReply, hangs, readonly}[r.IntN(5)])
					c.until(40)
					p.set(healthy)
					for i, n := range c.nodes {
						normal = normal && awaittest.Until(c.patience,
							func() bool { return n.s.Level().Mode == knowledge.ModeNormal })
						if !normal && bug.says == nil {
							t.Fatalf("instance %d is not back to normal", i)
						}
					}
					c.until(40)
				}
			})
			c.settle()
			found := strings.Join(c.problems, "\n")
			if bug.says == nil {
				if found != "" {
					t.Errorf("without a bug the checker says:\n%s", found)
				}
				return
			}
			for _, text := range bug.says {
				if strings.Contains(found, text) {
					return
				}
			}
			t.Errorf("the checker has not found it; it says: %q", found)
		})
	}
}

// stays is a primary that outlives the instances.
type stays struct{ failover.Primary }

func (stays) Close() error { return nil }

// anew gives a batch that it has met before another id: what was done is done again.
type anew struct {
	failover.Primary
	met *sync.Map
}

func (a *anew) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if _, again := a.met.LoadOrStore(b.ID, true); again {
		b.ID, b.Ops = knowledge.NewBatchID(), append([]knowledge.Op(nil), b.Ops...)
		for i := range b.Ops {
			// else its own first try would stand in its way
			b.Ops[i].IfVersion, b.Ops[i].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
		}
	}
	return a.Primary.Apply(ctx, b)
}

// careless writes whatever is there.
type careless struct{ failover.Primary }

func (c *careless) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	b.Origin, _ = b.Fingerprint()
	b.Ops = append([]knowledge.Op(nil), b.Ops...)
	for i := range b.Ops {
		b.Ops[i].IfVersion, b.Ops[i].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
	}
	return c.Primary.Apply(ctx, b)
}

// forgetful takes every third batch and does not keep it.
type forgetful struct {
	failover.Journal
	n atomic.Int64
}

func (f *forgetful) Append(ctx context.Context, e store.Entry) error {
	if f.n.Add(1)%3 == 0 {
		return nil
	}
	return f.Journal.Append(ctx, e)
}

// belated says that it has shown what was acknowledged, and shows it when the feed brings it: no floor is raised.
type belated struct{ failover.Mirror }

func (belated) Foresee(context.Context, []store.Left) error { return nil }

// tardy is a primary whose feed takes its time, so that somebody reads before it has brought what was acknowledged.
type tardy struct{ failover.Primary }

func (t *tardy) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	select {
	case <-time.After(30 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return t.Primary.Changes(ctx, q)
}

// mixing shows the text of a look before under what a document is called now.
type mixing struct {
	failover.Mirror
	last sync.Map // by key
}

func (m *mixing) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := m.Mirror.Get(ctx, key)
	if err != nil {
		return r, err
	}
	before, had := m.last.Swap(key, r)
	if !had {
		return r, nil
	}
	mixed := *r
	mixed.JSON = before.(*knowledge.Record).JSON
	return &mixed, nil
}
