package failover

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A batch that is sent again gets its first answer. Its first answer is looked for, in this order:
//
//   - in the journal, for every write: that is one lookup by key
//   - in the recent acknowledgements and then in the mirror's log, for a write that is about to be journalled or
//     refused here; the primary's ledger answers for a write that goes to the primary
//   - in the primary's log, for a write that is about to be refused here although the primary can be asked: the
//     conflict may be the batch's own first attempt
//
// If it is not found although the primary was sent the batch before, the batch is not refused here: see [sent].

// A past finds the first answer of a batch that is sent again.
type past struct {
	o       *Options
	life    *life
	up      *upstream
	mirror  *mirror
	acks    *acks
	journal Journal
	sent    sent
}

// takenHere returns a batch's first answer if this instance knows it. If lenient is set, an error of the mirror counts
// as "not found".
func (h *past) takenHere(ctx context.Context, b *knowledge.Batch, lenient bool) (knowledge.Receipt, bool, error) {
	if rec, taken, err := h.known(ctx, b); taken || err != nil {
		return rec, taken, err
	}
	if rec, taken, err := h.acks.receipt(b); taken || err != nil {
		return rec, taken, err
	}
	if !h.mirror.complete() {
		return knowledge.Receipt{}, false, nil
	}
	rec, taken, err := h.mirrored(ctx, b)
	if err != nil && lenient && !errors.Is(err, store.ErrReused) {
		return knowledge.Receipt{}, false, nil
	}
	return rec, taken, err
}

// inConflict answers a batch that conflicts here. Its first answer goes out instead if this instance or the primary's
// log knows it: the conflict may be the batch's own first attempt.
func (h *past) inConflict(ctx context.Context, b *knowledge.Batch, conflict error) (knowledge.Receipt, error) {
	if rec, taken, err := h.takenHere(ctx, b, true); taken || err != nil {
		return rec, err
	}
	p := h.up.reachable()
	if p == nil {
		return knowledge.Receipt{}, conflict
	}
	own, cancel := context.WithTimeout(ctx, h.o.readTimeout)
	defer cancel()
	changes, err := p.Changes(own, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	if rec, taken, err := logged(b, changes, err); taken || err != nil {
		raise(&h.mirror.floor, rec.Seq) // the mirror may lack what the caller is told
		return rec, err
	}
	return knowledge.Receipt{}, conflict
}

// known returns a batch's first answer if the journal has the batch.
func (h *past) known(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	e, _, err := h.journal.Find(ctx, b.ID)
	switch {
	case isNotFound(err):
		return knowledge.Receipt{}, false, nil
	case err != nil:
		return knowledge.Receipt{}, false, err
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, false, err
	}
	if sum != e.Fingerprint {
		return knowledge.Receipt{}, false, store.ErrReused
	}
	return queuedReceipt(&e), true, nil
}

// mirrored returns a batch's first answer if the mirror's log has the batch.
func (h *past) mirrored(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	changes, err := h.mirror.file.Changes(ctx, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	return logged(b, changes, err)
}

// logged rebuilds a batch's first answer from its changes in a log.
func logged(b *knowledge.Batch, changes []knowledge.Change, err error) (knowledge.Receipt, bool, error) {
	switch {
	case err != nil, len(changes) == 0:
		return knowledge.Receipt{}, false, err
	case !sameContent(b, changes):
		return knowledge.Receipt{}, false, store.ErrReused
	}
	return knowledge.ReceiptOf(b, changes), true, nil
}

// maybeSent reports whether the primary may have been sent a batch before, so that nobody here knows what became of it:
// by this process, which remembers, or by the one before it, which can't. Even a mirror that has been level since does
// not tell, as the primary may get to a batch late. An id made after this process started is new. Of an id that does
// not say when it was made, a level mirror has to do.
func (h *past) maybeSent(id knowledge.BatchID) bool {
	switch {
	case h.sent.unsettled(id):
		return true
	case id.Version() == 7:
		return !time.Unix(id.Time().UnixTime()).After(h.life.began)
	}
	return !h.mirror.wasLevel.Load()
}

// maxUnsettled bounds the ids that [sent] remembers. The oldest are forgotten first.
const maxUnsettled = 4096

// sent remembers the batches that this process has sent to the primary and whose outcome it does not know: the answer
// is not there yet, or was lost. Most of them get into the journal, which remembers them; but its disk may be full, or
// the caller disconnected. If such a batch is sent again, it must not be refused here: its first attempt may have been
// applied, and the mirror may not show that yet.
type sent struct {
	mu    sync.Mutex // guards the fields below
	ids   map[knowledge.BatchID]bool
	order []knowledge.BatchID // the oldest first; some may be settled already
}

// add remembers a batch that is about to be sent.
func (s *sent) add(id knowledge.BatchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[knowledge.BatchID]bool{}
	}
	if s.ids[id] {
		return
	}
	s.ids[id] = true
	s.order = append(s.order, id)
	for len(s.ids) > maxUnsettled {
		delete(s.ids, s.order[0])
		s.order = s.order[1:]
	}
	if len(s.order) > 2*maxUnsettled {
		s.order = slices.DeleteFunc(s.order, func(id knowledge.BatchID) bool { return !s.ids[id] })
	}
}

// settle forgets a batch: what became of it is known, or the journal remembers it.
func (s *sent) settle(id knowledge.BatchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
	if len(s.ids) == 0 {
		s.order = nil
	}
}

// unsettled reports whether a batch was sent and its outcome is not known.
func (s *sent) unsettled(id knowledge.BatchID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

// sameContent reports whether changes may be the effect of a batch. The log does not hold the batch's fingerprint, so
// the content of a patch can't be compared.
func sameContent(b *knowledge.Batch, changes []knowledge.Change) bool {
	at := make(map[knowledge.Key]*knowledge.Change, len(changes))
	for i := range changes {
		at[changes[i].Key] = &changes[i]
	}
	if len(at) != len(b.Ops) {
		return false
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		c := at[op.Key]
		if c == nil || c.Actor != b.Actor || op.Verb.Removes() != c.Verb.Removes() {
			return false
		}
		if op.Verb != knowledge.VerbPut || c.Record == nil || knowledge.StampsMore(op.Doc) {
			continue
		}
		ours, err := knowledge.Clone(op.Doc)
		theirs, failed := c.Record.Document()
		if err != nil || failed != nil {
			return false
		}
		*ours.Stamps() = *theirs.Stamps()
		if a, b, ok := canonicals(ours, theirs); ok && !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// canonicals returns the canonical forms of two documents.
func canonicals(x, y knowledge.Document) (a, b []byte, ok bool) {
	a, err := knowledge.Canonical(x)
	b, failed := knowledge.Canonical(y)
	return a, b, err == nil && failed == nil
}
