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

// Apply does every op of a batch, or none.
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
		receipt, err = t.apply(ctx, &b, fingerprint, s.now)
		return err
	})
	if err != nil {
		return knowledge.Receipt{}, err
	}
	return receipt, nil
}

// apply does a batch that is valid by itself.
func (t *tx) apply(ctx context.Context, b *knowledge.Batch, fingerprint [32]byte, now func() time.Time) (knowledge.Receipt, error) {
	if known, err := t.applied(ctx, b.ID, fingerprint); err != nil || known {
		if err != nil {
			return knowledge.Receipt{}, err
		}
		return t.receipt(ctx, b.ID)
	}
	at := b.At
	if at.IsZero() {
		at = knowledge.At(now())
	}
	receipt := knowledge.Receipt{Batch: b.ID, Records: make([]*knowledge.Record, len(b.Ops))}
	var faults []knowledge.Fault
	for i := range b.Ops {
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

// applied reports whether a batch was done before. Another content under its id is an error.
func (t *tx) applied(ctx context.Context, id knowledge.BatchID, fingerprint [32]byte) (bool, error) {
	var was []byte
	ok, err := t.one(ctx, "SELECT fingerprint FROM batches WHERE id = ?", []any{id[:]}, &was)
	if ok && !bytes.Equal(was, fingerprint[:]) {
		return false, store.ErrReused
	}
	return ok, err
}

// receipt makes the receipt of a batch again, from the log.
func (t *tx) receipt(ctx context.Context, id knowledge.BatchID) (knowledge.Receipt, error) {
	receipt := knowledge.Receipt{Batch: id}
	if _, err := t.one(ctx, "SELECT seq FROM batches WHERE id = ?", []any{id[:]}, &receipt.Seq); err != nil {
		return receipt, err
	}
	st, err := t.stmt(ctx, "SELECT "+changeColumns+" FROM changes WHERE batch_id = ? ORDER BY seq") //nolint:sqlclosecheck // closed with its writer
	if err != nil {
		return receipt, err
	}
	rows, err := st.QueryContext(ctx, id[:])
	if err != nil {
		return receipt, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		c, err := scanChange(rows, knowledge.SourcePrimary)
		if err != nil {
			return receipt, err
		}
		receipt.Records = append(receipt.Records, c.Record)
	}
	return receipt, rows.Err()
}

// op does op i of a batch and returns the record that it leaves behind.
func (t *tx) op(ctx context.Context, b *knowledge.Batch, i int, at knowledge.Time) (*knowledge.Record, error) {
	op := &b.Ops[i]
	pointer := "/ops/" + strconv.Itoa(i)
	now, err := t.current(ctx, op.Key)
	if err != nil {
		return nil, err
	}
	if err := condition(op, i, now); err != nil {
		return nil, err
	}
	if b.At.IsZero() && now.doc != nil && at.Before(now.doc.Stamps().UpdatedAt.Time) {
		at = now.doc.Stamps().UpdatedAt // the clock was set back: a document's times never are
	}
	next, err := op.Next(now.doc)
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
		return nil, t.purge(ctx, b, i, now, at)
	}
	if err := t.parentExists(ctx, op, next, pointer); err != nil {
		return nil, err
	}
	var last int64
	if now.doc == nil {
		if last, err = t.lastPurged(ctx, op.Key); err != nil {
			return nil, err
		}
		if last > 0 {
			if err := t.exec(ctx, "DELETE FROM purged WHERE kind = ? AND id = ?", string(op.Key.Kind), op.Key.ID); err != nil {
				return nil, err
			}
		}
	}
	// The caller's document stays as it is: the stamps go onto a copy.
	if op.Verb == knowledge.VerbPut {
		if next, err = knowledge.Clone(next); err != nil {
			return nil, err
		}
	}
	knowledge.StampNext(next, now.doc, last, b.Actor, at)
	rec, err := knowledge.NewRecord(next)
	if err != nil {
		return nil, err
	}
	if err := t.put(ctx, rec, next, now, knowledge.BatchID{}); err != nil {
		return nil, err
	}
	return rec, t.log(ctx, &knowledge.Change{
		Batch: b.ID, Verb: knowledge.ChangeVerb(now.doc, next), Key: op.Key, Version: rec.Version, Record: rec, Actor: b.Actor, At: at,
		Hash: sha256.Sum256(rec.JSON), More: i < len(b.Ops)-1,
	})
}

// condition checks an op against what is there.
func condition(op *knowledge.Op, i int, now current) error {
	var version int64
	if now.doc != nil {
		version = now.doc.Stamps().Version
	}
	switch {
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

// parentExists checks that the document that another one refers to is there.
func (t *tx) parentExists(ctx context.Context, op *knowledge.Op, next knowledge.Document, pointer string) error {
	key, field, ok := parent(next)
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

// purge removes a document and its texts from the log.
func (t *tx) purge(ctx context.Context, b *knowledge.Batch, i int, now current, at knowledge.Time) error {
	op := &b.Ops[i]
	for _, ref := range references(op.Key.Kind) {
		var one int
		used, err := t.one(ctx, "SELECT 1 FROM "+ref.table+" WHERE "+ref.column+" = ? LIMIT 1", []any{op.Key.ID}, &one)
		if err != nil {
			return err
		}
		if used {
			return knowledge.Invalid("/ops/"+strconv.Itoa(i), "%s is still named by %s: purge or change those first", op.Key, ref.table)
		}
	}
	version := now.doc.Stamps().Version + 1
	if err := t.remove(ctx, op.Key, now, version); err != nil {
		return err
	}
	return t.log(ctx, &knowledge.Change{
		Batch: b.ID, Verb: knowledge.VerbPurge, Key: op.Key, Version: version, Actor: b.Actor, At: at,
		Hash: sha256.Sum256(nil), More: i < len(b.Ops)-1,
	})
}

// log appends a change at the end of the log, in its place in the chain.
func (t *tx) log(ctx context.Context, c *knowledge.Change) error {
	c.Seq = t.head.Seq + 1
	c.Chain = knowledge.NextChain(t.head.Chain, c)
	if err := t.insertChange(ctx, c); err != nil {
		return err
	}
	t.head = head{c.Seq, c.Chain}
	return nil
}
