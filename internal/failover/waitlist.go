package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A waitlist knows the batches that wait for the primary, and their documents.
type waitlist struct {
	journal Journal

	mu      sync.Mutex                          // guards the fields below; counted calls into modes with it held
	pending map[knowledge.Key]knowledge.BatchID // the last waiting batch that writes a document
	waiting map[knowledge.BatchID]bool
	unlaid  map[knowledge.BatchID]bool // of them, those that could not be laid over the mirror

	hidden atomic.Bool // there are unlaid ones
	known  atomic.Bool // the list has all that waits: after a start it is read from the journal, the oldest first
}

func newWaitlist(j Journal) *waitlist {
	return &waitlist{
		journal: j, pending: map[knowledge.Key]knowledge.BatchID{}, waiting: map[knowledge.BatchID]bool{},
		unlaid: map[knowledge.BatchID]bool{},
	}
}

// hide notes that a batch which waits, or is about to, could not be laid over the mirror.
func (w *waitlist) hide(id knowledge.BatchID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlaid[id] = true
	w.hidden.Store(true)
}

// laid notes that all waiting batches are laid over the mirror.
func (w *waitlist) laid() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.unlaid)
	w.hidden.Store(false)
}

// lacking returns the number of waiting batches that are not laid over the mirror.
func (w *waitlist) lacking() int {
	if !w.hidden.Load() {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.unlaid)
}

// hides reports whether the mirror lacks what the last waiting batch leaves of a document.
func (w *waitlist) hides(key knowledge.Key) bool {
	if !w.hidden.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id, waits := w.pending[key]
	return waits && w.unlaid[id]
}

// note adds waiting batches.
func (w *waitlist) note(entries ...store.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		w.waiting[e.Batch.ID] = true
		for j := range e.Batch.Ops {
			w.pending[e.Batch.Ops[j].Key] = e.Batch.ID
		}
	}
}

// remove removes a batch, and returns how many still wait.
func (w *waitlist) remove(id knowledge.BatchID, keys []knowledge.Key) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, id)
	delete(w.unlaid, id)
	w.hidden.Store(len(w.unlaid) > 0)
	for _, key := range keys {
		if w.pending[key] == id {
			delete(w.pending, key)
		}
	}
	return len(w.waiting)
}

// all returns the waiting batches, with the documents of which each is the last writer.
func (w *waitlist) all() map[knowledge.BatchID][]knowledge.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make(map[knowledge.BatchID][]knowledge.Key, len(w.waiting))
	for id := range w.waiting {
		list[id] = nil
	}
	for key, id := range w.pending {
		list[id] = append(list[id], key)
	}
	return list
}

// counted calls fn with the number of waiting batches, which does not change meanwhile.
func (w *waitlist) counted(fn func(n int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(len(w.waiting))
}

// len returns the number of waiting batches.
func (w *waitlist) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// on reports whether a batch waits that writes one of the documents.
func (w *waitlist) on(keys ...knowledge.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		if _, ok := w.pending[key]; ok {
			return true
		}
	}
	return false
}

// last reports whether a batch is the last one that waits of those that write a document.
func (w *waitlist) last(key knowledge.Key, id knowledge.BatchID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending[key] == id
}

// journalled returns the document that the last waiting batch leaves, as the journal has it; false if no batch waits,
// or until the list is complete: nobody knows before which batch is the last. An error says that the journal can't
// tell.
func (w *waitlist) journalled(ctx context.Context, key knowledge.Key) (*knowledge.Record, bool, error) {
	if !w.known.Load() {
		return nil, false, nil
	}
	w.mu.Lock()
	id, waits := w.pending[key]
	w.mu.Unlock()
	if !waits {
		return nil, false, nil
	}
	e, out, err := w.journal.Find(ctx, id)
	if isNotFound(err) || err == nil && out.State != knowledge.BatchQueued {
		return nil, false, nil // it was replayed or parked just now
	}
	if err != nil {
		return nil, false, err
	}
	for _, r := range slices.Backward(queuedReceipt(&e).Records) {
		if r != nil && r.Key == key {
			return r, true, nil
		}
	}
	return nil, false, nil
}

// any reports whether a batch waits.
func (w *waitlist) any() bool { return w.len() > 0 }

// keysOf returns the documents of a waiting batch. The entry of a damaged batch may not tell, so the waitlist's own
// keys are added.
func (w *waitlist) keysOf(e *store.Entry) []knowledge.Key {
	keys := make([]knowledge.Key, len(e.Batch.Ops))
	for i := range e.Batch.Ops {
		keys[i] = e.Batch.Ops[i].Key
	}
	if !e.Damaged {
		return keys
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, last := range w.pending {
		if last == e.Batch.ID {
			keys = append(keys, key)
		}
	}
	return keys
}

// has reports whether a batch is known to wait.
func (w *waitlist) has(id knowledge.BatchID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[id]
}

// queuedReceipt is the answer to a write that waits in the journal.
func queuedReceipt(e *store.Entry) knowledge.Receipt {
	rec := knowledge.Receipt{Batch: e.Batch.ID, Queued: true, Records: make([]*knowledge.Record, len(e.Batch.Ops))}
	for i := range e.Batch.Ops {
		op := &e.Batch.Ops[i]
		l, known := e.LeftOf(op.Key)
		if !known && op.Verb == knowledge.VerbPut && op.Doc != nil {
			// The mirror could not tell what the primary will make of it; the document itself is certain.
			l, _ = left(op, i, nil, e)
		}
		if l.Record != nil {
			c := *l.Record
			c.Pending, c.Source = e.Batch.ID, knowledge.SourceMirror
			rec.Records[i] = &c
		}
	}
	return rec
}

// left returns the document that an operation leaves on this instance until the primary has decided.
func left(op *knowledge.Op, i int, current *knowledge.Record, e *store.Entry) (store.Left, error) {
	var before knowledge.Document
	var err error
	if current != nil {
		if before, err = current.Document(); err != nil {
			return store.Left{}, err
		}
	}
	next, err := op.Next(before)
	if err != nil {
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
			return store.Left{}, invalid.Below(fmt.Sprintf("/ops/%d/patch", i))
		}
		return store.Left{}, err
	}
	if next, err = knowledge.Clone(next); err != nil {
		return store.Left{}, err
	}
	knowledge.StampNext(next, before, max(0, op.IfVersion), e.Batch.Actor, e.At)
	stamps := next.Stamps()
	switch {
	case stamps.Version <= op.IfVersion && op.IfVersion != knowledge.NeverVersion:
		stamps.Version = op.IfVersion + 1 // its writer has seen a later version than the mirror has
	case e.Unknown && current != nil && op.IfVersion != knowledge.AnyVersion:
		stamps.Version = max(current.Version, op.IfVersion+1) // the document there may be its own first attempt
	}
	r, err := knowledge.NewRecord(next)
	if err != nil {
		return store.Left{}, err
	}
	r.Source, r.Pending = knowledge.SourceMirror, e.Batch.ID
	return store.Left{Key: op.Key, Record: r}, nil
}
