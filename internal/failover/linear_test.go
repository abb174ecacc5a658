package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

// versions is a document's version as those who write it and read it as of now see it.
//
//nolint:gochecknoglobals // a model, which nobody writes to
var versions = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		was, got := state.(int64), output.(int64)
		if input.(bool) { // a write
			return got == was+1, got
		}
		return got == was, was
	},
}

// linear has several callers of several instances write one document and read it as of now, and reports whether what
// they were told could have been told by one store, and where a caller who wanders from instance to instance with what
// was seen went back in time. With whole they begin once every copy is whole, else while the copies are made.
func linear(t *testing.T, whole bool, change func(*failover.Options)) (ordered bool, back []string) {
	t.Helper()
	s := newSite(t, pgtest.Start(t, pgtest.Options{}))
	s.outage = change
	c := newCluster(t, s, 3)
	if whole {
		for _, in := range c.instances {
			waitFor(t, "the copy is whole", func() bool {
				st, err := in.Status(t.Context())
				return err == nil && st.Mirror.Ready
			})
		}
	}
	key := knowledge.Key{Kind: knowledge.KindCategory, ID: "register"}
	var mu sync.Mutex // guards history
	var history []porcupine.Operation
	began := time.Now()
	did := func(caller int, write bool, from time.Duration, version int64) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, porcupine.Operation{
			ClientId: caller, Input: write, Call: int64(from), Output: version, Return: int64(time.Since(began)),
		})
	}
	write := func(caller int, in *instance, name string) bool {
		from := time.Since(began)
		rec, err := in.Apply(t.Context(), batchOf(knowledge.Put(&knowledge.Category{ID: key.ID, Name: name},
			knowledge.AnyVersion)))
		if err != nil || rec.Queued {
			t.Errorf("a write: queued %t, %v", rec.Queued, err)
			return false
		}
		did(caller, true, from, rec.Records[0].Version)
		return true
	}
	read := func(caller int, in *instance) {
		from := time.Since(began)
		r, err := in.Get(required(t.Context()), key)
		switch {
		case err == nil:
			did(caller, false, from, r.Version)
		case errors.Is(err, store.ErrNotFound):
			did(caller, false, from, 0)
		case !errors.Is(err, store.ErrUnavailable): // refused is no lie
			t.Errorf("a read: %v", err)
		}
	}
	const rounds, writers, readers = 60, 2, 4
	// Each write that was acknowledged lets two reads begin: those are the ones that may come too early to see it.
	acknowledged := make(chan struct{}, 2*rounds*writers)
	over := make(chan struct{})
	var writing, reading sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for i := range rounds {
				if !write(n, c.instances[n%len(c.instances)], fmt.Sprintf("%d of %d", i, n)) {
					return
				}
				acknowledged <- struct{}{}
				acknowledged <- struct{}{}
			}
		})
	}
	for n := range readers {
		reading.Go(func() {
			for range acknowledged {
				read(writers+n, c.instances[(writers+n)%len(c.instances)])
			}
		})
	}
	reading.Go(func() { back = wander(t, c, key, over) })
	writing.Wait()
	close(acknowledged)
	close(over)
	reading.Wait()
	return porcupine.CheckOperations(versions, history), back
}

// wander reads a document at one instance after the other until all is over, and returns where one showed less than
// another had before.
func wander(t *testing.T, c *cluster, key knowledge.Key, over <-chan struct{}) (back []string) {
	var seen knowledge.Seq
	var version int64
	for i := 0; ; i++ {
		select {
		case <-over:
			return back
		default:
		}
		in := c.instances[i%len(c.instances)]
		r, err := in.Get(atLeast(t.Context(), seen), key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a caller who wanders: %v", err)
			return back
		}
		if now := in.Seq(); now < seen {
			continue // it says that it is behind
		} else {
			seen = now
		}
		if r == nil {
			continue
		}
		if r.Version < version {
			back = append(back, fmt.Sprintf("a caller who had seen version %d is shown %d by another instance",
				version, r.Version))
		}
		version = max(version, r.Version)
	}
}

func TestWritesAndReadsAsOfNowAreLinearizableOverInstances(t *testing.T) {
	t.Parallel()
	// A wait that ends is answered by the copy as it is; on a busy machine that would be no fault.
	ordered, back := linear(t, false, func(o *failover.Options) { o.Wait(failover.Waits{ReadWait: time.Minute}) })
	if !ordered {
		t.Error("what writers and readers were told fits no order")
	}
	for _, what := range back {
		t.Error(what)
	}
}

// A dated primary tells for ever what its newest change was when it was first asked.
type dated struct {
	failover.Primary
	first atomic.Int64
}

func (d *dated) Newest(ctx context.Context) (knowledge.Seq, error) {
	seq, err := d.Primary.Newest(ctx)
	if err == nil {
		d.first.CompareAndSwap(0, int64(seq))
	}
	return knowledge.Seq(d.first.Load()), err
}

func TestAReadIndexOfThePastIsFound(t *testing.T) {
	t.Parallel()
	seed := func(o *failover.Options) {
		connect := o.Connect
		o.Connect = func(ctx context.Context) (failover.Primary, error) {
			p, err := connect(ctx)
			return &dated{Primary: p}, err
		}
		o.Mirror = &late{o.Mirror}
	}
	if ordered, _ := linear(t, true, seed); ordered {
		t.Error("reads whose index was of the past look linearizable: the check finds nothing")
	}
}

// A late mirror takes its time to follow.
type late struct{ failover.Mirror }

func (l *late) Replicate(ctx context.Context, changes []knowledge.Change) error {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return l.Mirror.Replicate(ctx, changes)
}
