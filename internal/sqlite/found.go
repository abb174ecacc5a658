package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
)

// find enters a batch that changes nothing into the ledger, with the end of the log: what each of its ops found is the
// last change of its key up to there. It reports false, and does nothing, if a document has changed since the batch was
// looked at.
func find(ctx context.Context, t *tx, b *knowledge.Batch, fingerprint [32]byte) (bool, error) {
	found, err := foundAt(ctx, t, b, t.head.Seq)
	if err != nil {
		return false, err
	}
	for i := range found {
		if found[i].Seq != b.Found[i] {
			return false, nil
		}
	}
	return true, t.exec(ctx, "INSERT INTO batches (id, fingerprint, actor, at, seq) VALUES (?, ?, ?, ?, ?)",
		b.ID[:], fingerprint[:], b.Actor, micros(t.now), int64(t.head.Seq))
}

// foundAt returns the last change of each op's key up to a seq; an empty one where the log no longer has it.
func foundAt(ctx context.Context, t *tx, b *knowledge.Batch, end knowledge.Seq) ([]knowledge.Change, error) {
	found := make([]knowledge.Change, len(b.Ops))
	for i := range b.Ops {
		key := b.Ops[i].Key
		last, err := logged(ctx, t, "SELECT "+changeColumns+" FROM changes INDEXED BY changes_by_key WHERE kind = ? AND "+
			"id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1", string(key.Kind), key.ID, int64(end))
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			found[i] = last[0]
		}
	}
	return found, nil
}

// logged reads changes within a job of the writer.
func logged(ctx context.Context, t *tx, query string, args ...any) ([]knowledge.Change, error) {
	st, err := t.stmt(ctx, query) //nolint:sqlclosecheck // closed with its writer
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var changes []knowledge.Change
	for rows.Next() {
		c, err := scanChange(rows, knowledge.SourcePrimary)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, rows.Err()
}

// Found returns the seq up to which a batch found nothing to change, and whether there was such a batch.
func (s *Store) Found(ctx context.Context, id knowledge.BatchID) (seq knowledge.Seq, there bool, err error) {
	const query = "SELECT seq FROM batches b WHERE id = ? AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.batch_id = b.id)"
	err = s.read(ctx, "ledger.found", query, []any{id[:]}, func(r *sql.Rows) error {
		there = true
		return r.Scan(&seq)
	})
	return seq, there, err
}
