package cache

import (
	"sync"

	"tenet/internal/knowledge"
)

const (
	// ownKept is how many of this instance's own batches are remembered until the feed has brought them.
	ownKept = 4096
	// ownStripes is how many stripes a batch may have touched to be remembered.
	ownStripes = 256
)

// ownBatches remembers what this instance's own batches have touched. When the feed brings them, the same is stamped again
// and no more: what was read in between may have come from a mirror that did not have them yet. Without it, an edit that
// moves nothing would look like one whose predecessor nobody knows, and cost every list of its kind.
type ownBatches struct {
	mu    sync.Mutex // guards what follows
	lists map[knowledge.BatchID][]stripe
	ring  [ownKept]knowledge.BatchID
	next  int
}

// add remembers a batch; the oldest is forgotten.
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

// touched returns what a batch has touched; false when it is not known here.
func (o *ownBatches) touched(id knowledge.BatchID) ([]stripe, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list, ok := o.lists[id]
	return list, ok
}
