package cache

import (
	"sync"

	"tenet/internal/knowledge"
)

const (
	// ownKept is how many of this instance's own batches are remembered.
	ownKept = 4096
	// ownStripes is the most stripes that a remembered batch may touch.
	ownStripes = 256
)

// ownBatches remembers the stripes that this instance's own batches have touched. When the feed brings such a batch,
// the same stripes are stamped again, since an answer read in between may come from a mirror that did not have the
// batch yet. Without ownBatches the previous version would be unknown by then, and an edit that moves nothing would
// invalidate every list of its kind.
type ownBatches struct {
	mu    sync.Mutex // guards the fields below
	lists map[knowledge.BatchID][]stripe
	ring  [ownKept]knowledge.BatchID
	next  int
}

// add remembers a batch, and forgets the oldest.
func (o *ownBatches) add(id knowledge.BatchID, list []stripe) {
	if len(list) > ownStripes || id == (knowledge.BatchID{}) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lists == nil {
		o.lists = make(map[knowledge.BatchID][]stripe, ownKept)
	}
	if _, again := o.lists[id]; !again {
		delete(o.lists, o.ring[o.next])
		o.ring[o.next] = id
		o.next = (o.next + 1) % ownKept
	}
	o.lists[id] = list
}

// touched returns the stripes that a batch has touched; false if the batch is not known.
func (o *ownBatches) touched(id knowledge.BatchID) ([]stripe, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list, ok := o.lists[id]
	return list, ok
}
