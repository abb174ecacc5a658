package failover_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

// TestTheChecksFindSeededBugs puts faults into what an instance is made of, which the checks of the fault tests must
// find: a check that finds nothing in them proves nothing elsewhere.
func TestTheChecksFindSeededBugs(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	for _, bug := range []struct {
		name string
		seed func(*failover.Options)
	}{
		{"a batch is sent again under another id", func(o *failover.Options) {
			connect, seen := o.Connect, &ids{sent: map[knowledge.BatchID]bool{}}
			o.Connect = func(ctx context.Context) (failover.Primary, error) {
				p, err := connect(ctx)
				return &renaming{p, seen}, err
			}
		}},
		{"versions are not checked", func(o *failover.Options) {
			connect := o.Connect
			o.Connect = func(ctx context.Context) (failover.Primary, error) {
				p, err := connect(ctx)
				return &unchecking{p}, err
			}
		}},
		{"the journal forgets", func(o *failover.Options) { o.Journal = &leaky{Journal: o.Journal} }},
		{"an unknown outcome is taken for a refusal", func(o *failover.Options) {
			connect := o.Connect
			o.Connect = func(ctx context.Context) (failover.Primary, error) {
				p, err := connect(ctx)
				return &certain{p}, err
			}
			o.RefuseWrites = true
		}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			s := newSite(t, server)
			proxy := pgtest.NewProxy(t, server.Addr(), "tenet_apply")
			s.address, s.outage = proxy.Through(s.url), bug.seed
			c := newCluster(t, s, 2)
			c.silent = true // sessions may notice too; here the checks at the end must
			c.load(func() {
				c.until("writes to be done", time.Time{}, 20, wasTaken)
				began := time.Now()
				proxy.Play(pgtest.CutAfter)
				c.until("writes to be answered", began, 60, func(*attempt) bool { return true })
				proxy.Stop()
				c.until("writes to be taken after it", time.Now(), 20, wasTaken)
			})
			// one that has forgotten something waits for it, and never calls itself normal
			for _, in := range c.instances {
				pgtest.Await(t, "the journal to be empty", func() bool {
					st, err := in.Status(t.Context())
					return err == nil && st.Journal.Depth == 0
				})
			}
			found := c.judge(logOf(t, c.primary))
			if len(found) == 0 {
				t.Fatal("the checks have found nothing")
			}
			t.Logf("%d faults found, the first: %s", len(found), found[0])
		})
	}
}

// A renaming primary forgets that it was asked before.
type renaming struct {
	failover.Primary
	ids *ids
}

type ids struct {
	mu   sync.Mutex // guards sent
	sent map[knowledge.BatchID]bool
}

func (r *renaming) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	r.ids.mu.Lock()
	again := r.ids.sent[b.ID]
	r.ids.sent[b.ID] = true
	r.ids.mu.Unlock()
	if again {
		b.ID, b.Ops = knowledge.NewBatchID(), append([]knowledge.Op(nil), b.Ops...)
		for i := range b.Ops {
			// else its own first try would stand in its way
			b.Ops[i].IfVersion, b.Ops[i].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
		}
	}
	return r.Primary.Apply(ctx, b)
}

// An unchecking primary overwrites whatever is there.
type unchecking struct{ failover.Primary }

func (u *unchecking) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	b.Ops = append([]knowledge.Op(nil), b.Ops...)
	for i := range b.Ops {
		b.Ops[i].IfVersion, b.Ops[i].IfBatch = knowledge.AnyVersion, knowledge.BatchID{}
	}
	return u.Primary.Apply(ctx, b)
}

// A leaky journal says that it has taken every batch.
type leaky struct {
	failover.Journal
	mu sync.Mutex // guards n
	n  int
}

func (f *leaky) Append(ctx context.Context, e store.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n%3 == 0 {
		return nil
	}
	return f.Journal.Append(ctx, e)
}

// A certain primary is sure that what was not answered was not done.
type certain struct{ failover.Primary }

func (c *certain) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	rec, err := c.Primary.Apply(ctx, b)
	if errors.Is(err, store.ErrUnavailable) {
		return rec, &store.UnavailableError{Reason: "sure that nothing was done", NotDone: true, Err: err}
	}
	return rec, err
}
