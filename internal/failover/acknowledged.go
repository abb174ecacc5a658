package failover

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// ackBytes bounds the memory for acknowledged batches. The feed usually brings a batch within milliseconds. Over the
// bound the oldest batches are forgotten; if a failover of the primary then loses one of those, only the next
// comparison finds it.
const ackBytes = 32 << 20

// acks remembers the batches that the primary has acknowledged and the feed has not yet brought. Until the feed brings
// them nothing else on this instance knows them: a repeated batch would conflict with itself, and a batch that a
// failover loses would be lost unnoticed.
type acks struct {
	mu      sync.RWMutex // guards the fields below
	batches map[knowledge.BatchID]acknowledged
	newest  map[knowledge.Key]knowledge.BatchID // of them, the last one that wrote a document
	order   []knowledge.BatchID                 // the oldest first; some may be forgotten already
	bytes   int
	lost    knowledge.Seq // the newest that was forgotten over the bound

	some atomic.Bool // there are batches
}

// An acknowledged batch, with the receipt that its writer got.
type acknowledged struct {
	batch   knowledge.Batch
	receipt knowledge.Receipt
	at      time.Time
	bytes   int
}

func newAcks() *acks {
	return &acks{
		batches: map[knowledge.BatchID]acknowledged{}, newest: map[knowledge.Key]knowledge.BatchID{},
	}
}

// add remembers a batch and its receipt.
func (a *acks) add(b *knowledge.Batch, rec *knowledge.Receipt) {
	size := 512
	for i, r := range rec.Records {
		size += 256 + len(b.Ops[i].Patch)
		if r != nil {
			size += 2 * len(r.JSON) // the op's document is as large
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(b.ID)
	a.batches[b.ID] = acknowledged{*b, *rec, time.Now(), size}
	for i := range b.Ops {
		if rec.Left(i) { // an earlier batch is still the last that wrote it
			continue
		}
		if before, there := a.batches[a.newest[b.Ops[i].Key]]; !there || before.receipt.Seq <= rec.Seq {
			a.newest[b.Ops[i].Key] = b.ID
		}
	}
	a.some.Store(true)
	a.order = append(a.order, b.ID)
	a.bytes += size
	for a.bytes > ackBytes && len(a.order) > 0 {
		a.lost = max(a.lost, a.batches[a.order[0]].receipt.Seq)
		a.drop(a.order[0])
		a.order = a.order[1:]
	}
}

// drop needs a.mu.
func (a *acks) drop(id knowledge.BatchID) {
	was := a.batches[id]
	for i := range was.batch.Ops {
		if key := was.batch.Ops[i].Key; a.newest[key] == id {
			delete(a.newest, key)
		}
	}
	a.bytes -= was.bytes
	delete(a.batches, id)
	if len(a.batches) == 0 {
		a.order = nil
		a.some.Store(false)
	}
}

// left returns what the last acknowledged batch that wrote a document left of it, and the batch's seq; false if the
// feed has brought all that was acknowledged of it.
func (a *acks) left(key knowledge.Key) (store.Left, knowledge.Seq, bool) {
	if !a.some.Load() {
		return store.Left{}, 0, false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	was, there := a.batches[a.newest[key]]
	if !there {
		return store.Left{}, 0, false
	}
	for _, l := range slices.Backward(leftBy(was.batch.Ops, &was.receipt)) {
		if l.Key == key {
			return l, was.receipt.Seq, true
		}
	}
	return store.Left{}, 0, false
}

// before returns the batches that were acknowledged before t.
func (a *acks) before(t time.Time) []acknowledged {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var list []acknowledged
	for _, was := range a.batches {
		if was.at.Before(t) {
			list = append(list, was)
		}
	}
	return list
}

// since returns what the batches left that were acknowledged at t or later, in the order of the log, and the newest seq
// up to which some may be missing.
func (a *acks) since(t time.Time) ([]store.Left, knowledge.Seq) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := make([]acknowledged, 0, len(a.batches))
	for _, was := range a.batches {
		if !was.at.Before(t) {
			list = append(list, was)
		}
	}
	slices.SortFunc(list, func(a, b acknowledged) int { return cmp.Compare(a.receipt.Seq, b.receipt.Seq) })
	left := make([]store.Left, 0, len(list))
	for i := range list {
		left = append(left, leftBy(list[i].batch.Ops, &list[i].receipt)...)
	}
	return left, a.lost
}

// leftBy returns the documents that an acknowledged batch left, without those that it left as they were.
func leftBy(ops []knowledge.Op, rec *knowledge.Receipt) []store.Left {
	left := make([]store.Left, 0, len(ops))
	for i := range ops {
		if rec.Left(i) {
			continue
		}
		is := store.Left{Key: ops[i].Key}
		if i < len(rec.Records) && rec.Records[i] != nil {
			is.Record = rec.Records[i]
		}
		left = append(left, is)
	}
	return left
}

// receipt returns the receipt of an acknowledged batch; [store.ErrReused] when the id was used for other content.
func (a *acks) receipt(b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	a.mu.RLock()
	was, there := a.batches[b.ID]
	a.mu.RUnlock()
	if !there {
		return knowledge.Receipt{}, false, nil
	}
	before, err := was.batch.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, false, err
	}
	if now, err := b.Fingerprint(); err != nil || now != before {
		return knowledge.Receipt{}, false, errors.Join(store.ErrReused, err)
	}
	return was.receipt, true, nil
}

// followed forgets the batches that the feed has brought.
func (a *acks) followed(changes []knowledge.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		if was, there := a.batches[c.Batch]; there && c.Seq >= was.receipt.Seq {
			a.drop(c.Batch)
		}
	}
}

// levelled forgets the batches acknowledged before asked, the time of a look that found the mirror level with the
// primary.
func (a *acks) levelled(asked time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, was := range a.batches {
		if was.at.Before(asked) {
			a.drop(id)
		}
	}
}
