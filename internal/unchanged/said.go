package unchanged

import (
	"context"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// remembered is how many documents the batches name that are remembered. The log knows nothing of them, and the newest
// are those that a caller may send again.
const remembered = 20_000

// said remembers what batches that changed nothing were answered with: one that is sent again must not write over what
// somebody else has written since.
type said struct {
	mu    sync.Mutex
	by    map[knowledge.BatchID]*answer
	order []knowledge.BatchID // oldest first
	keys  int                 // documents that they name
}

// An answer is what a receipt is made of again. It holds no text: that may be erased or purged meanwhile.
type answer struct {
	fingerprint [32]byte
	seq         knowledge.Seq
	versions    []int64
}

// note remembers the answer to a batch.
func (s *said) note(b *knowledge.Batch, r *knowledge.Receipt) error {
	sum, err := b.Fingerprint()
	if err != nil {
		return err
	}
	a := &answer{fingerprint: sum, seq: r.Seq, versions: make([]int64, len(r.Records))}
	for i, rec := range r.Records {
		a.versions[i] = rec.Version
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[knowledge.BatchID]*answer{}
	}
	if s.by[b.ID] != nil {
		return nil
	}
	s.by[b.ID], s.order = a, append(s.order, b.ID)
	s.keys += len(a.versions)
	for s.keys > remembered && len(s.order) > 1 {
		s.keys -= len(s.by[s.order[0]].versions)
		delete(s.by, s.order[0])
		s.order = s.order[1:]
	}
	return nil
}

// of returns the answer to a batch, nil when none is remembered.
func (s *said) of(id knowledge.BatchID) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}

// again returns the receipt of a batch that was answered before, and whether it was. It is [store.ErrReused] when the
// id was used for other content.
func (s *Store) again(ctx context.Context, b *knowledge.Batch) (r knowledge.Receipt, was bool, err error) {
	a := s.said.of(b.ID)
	if a == nil || b.Dry {
		return r, false, nil
	}
	if sum, err := b.Fingerprint(); err != nil {
		return r, true, err
	} else if sum != a.fingerprint || len(b.Ops) != len(a.versions) {
		return r, true, store.ErrReused
	}
	r = knowledge.Receipt{Batch: b.ID, Seq: a.seq, Records: make([]*knowledge.Record, len(b.Ops)), Unchanged: true}
	for i := range b.Ops {
		then, err := s.next.Changes(ctx, knowledge.ChangeQuery{Key: b.Ops[i].Key, Version: a.versions[i], Limit: 1})
		if err != nil {
			return knowledge.Receipt{}, true, err
		}
		if len(then) > 0 {
			r.Records[i] = then[0].Record
		}
	}
	return r, true, nil
}
