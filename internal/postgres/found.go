package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// find enters a batch that changes nothing into the ledger, and answers it with the changes that it has found. If the
// ledger has the batch already, its first answer stands.
func (a *application) find() (knowledge.Receipt, error) {
	const enter = "INSERT INTO batches (id, fingerprint, actor, found) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING"
	b := a.batch
	if err := a.s.exec(a.caller, "enter found", enter, b.ID, a.fingerprint[:], b.Actor, b.Found); err != nil {
		return knowledge.Receipt{}, err
	}
	var known []byte
	err := a.s.query(a.caller, "read fingerprint", "SELECT fingerprint FROM batches WHERE id = $1", []any{b.ID},
		func(r pgx.Rows) error { return r.Scan(&known) })
	switch {
	case err != nil:
		return knowledge.Receipt{}, err
	case string(known) != string(a.fingerprint[:]): // the ledger had another batch of this id
		return knowledge.Receipt{}, store.ErrReused
	}
	return a.first()
}

// first returns the first answer to a batch that the ledger has.
func (a *application) first() (knowledge.Receipt, error) {
	changes, err := a.s.changes(a.caller, "read receipt", appliedSQL(), []any{[]knowledge.BatchID{a.batch.ID}},
		&knowledge.ChangeQuery{})
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if len(changes) > 0 {
		receipt := knowledge.ReceiptOf(a.batch, changes)
		return receipt, a.keep(&receipt)
	}
	var fingerprint []byte
	seqs, there, err := found(a.caller, a.s, a.batch.ID, &fingerprint)
	switch {
	case err != nil:
		return knowledge.Receipt{}, err
	case !there:
		return knowledge.Receipt{}, a.untold()
	case string(fingerprint) != string(a.fingerprint[:]):
		return knowledge.Receipt{}, store.ErrReused
	}
	changes, err = a.s.changes(a.caller, "read found", loggedFrom("WHERE c.seq = ANY ($1::bigint[]) ORDER BY c.seq"),
		[]any{seqs}, &knowledge.ChangeQuery{})
	return knowledge.FoundReceipt(a.batch, changes), err
}

// keep adds to a receipt the documents that the batch left as they were: as it was told of them, or as they were then.
func (a *application) keep(r *knowledge.Receipt) error {
	for i := range r.Kept {
		if kept := a.batch.Kept(i); kept != nil && r.Kept[i] && r.Records[i] == nil {
			r.Keep(i, kept)
		}
		if key := a.batch.Ops[i].Key; r.Kept[i] && r.Records[i] == nil {
			last, err := a.s.changes(a.caller, "read kept", loggedFrom("WHERE c.kind = $1 AND c.id = $2 AND "+
				"c.seq <= $3 ORDER BY c.seq DESC LIMIT 1"), []any{string(key.Kind), key.ID, r.Seq}, &knowledge.ChangeQuery{})
			if err != nil {
				return err
			}
			if len(last) > 0 {
				r.Keep(i, last[0].Record)
			}
		}
	}
	return nil
}

// untold returns an error for a batch that the ledger has and the log tells nothing of, unless its changes were
// trimmed: something in the database keeps the log from being written. A replay goes on once that is gone, since
// nobody can make up for it: the log's verification finds what it has left.
func (a *application) untold() error {
	const query = `SELECT FROM batches b WHERE b.id = $1 AND b.at > (SELECT coalesce(min(coalesce(c.entered_at, c.at)),
	'-infinity') FROM changes c WHERE c.seq = (SELECT min(seq) FROM changes))`
	lost := false
	err := a.s.query(a.caller, "read untold", query, []any{a.batch.ID}, func(pgx.Rows) error {
		lost = true
		return nil
	})
	if err != nil || !lost {
		return err
	}
	replan(a.s)
	if err := a.s.Guards(a.caller); err != nil {
		return err
	}
	if a.replayed() {
		a.s.o.Log.WarnContext(a.caller, "a batch that had waited was committed, and the log of changes tells nothing of "+
			"it; tenet doctor changes shows what it has left", "batch", a.batch.ID.String())
		return nil
	}
	return &store.UnavailableError{Halt: true, NotDone: true, Reason: "the database has committed the batch, and the " +
		"log of changes tells nothing of it: something in the database alters writes; tenet doctor and tenet doctor " +
		"changes say more"}
}

// Found returns the seq of the last change that a batch found when it had nothing to change, and whether there was such
// a batch.
func (s *Store) Found(ctx context.Context, id knowledge.BatchID) (knowledge.Seq, bool, error) {
	var fingerprint []byte
	seqs, there, err := found(ctx, s, id, &fingerprint)
	return knowledge.LastOf(seqs), there, err
}

// found reads what a batch found that changed nothing, and its fingerprint.
func found(ctx context.Context, s *Store, id knowledge.BatchID, fingerprint *[]byte) (
	seqs []knowledge.Seq, there bool, err error,
) {
	schema, err := s.Schema(ctx)
	if err != nil || schema.Version < foundSchema {
		return nil, false, err
	}
	const query = "SELECT fingerprint, found FROM batches WHERE id = $1 AND found IS NOT NULL"
	err = s.query(ctx, "read ledger", query, []any{id}, func(r pgx.Rows) error {
		there = true
		return r.Scan(fingerprint, &seqs)
	})
	return seqs, there, err
}
