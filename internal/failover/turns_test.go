package failover_test

import (
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/knowledge"
)

// What is journalled of other documents does not wait while the mirror is slow to take one, nor do reads; what is made
// on top of it does.
func TestBatchesOfOtherDocumentsAreJournalledSideBySide(t *testing.T) {
	held, release := make(chan struct{}, 1), make(chan struct{})
	g := &gated{}
	c := newScene(t, behind(g))
	c.primary.set(refused)
	waitMode(t, c.s, knowledge.ModeDegraded)
	var begun atomic.Bool
	g.lays = func(int) {
		if !begun.Swap(true) {
			held <- struct{}{}
			<-release
		}
	}
	slow := batchOf(onto(rule("SLOW-001"), nil))
	answers := make(chan knowledge.Receipt, 2)
	apply := func(b knowledge.Batch) {
		rec, err := c.s.Apply(t.Context(), b)
		if err != nil {
			t.Errorf("write: %v", err)
		}
		answers <- rec
	}
	go apply(slow)
	<-held
	if rec := c.write(onto(rule("FAST-001"), nil)); !rec.Queued {
		t.Errorf("receipt %+v: want one that is queued", rec)
	}
	go apply(batchOf(onBatch(rule("SLOW-001"), slow.ID)))
	select {
	case rec := <-answers:
		t.Errorf("batch %s was answered while the one before it on the document was not laid over the mirror", rec.Batch)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if a, b := <-answers, <-answers; a.Batch != slow.ID || !b.Queued {
		t.Errorf("answers of %s and %s: want %s and then the one on top of it", a.Batch, b.Batch, slow.ID)
	}
	r, err := c.s.Get(t.Context(), ruleKey("SLOW-001"))
	if err != nil || r.Pending == slow.ID {
		t.Errorf("document %+v, %v: want what the second batch has left", r, err)
	}
}
