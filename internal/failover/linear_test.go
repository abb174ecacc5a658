package failover_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// TestWritesAndReadsAsOfNowAreLinearizableOverInstances has several callers of several instances write one document and
// read it as of now, and one who wanders from instance to instance with what was seen.
// The judge knows whether what they were told could have been told by one store.
func TestWritesAndReadsAsOfNowAreLinearizableOverInstances(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.Start(t, pgtest.Options{}))
	// A wait that ends is answered by the mirror as it is; on a busy machine that would be no fault.
	s.outage = func(o *failover.Options) { o.Wait(failover.Waits{ReadWait: time.Minute}) }
	c := newCluster(t, s, 3)
	one := shared(0)
	at := func(n int, name string) *session {
		return c.session(c.nodes[n%len(c.nodes)], fmt.Sprintf("%s %d", name, n), nil)
	}
	const rounds, writers, readers = 60, 2, 4
	// Each write that was acknowledged lets two reads begin: those are the ones that may come too early to see it.
	acknowledged := make(chan struct{}, 2*rounds*writers)
	over := make(chan struct{})
	var writing, reading sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for i := range rounds {
				w := &write{whatever: true, shared: true, batch: batchOf(knowledge.Put(
					titled(one.ID, fmt.Sprintf("%d of %d", i, n)), knowledge.AnyVersion))}
				if at(n, "writer").send(w); w.receipt.Queued || len(w.receipt.Records) == 0 {
					t.Errorf("a write: %+v", w.receipt)
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
				at(writers+n, "reader").get(one, true)
			}
		})
	}
	reading.Go(func() { c.wander(one, over) })
	writing.Wait()
	close(acknowledged)
	close(over)
	reading.Wait()
	c.check()
}

// wander lets one session read a document at one instance after the other until all is over, with what it has seen.
func (c *cluster) wander(key knowledge.Key, over <-chan struct{}) {
	var seen knowledge.Seq
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		default:
		}
		in := c.instance(i % len(c.nodes))
		one := &call{by: "a wanderer", began: time.Now(), read: &read{key: key}}
		var r *knowledge.Record
		r, one.err = in.Get(atLeast(c.t.Context(), seen), key)
		one.read.shows(c, r, one.err)
		now := in.Seq()
		if found(one.err) && now < seen {
			continue // it says that it is behind
		}
		seen = max(seen, now)
		c.history.ended(one)
	}
}
