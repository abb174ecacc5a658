package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Apply applies every op of a batch, or none.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if s.closed.Load() {
		return knowledge.Receipt{}, store.ErrClosed
	}
	if s.opts.Mirror {
		return knowledge.Receipt{}, &store.UnavailableError{
			Reason: "this is the copy of another store: write to that one", ReadOnly: true, NotDone: true,
		}
	}
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	fingerprint, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, fmt.Errorf("apply batch: %w", err)
	}
	var receipt knowledge.Receipt
	err = s.do(ctx, "apply", func(ctx context.Context, t *tx) error {
		var err error
		if b.Dry {
			receipt, err = tryOut(ctx, t, &b, fingerprint, s.now)
		} else {
			receipt, err = t.apply(ctx, &b, fingerprint, s.now)
		}
		return err
	})
	if err != nil {
		return knowledge.Receipt{}, err
	}
	return receipt, nil
}

// tryOut applies a batch and takes it back.
func tryOut(ctx context.Context, t *tx, b *knowledge.Batch, fingerprint [32]byte,
	now func() time.Time,
) (knowledge.Receipt, error) {
	before, job := t.head, t.job
	if err := t.exec(ctx, "SAVEPOINT dry"); err != nil {
		return knowledge.Receipt{}, err
	}
	receipt, err := t.apply(ctx, b, fingerprint, now)
	if lost(err) {
		return knowledge.Receipt{}, err
	}
	t.head, t.job = before, job
	receipt.Seq, receipt.Dry = 0, true
	for _, back := range []string{"ROLLBACK TO dry", "RELEASE dry"} {
		if err := t.exec(ctx, back); err != nil {
			return knowledge.Receipt{}, err
		}
	}
	return receipt, err
}

// apply applies a batch that has passed validation.
func (t *tx) apply(ctx context.Context, b *knowledge.Batch, fingerprint [32]byte,
	now func() time.Time,
) (knowledge.Receipt, error) {
	if known, err := t.applied(ctx, b.ID, fingerprint); err != nil || known {
		if err != nil {
			return knowledge.Receipt{}, err
		}
		return t.receipt(ctx, b)
	}
	t.now = knowledge.At(now())
	if b.Found != nil {
		if found, err := find(ctx, t, b, fingerprint); err != nil {
			return knowledge.Receipt{}, err
		} else if found {
			return t.receipt(ctx, b)
		}
	}
	at := b.At
	if at.IsZero() {
		at = t.now
	}
	receipt := knowledge.Receipt{Batch: b.ID, Records: make([]*knowledge.Record, len(b.Ops))}
	if err := keep(ctx, t, b, &receipt); err != nil {
		return knowledge.Receipt{}, err
	}
	var faults []knowledge.Fault
	for i := range b.Ops {
		if receipt.Left(i) {
			continue
		}
		rec, err := t.op(ctx, b, i, at)
		var invalid *knowledge.InvalidError
		switch {
		case errors.As(err, &invalid):
			faults = append(faults, invalid.Faults...)
		case err != nil:
			return knowledge.Receipt{}, err
		}
		receipt.Records[i] = rec
	}
	if faults != nil {
		return knowledge.Receipt{}, &knowledge.InvalidError{Faults: faults}
	}
	receipt.Seq = t.head.Seq
	return receipt, t.exec(ctx, "INSERT INTO batches (id, fingerprint, actor, at, seq) VALUES (?, ?, ?, ?, ?)",
		b.ID[:], fingerprint[:], b.Actor, micros(at), int64(receipt.Seq))
}

// applied reports whether a batch was applied before. The same id with different content is [store.ErrReused].
func (t *tx) applied(ctx context.Context, id knowledge.BatchID, fingerprint [32]byte) (bool, error) {
	var was []byte
	ok, err := t.one(ctx, "SELECT fingerprint FROM batches WHERE id = ?", []any{id[:]}, &was)
	if ok && !bytes.Equal(was, fingerprint[:]) {
		return false, store.ErrReused
	}
	return ok, err
}

// receipt rebuilds the receipt of a batch that the ledger has, from the log.
func (t *tx) receipt(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, error) {
	receipt := knowledge.Receipt{Batch: b.ID}
	if _, err := t.one(ctx, "SELECT seq FROM batches WHERE id = ?", []any{b.ID[:]}, &receipt.Seq); err != nil {
		return receipt, err
	}
	changes, err := logged(ctx, t, "SELECT "+changeColumns+" FROM changes WHERE batch_id = ? ORDER BY seq", b.ID[:])
	if err == nil && len(changes) == 0 {
		changes, err = foundAt(ctx, t, b, receipt.Seq)
		return knowledge.FoundReceipt(b, changes), err
	}
	if err != nil {
		return receipt, err
	}
	receipt = knowledge.ReceiptOf(b, changes)
	if receipt.Kept == nil {
		return receipt, nil
	}
	found, err := foundAt(ctx, t, b, receipt.Seq)
	for i := range found {
		if receipt.Left(i) {
			receipt.Keep(i, found[i].Record)
		}
	}
	return receipt, err
}

// keep finds the ops of a batch that leave their documents as they are, if those are still at the version that was
// looked at, and notes the last op that does something.
func keep(ctx context.Context, t *tx, b *knowledge.Batch, receipt *knowledge.Receipt) error {
	t.last = len(b.Ops) - 1
	for i, rec := range b.Same {
		if rec == nil {
			continue
		}
		now, err := t.current(ctx, rec.Key)
		if err != nil {
			return err
		}
		if now.doc != nil && now.doc.Stamps().Version == rec.Version {
			receipt.Keep(i, rec)
		}
	}
	for t.last > 0 && receipt.Left(t.last) {
		t.last--
	}
	return nil
}

// op applies op i of a batch and returns the resulting record.
func (t *tx) op(ctx context.Context, b *knowledge.Batch, i int, at knowledge.Time) (*knowledge.Record, error) {
	op := &b.Ops[i]
	pointer := "/ops/" + strconv.Itoa(i)
	now, err := t.current(ctx, op.Key)
	if err != nil {
		return nil, err
	}
	before := now
	if now.doc == nil && op.Verb == knowledge.VerbRestore {
		if before, err = archived(ctx, t, op.Key); err != nil {
			return nil, err
		}
	}
	if err := t.condition(ctx, op, i, before); err != nil {
		return nil, err
	}
	if b.At.IsZero() && before.doc != nil && at.Before(before.doc.Stamps().UpdatedAt.Time) {
		at = before.doc.Stamps().UpdatedAt // the clock was set back: the times of a document never go back
	}
	next, err := op.Next(before.doc)
	if err != nil {
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
			if op.Verb == knowledge.VerbPatch {
				pointer += "/patch"
			}
			return nil, invalid.Below(pointer)
		}
		return nil, err
	}
	if next == nil {
		return nil, t.leave(ctx, b, i, now, at)
	}
	if err := t.parentExists(ctx, op, next, pointer); err != nil {
		return nil, err
	}
	var last int64
	if now.doc == nil {
		if last, err = t.takeUp(ctx, op.Key); err != nil {
			return nil, err
		}
	}
	// The caller's document stays as it is: the stamps go onto a copy.
	if op.Verb == knowledge.VerbPut {
		if next, err = knowledge.Clone(next); err != nil {
			return nil, err
		}
	}
	knowledge.StampNext(next, before.doc, last, b.Actor, at)
	rec, err := knowledge.NewRecord(next)
	if err != nil {
		return nil, err
	}
	if err := t.put(ctx, rec, next, now, knowledge.BatchID{}); err != nil {
		return nil, err
	}
	return rec, t.log(ctx, b, &knowledge.Change{
		Batch: b.ID, Verb: knowledge.ChangeVerb(before.doc, next), Key: op.Key, Version: rec.Version, Record: rec, Actor: b.Actor, At: at,
		Hash: sha256.Sum256(rec.JSON), More: i < t.last,
	})
}

// condition checks the version that an op expects against the stored document.
func (t *tx) condition(ctx context.Context, op *knowledge.Op, i int, now current) error {
	var version int64
	if now.doc != nil {
		version = now.doc.Stamps().Version
	}
	switch {
	case op.IfBatch != (knowledge.BatchID{}):
		return t.leftBy(ctx, op, i, version)
	case op.IfVersion == knowledge.AnyVersion:
		if now.doc == nil && op.Verb != knowledge.VerbPut {
			return &store.NotFoundError{Key: op.Key}
		}
	case op.IfVersion == knowledge.NoVersion:
		if now.doc != nil {
			return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: version}
		}
	case now.doc == nil && op.Verb != knowledge.VerbPut:
		return &store.NotFoundError{Key: op.Key}
	case op.IfVersion != version:
		return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: version}
	}
	return nil
}

// leftBy checks that the stored version was written by the batch that the op's writer saw.
func (t *tx) leftBy(ctx context.Context, op *knowledge.Op, i int, version int64) error {
	if version == 0 && op.Verb != knowledge.VerbPut {
		return &store.NotFoundError{Key: op.Key}
	}
	var one int
	const query = "SELECT 1 FROM changes INDEXED BY changes_by_batch WHERE batch_id = ? AND kind = ? AND id = ? AND " +
		"version = ?"
	left, err := t.one(ctx, query, []any{op.IfBatch[:], string(op.Key.Kind), op.Key.ID, version}, &one)
	if err == nil && !left {
		err = &store.ConflictError{Key: op.Key, Op: i, Got: version, WantBatch: op.IfBatch}
	}
	return err
}

// parentExists checks that the document exists to which another one refers.
func (t *tx) parentExists(ctx context.Context, op *knowledge.Op, next knowledge.Document, pointer string) error {
	key, field, ok := knowledge.ParentOf(next)
	if !ok {
		return nil
	}
	tab := tableOf(key.Kind)
	var one int
	found, err := t.one(ctx, "SELECT 1 FROM "+tab.name+" WHERE "+tab.id+" = ?", []any{key.ID}, &one)
	if err != nil || found {
		return err
	}
	if op.Verb == knowledge.VerbPatch {
		pointer += "/patch/"
	} else {
		pointer += "/document/"
	}
	return knowledge.Invalid(pointer+field, "no %s %q: create it first", key.Kind, key.ID)
}

// takeUp returns the last version of a document that was archived or purged, 0 for none, and lets another one have its
// id.
func (t *tx) takeUp(ctx context.Context, key knowledge.Key) (int64, error) {
	last, err := t.lastPurged(ctx, key)
	if err == nil && last > 0 {
		err = t.exec(ctx, "DELETE FROM purged WHERE kind = ? AND id = ?", string(key.Kind), key.ID)
	}
	return last, err
}

// leave archives or purges a document.
func (t *tx) leave(ctx context.Context, b *knowledge.Batch, i int, now current, at knowledge.Time) error {
	op := &b.Ops[i]
	for _, ref := range references(op.Key.Kind) {
		var one int
		used, err := t.one(ctx, "SELECT 1 FROM "+ref.table+" WHERE "+ref.column+" = ? LIMIT 1", []any{op.Key.ID}, &one)
		if err != nil {
			return err
		}
		if used {
			return knowledge.Invalid("/ops/"+strconv.Itoa(i), "%s is still named by %s: %s or change those first",
				op.Key, ref.table, op.Verb)
		}
	}
	version := now.doc.Stamps().Version + 1
	var err error
	if op.Verb == knowledge.VerbArchive {
		err = archive(ctx, t, op.Key, now, version)
	} else {
		err = t.remove(ctx, op.Key, now, version)
	}
	if err != nil {
		return err
	}
	return t.log(ctx, b, &knowledge.Change{
		Batch: b.ID, Verb: op.Verb, Key: op.Key, Version: version, Actor: b.Actor, At: at,
		Hash: knowledge.RemovalHash(op.Verb, b.Actor, at), More: i < t.last,
	})
}

// log appends a change of a batch to the log and to the chain.
func (t *tx) log(ctx context.Context, b *knowledge.Batch, c *knowledge.Change) error {
	if b.EnteredBy != "" {
		c.EnteredBy, c.EnteredAt = b.EnteredBy, c.At
		if !b.At.IsZero() {
			c.EnteredAt = t.now
		}
	}
	c.Message = b.Message
	c.Seq = t.head.Seq + 1
	c.Chain = knowledge.NextChain(t.head.Chain, c)
	if err := t.insertChange(ctx, c); err != nil {
		return err
	}
	t.head = head{c.Seq, c.Chain}
	return nil
}
