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
	if err != nil || len(changes) > 0 {
		return knowledge.ReceiptOf(a.batch, changes), err
	}
	var fingerprint []byte
	seqs, there, err := found(a.caller, a.s, a.batch.ID, &fingerprint)
	switch {
	case err != nil || !there:
		return knowledge.Receipt{}, err
	case string(fingerprint) != string(a.fingerprint[:]):
		return knowledge.Receipt{}, store.ErrReused
	}
	changes, err = a.s.changes(a.caller, "read found", loggedFrom("WHERE c.seq = ANY ($1::bigint[]) ORDER BY c.seq"),
		[]any{seqs}, &knowledge.ChangeQuery{})
	return knowledge.FoundReceipt(a.batch, changes), err
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
