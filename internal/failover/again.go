package failover

import (
	"bytes"
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A batch that was taken before is answered as it was then. Who is asked, in this order:
//
//   - the journal, of every write: that is one look at a key
//   - what the primary has acknowledged lately, and then the mirror's log, of a write that is about to be journalled or refused here;
//     one that goes to the primary is answered by the primary's ledger
//   - the primary's log, of a write that is about to be refused here although the primary can be asked: that it does not fit may be its
//     own doing

// takenHere answers a batch by what this machine knows. With lenient, who asks can bear it that a damaged mirror does not say.
func (s *Store) takenHere(ctx context.Context, b *knowledge.Batch, lenient bool) (knowledge.Receipt, bool, error) {
	if rec, taken, err := s.known(ctx, b); taken || err != nil {
		return rec, taken, err
	}
	if rec, taken, err := s.recent.receipt(b); taken || err != nil {
		return rec, taken, err
	}
	if !s.hasMirror() {
		return knowledge.Receipt{}, false, nil
	}
	rec, taken, err := s.mirrored(ctx, b)
	if err != nil && lenient && !errors.Is(err, store.ErrReused) {
		return knowledge.Receipt{}, false, nil
	}
	return rec, taken, err
}

// takenAnywhere answers a batch that does not fit here by what this machine knows, and then by the primary's log.
func (s *Store) takenAnywhere(ctx context.Context, p Primary, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	if rec, taken, err := s.takenHere(ctx, b, true); taken || err != nil {
		return rec, taken, err
	}
	own, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	changes, err := p.Changes(own, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	return logged(b, changes, err)
}

// known answers a batch that the journal has taken before.
func (s *Store) known(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	e, _, err := s.journal.Find(ctx, b.ID)
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

// mirrored answers a batch that the primary did and the feed has brought already.
func (s *Store) mirrored(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	changes, err := s.mirror.Changes(ctx, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	return logged(b, changes, err)
}

// logged answers a batch by what a log has of it.
func logged(b *knowledge.Batch, changes []knowledge.Change, err error) (knowledge.Receipt, bool, error) {
	switch {
	case err != nil, len(changes) == 0:
		return knowledge.Receipt{}, false, err
	case !sameContent(b, changes):
		return knowledge.Receipt{}, false, store.ErrReused
	}
	return knowledge.ReceiptOf(b, changes), true, nil
}

// mayBeDone reports whether a batch that is in conflict here may have been done before this process began: its first answer was lost
// with the process before, and since then nothing was level that would tell. Who heard no answer because of a kill must not hear
// now that it was refused. An id that was made since is new.
func (s *Store) mayBeDone(id knowledge.BatchID, err error) bool {
	if !errors.Is(err, store.ErrConflict) || s.wasLevel.Load() {
		return false
	}
	return id.Version() != 7 || !time.Unix(id.Time().UnixTime()).After(s.began)
}

// sameContent reports whether changes may be what a batch did. The log does not hold the batch's fingerprint, so that what a
// patch asked for can't be told.
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
		if c == nil || c.Actor != b.Actor || (op.Verb == knowledge.VerbPurge) != (c.Verb == knowledge.VerbPurge) {
			return false
		}
		if op.Verb != knowledge.VerbPut || c.Record == nil || op.Key.Kind == knowledge.KindViolation { // a violation is stamped all over
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
