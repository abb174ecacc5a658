package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An AuditBook keeps who was refused, and who read what, in a store's database.
type AuditBook struct{ s *Store }

var _ store.AuditBook = (*AuditBook)(nil)

// NewAuditBook returns the audit of a store.
func NewAuditBook(s *Store) *AuditBook { return &AuditBook{s} }

// Add implements [store.AuditBook]. A trigger numbers and chains the entries.
func (b *AuditBook) Add(ctx context.Context, list ...store.AuditEntry) error {
	if len(list) == 0 {
		return nil
	}
	at, counts := make([]time.Time, len(list)), make([]int64, len(list))
	columns := make([][]string, 9)
	for i := range list {
		e := &list[i]
		at[i], counts[i] = e.At.Time, e.Count
		for c, v := range []string{
			e.Kind, e.Actor, e.Door, e.Action, e.Key, e.Question, e.Reason, e.RequestID,
			e.Peer,
		} {
			columns[c] = append(columns[c], v)
		}
	}
	args := []any{at, counts}
	for _, c := range columns {
		args = append(args, c)
	}
	return b.s.exec(ctx, "audit.add", `INSERT INTO audit (at, count, kind, actor, door, action, key, question, reason,
		request_id, peer)
SELECT at, count, kind, actor, door, action, key, question, reason, request_id, peer
FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
$9::text[], $10::text[],
	$11::text[])
	WITH ORDINALITY AS e (at, count, kind, actor, door, action, key, question, reason, request_id, peer, n) ORDER BY n`,
		args...)
}

const auditColumns = "a.seq, a.at, a.kind, a.actor, a.door, a.action, a.key, a.question, a.count, a.reason, " +
	"a.request_id, a.peer, " +
	"a.hash, a.chain, coalesce(a.erased, '')"

func scanAudit(r pgx.Rows, more ...any) (store.AuditEntry, error) {
	var e store.AuditEntry
	var at pgtype.Timestamptz
	var hash, chain []byte
	err := r.Scan(append([]any{
		&e.Seq, &at, &e.Kind, &e.Actor, &e.Door, &e.Action, &e.Key, &e.Question, &e.Count, &e.Reason, &e.RequestID,
		&e.Peer,
		&hash, &chain, &e.Erased,
	}, more...)...)
	e.At, e.Hash, e.Chain = timeOf(at), hex.EncodeToString(hash), hex.EncodeToString(chain)
	return e, err
}

// Entries implements [store.AuditBook].
func (b *AuditBook) Entries(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	list := []store.AuditEntry{}
	err := b.s.query(ctx, "audit", "SELECT "+auditColumns+` FROM audit a
WHERE ($1::bigint = 0 OR a.seq < $1) AND ($2::timestamptz IS NULL OR a.at < $2)
AND ($3::timestamptz IS NULL OR a.at >= $3)
	AND ($4 = '' OR a.actor = $4) AND ($5 = '' OR a.kind = $5) AND ($6 = '' OR a.key = $6)
ORDER BY a.seq DESC LIMIT $7`, []any{q.Below, null(q.Before), null(q.Since), q.Actor, q.Kind, q.Key, q.Limit}, func(r pgx.Rows) error {
		e, err := scanAudit(r)
		list = append(list, e)
		return err
	})
	return list, err
}

// Verify implements [store.AuditBook]. What is added meanwhile is not looked at.
func (b *AuditBook) Verify(ctx context.Context, progress func(done, last int64)) (head store.AuditHead, err error) {
	found := false
	err = b.s.query(ctx, "verify.audit.head", "SELECT seq, chain FROM audit_head", nil, func(r pgx.Rows) error {
		var chain []byte
		err := r.Scan(&head.Seq, &chain)
		found = copy(head.Chain[:], chain) == len(head.Chain)
		return err
	})
	if err == nil && !found {
		err = &store.AuditError{Why: "its head is missing"}
	}
	if err != nil {
		return head, err
	}
	erased, err := auditErased(ctx, b.s)
	if err != nil {
		return head, err
	}
	var v store.AuditVerifier
	for after, n := int64(0), verifyPage; n == verifyPage; {
		n = 0
		var tampered error
		err := b.s.query(ctx, "verify.audit", "SELECT "+auditColumns+`, e.hash
FROM audit a LEFT JOIN audit_erased e ON e.erasure = a.erased AND e.seq = a.seq WHERE a.seq > $1
AND a.seq <= $2 ORDER BY a.seq LIMIT $3`, []any{after, head.Seq, verifyPage}, func(r pgx.Rows) error {
			var left []byte
			e, err := scanAudit(r, &left)
			if n++; err == nil && tampered == nil {
				tampered = v.Check(&e, left)
			}
			after = e.Seq
			return err
		})
		if err = errors.Join(err, tampered); err != nil {
			return head, err
		}
		if progress != nil {
			progress(after, head.Seq)
		}
	}
	return head, v.End(head, erased)
}

// auditErased adds up what each erasure has left in the audit.
func auditErased(ctx context.Context, s *Store) (map[string]*knowledge.ErasedRoot, error) {
	sums := map[string]*knowledge.ErasedRoot{}
	const sql = "SELECT erasure, seq, hash FROM audit_erased ORDER BY erasure, seq"
	err := s.query(ctx, "verify.audit.erased", sql, nil, func(r pgx.Rows) error {
		var pseudonym string
		var seq int64
		var hash []byte
		err := r.Scan(&pseudonym, &seq, &hash)
		if sums[pseudonym] == nil {
			sums[pseudonym] = &knowledge.ErasedRoot{}
		}
		sums[pseudonym].Add(knowledge.Seq(seq), hash, nil)
		return err
	})
	return sums, err
}
