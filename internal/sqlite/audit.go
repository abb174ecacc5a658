package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const auditColumns = "seq, at, kind, actor, door, action, key, question, count, reason, request_id, peer, hash, " +
	"chain, coalesce(erased, '')"

// An AuditBook keeps who was refused, and who read what, in a store's file.
type AuditBook struct{ s *Store }

var _ store.AuditBook = (*AuditBook)(nil)

// NewAuditBook returns the audit of a store.
func NewAuditBook(s *Store) *AuditBook { return &AuditBook{s} }

// Add implements [store.AuditBook].
func (b *AuditBook) Add(ctx context.Context, list ...store.AuditEntry) error {
	if len(list) == 0 {
		return nil
	}
	return b.s.do(ctx, "audit.add", func(ctx context.Context, t *tx) error { return addAudit(ctx, t, list...) })
}

// addAudit adds entries at the end of the chain.
func addAudit(ctx context.Context, t *tx, list ...store.AuditEntry) error {
	var head store.AuditHead
	var chain []byte
	there, err := t.one(ctx, "SELECT seq, chain FROM audit_head", nil, &head.Seq, &chain)
	if err != nil {
		return err
	}
	if !there || len(chain) != len(head.Chain) {
		return &store.UnavailableError{
			Reason:  "the head of the audit is missing: restore the database from a backup",
			NotDone: true,
		}
	}
	copy(head.Chain[:], chain)
	for i := range list {
		e := &list[i]
		hash := e.Digest()
		head.Seq++
		head.Chain = store.AuditChain(head.Chain, head.Seq, hash)
		err := t.exec(ctx, `INSERT INTO audit
(seq, at, kind, actor, door, action, key, question, count, reason, request_id, peer, hash, chain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			head.Seq, micros(e.At), e.Kind, e.Actor, e.Door, e.Action, e.Key, e.Question, e.Count, e.Reason,
			e.RequestID, e.Peer, hash[:], head.Chain[:])
		if err != nil {
			return err
		}
	}
	return t.exec(ctx, "UPDATE audit_head SET seq = ?, chain = ?", head.Seq, head.Chain[:])
}

func scanAudit(r *sql.Rows, more ...any) (store.AuditEntry, error) {
	var e store.AuditEntry
	var at int64
	var hash, chain []byte
	err := r.Scan(append([]any{
		&e.Seq, &at, &e.Kind, &e.Actor, &e.Door, &e.Action, &e.Key, &e.Question, &e.Count, &e.Reason, &e.RequestID,
		&e.Peer,
		&hash, &chain, &e.Erased,
	}, more...)...)
	e.At, e.Hash, e.Chain = moment(at), hex.EncodeToString(hash), hex.EncodeToString(chain)
	return e, err
}

// Entries implements [store.AuditBook].
func (b *AuditBook) Entries(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	list := []store.AuditEntry{}
	where, args := "SELECT "+auditColumns+" FROM audit WHERE 1", []any{}
	narrow := func(set bool, condition string, value any) {
		if set {
			where += " AND " + condition
			args = append(args, value)
		}
	}
	narrow(q.Below > 0, "seq < ?", q.Below)
	narrow(!q.Before.IsZero(), "at < ?", micros(q.Before))
	narrow(!q.Since.IsZero(), "at >= ?", micros(q.Since))
	narrow(q.Actor != "", "actor = ?", q.Actor)
	narrow(q.Kind != "", "kind = ?", q.Kind)
	narrow(q.Key != "", "key = ?", q.Key)
	err := b.s.read(ctx, "audit", where+" ORDER BY seq DESC LIMIT ?", append(args, q.Limit), func(r *sql.Rows) error {
		e, err := scanAudit(r)
		list = append(list, e)
		return err
	})
	return list, err
}

const (
	// verifyAuditSQL reads every entry with what its newest erasure has left.
	verifyAuditSQL = "SELECT " + auditColumns +
		", (SELECT e.hash FROM audit_erased e WHERE e.erasure = audit.erased AND e.seq = audit.seq) " +
		"FROM audit ORDER BY seq"
	// leftAuditSQL reads what all erasures have left.
	leftAuditSQL = "SELECT erasure, seq, hash FROM audit_erased ORDER BY erasure, seq"
)

// Verify implements [store.AuditBook].
func (b *AuditBook) Verify(ctx context.Context, progress func(done, last int64)) (head store.AuditHead, err error) {
	var v store.AuditVerifier
	erased := map[string]*knowledge.ErasedRoot{}
	err = b.s.apart(ctx, func(ctx context.Context, look view) error {
		found := false
		err := look.query(ctx, "verify.audit.head", "SELECT seq, chain FROM audit_head", nil, func(r *sql.Rows) error {
			var chain []byte
			err := r.Scan(&head.Seq, &chain)
			found = copy(head.Chain[:], chain) == len(head.Chain)
			return err
		})
		if err == nil && !found {
			err = &store.AuditError{Why: "its head is missing"}
		}
		if err != nil {
			return err
		}
		var tampered error
		err = look.query(ctx, "verify.audit", verifyAuditSQL, nil, func(r *sql.Rows) error {
			var left []byte
			e, err := scanAudit(r, &left)
			if err == nil && tampered == nil {
				tampered = v.Check(&e, left)
			}
			if progress != nil && e.Seq%verifyPage == 0 {
				progress(e.Seq, head.Seq)
			}
			return err
		})
		if err = errors.Join(err, tampered); err != nil {
			return err
		}
		return look.query(ctx, "verify.audit.erased", leftAuditSQL, nil, func(r *sql.Rows) error {
			var pseudonym string
			var seq int64
			var hash []byte
			err := r.Scan(&pseudonym, &seq, &hash)
			if erased[pseudonym] == nil {
				erased[pseudonym] = &knowledge.ErasedRoot{}
			}
			erased[pseudonym].Add(knowledge.Seq(seq), hash, nil)
			return err
		})
	})
	if err != nil {
		return head, err
	}
	return head, v.End(head, erased)
}

// trimAudit removes the entries at the beginning that were made before a time, and adds one that tells of it.
func trimAudit(ctx context.Context, t *tx, before, now knowledge.Time) error {
	var last int64
	var chain []byte
	there, err := t.one(ctx, `SELECT seq, chain FROM audit WHERE seq < coalesce((SELECT min(seq) FROM audit
		WHERE at >= ?), (SELECT seq + 1 FROM audit_head))
ORDER BY seq DESC LIMIT 1`, []any{micros(before)}, &last, &chain)
	if err != nil || !there {
		return err
	}
	if err := t.exec(ctx, "DELETE FROM audit WHERE seq <= ?", last); err != nil {
		return err
	}
	if err := t.exec(ctx, "DELETE FROM audit_erased WHERE 'principal/' || erasure NOT IN (SELECT key FROM audit "+
		"WHERE kind = 'erased')"); err != nil {
		return err
	}
	return addAudit(ctx, t, store.AuditEntry{
		At: now, Kind: store.AuditTrimmed, Action: "trim", Count: last, Question: hex.EncodeToString(chain),
	})
}

// audit erases the person from the audit, and notes what each entry is now.
func (e *eraser) audit(ctx context.Context) error {
	where, args := "", []any{}
	for _, name := range e.names {
		where += " OR actor = ? OR key = 'principal/' || ? OR instr(reason, ?) > 0 OR instr(question, ?) > 0"
		args = append(args, name, name, name, name)
	}
	seqs, err := column[int64](ctx, e.tx, "SELECT seq FROM audit WHERE 0"+where+" ORDER BY seq", args...)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if err := e.auditEntry(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

// auditEntry erases the person from one entry of the audit.
func (e *eraser) auditEntry(ctx context.Context, seq int64) error {
	var was store.AuditEntry
	var at int64
	if _, err := e.one(ctx, "SELECT at, kind, actor, door, action, key, question, count, reason, request_id, peer "+
		"FROM audit WHERE seq = ?", []any{seq},
		&at, &was.Kind, &was.Actor, &was.Door, &was.Action, &was.Key, &was.Question, &was.Count, &was.Reason,
		&was.RequestID, &was.Peer); err != nil {
		return err
	}
	was.At = moment(at)
	next := was
	for _, name := range e.names {
		if next.Actor == name {
			next.Actor = e.pseudonym
		}
		if next.Key == "principal/"+name {
			next.Key = "principal/" + e.pseudonym
		}
		next.Reason, next.Question = replaceWord(next.Reason, name, e.pseudonym), replaceWord(next.Question, name,
			e.pseudonym)
	}
	if next == was {
		return nil
	}
	e.rows["audit"]++
	if err := e.exec(ctx, "UPDATE audit SET actor = ?, key = ?, reason = ?, question = ?, erased = ? WHERE seq = ?",
		next.Actor, next.Key, next.Reason, next.Question,
		e.pseudonym, seq); err != nil {
		return err
	}
	hash := next.Digest()
	return e.exec(ctx, "INSERT OR REPLACE INTO audit_erased (erasure, seq, hash) VALUES (?, ?, ?)", e.pseudonym, seq,
		hash[:])
}

// auditErasure adds the entry that tells of the erasure, and binds what it has left in the audit.
func (e *eraser) auditErasure(ctx context.Context, actor string) error {
	var sum knowledge.ErasedRoot
	st, err := e.stmt(ctx, "SELECT seq, hash FROM audit_erased WHERE erasure = ? ORDER BY seq") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, e.pseudonym)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		var seq int64
		var hash []byte
		if err := rows.Scan(&seq, &hash); err != nil {
			return err
		}
		sum.Add(knowledge.Seq(seq), hash, nil)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return addAudit(ctx, e.tx, store.AuditEntry{
		At: e.now, Kind: store.AuditErased, Actor: actor, Action: "erase", Key: "principal/" + e.pseudonym,
		Count: sum.Rows, Question: sum.Text(),
	})
}
