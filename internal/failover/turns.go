package failover

import (
	"slices"
	"sync"

	"tenet/internal/knowledge"
)

// turns journals batches that touch the same documents one after the other, each made on top of the one before, and
// other batches at the same time, so that they share disk flushes. A batch waits only for those that came before it.
type turns struct {
	// gate is held shared by every batch that has a turn, and exclusively by code that must run while none has.
	gate sync.RWMutex
	mu   sync.Mutex // guards the fields below; never held while waiting
	line order
	at   map[knowledge.BatchID]chan struct{} // closed when the batch's turn ends
}

// take waits for a batch's turn. The caller must give it back.
func (t *turns) take(b *knowledge.Batch) (giveBack func()) {
	t.gate.RLock()
	mine := make(chan struct{})
	t.mu.Lock()
	if t.line == nil {
		t.line, t.at = order{}, map[knowledge.BatchID]chan struct{}{}
	}
	before := t.line.behind(b, mine)
	if same := t.at[b.ID]; same != nil { // the same id was sent twice at once, perhaps with other content
		before = append(before, same)
	}
	t.at[b.ID] = mine
	t.mu.Unlock()
	for _, c := range before {
		<-c
	}
	return func() {
		t.mu.Lock()
		t.line.leave(b, mine)
		if t.at[b.ID] == mine {
			delete(t.at, b.ID)
		}
		t.mu.Unlock()
		close(mine)
		t.gate.RUnlock()
	}
}

// over waits until a batch's turn has ended.
func (t *turns) over(id knowledge.BatchID) {
	t.mu.Lock()
	c := t.at[id]
	t.mu.Unlock()
	if c != nil {
		<-c
	}
}

// touched returns the documents that a batch writes, and those it refers to.
func touched(b *knowledge.Batch) (written, referred []knowledge.Key) {
	written = make([]knowledge.Key, 0, len(b.Ops))
	for i := range b.Ops {
		op := &b.Ops[i]
		written = append(written, op.Key)
		if op.Doc == nil {
			continue
		}
		if parent, _, ok := knowledge.ParentOf(op.Doc); ok {
			referred = append(referred, parent)
		}
	}
	return written, referred
}

// An order lists the batches that touch each document, each with a channel that is closed when the batch is done.
type order map[knowledge.Key]*turn

// A turn holds the last batch that writes a document, and the batches since that refer to it.
type turn struct {
	writer  chan struct{}
	readers []chan struct{}
}

// behind puts a batch in line, and returns the channels to wait for: a batch that writes a document waits for all
// before it, one that refers to it only for the last writer.
func (o order) behind(b *knowledge.Batch, mine chan struct{}) (waits []chan struct{}) {
	written, referred := touched(b)
	at := func(key knowledge.Key) *turn {
		if o[key] == nil {
			o[key] = &turn{}
		}
		return o[key]
	}
	for _, key := range referred {
		t := at(key)
		if t.writer != nil {
			waits = append(waits, t.writer)
		}
		t.readers = append(t.readers, mine)
	}
	for _, key := range written {
		t := at(key)
		if t.writer != nil && t.writer != mine {
			waits = append(waits, t.writer)
		}
		for _, c := range t.readers {
			if c != mine { // a batch may refer to a document that it writes
				waits = append(waits, c)
			}
		}
		t.writer, t.readers = mine, nil
	}
	return waits
}

// leave removes a batch that is done.
func (o order) leave(b *knowledge.Batch, mine chan struct{}) {
	written, referred := touched(b)
	for _, key := range slices.Concat(written, referred) {
		t := o[key]
		if t == nil {
			continue
		}
		if t.writer == mine {
			t.writer = nil
		}
		t.readers = slices.DeleteFunc(t.readers, func(c chan struct{}) bool { return c == mine })
		if t.writer == nil && len(t.readers) == 0 {
			delete(o, key)
		}
	}
}
