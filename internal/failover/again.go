package failover

import (
	"bytes"
	"context"
	"errors"
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

// A past finds the first answer of a batch that is sent again.
type past struct {
	o       *Options
	life    *life
	up      *upstream
	mirror  *mirror
	acks    *acks
	journal Journal
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

// mayBeDone reports whether a batch that conflicts here may have been applied before this process started: if the
// previous process crashed before it answered, and the mirror has not been level since, nothing here can tell. A caller
// whose first attempt was cut off by a crash must not be told that the write was refused. An id made after this process
// started is new.
func (h *past) mayBeDone(id knowledge.BatchID, err error) bool {
	if !errors.Is(err, store.ErrConflict) || h.mirror.wasLevel.Load() {
		return false
	}
	return id.Version() != 7 || !time.Unix(id.Time().UnixTime()).After(h.life.began)
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
