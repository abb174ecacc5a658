package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// A TamperError says where the log is not as it was written.
type TamperError struct {
	Seq knowledge.Seq
	Why string
}

// Error says what does not fit.
func (e *TamperError) Error() string {
	return fmt.Sprintf("the log was changed after it was written: change %d: %s; compare with a backup", e.Seq, e.Why)
}

// verifyPage is how many changes are looked at in one read.
const verifyPage = 500

// VerifyChanges checks the log from its first change kept to its last: numbers without gaps, each link of the chain, and that
// each document is the one that was written. Progress is called now and then with how far it is; it may be nil. The error is
// a [*TamperError] when something does not fit.
func (s *Store) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	var first, last int64
	if err := s.one(ctx, "verify.bounds", "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM changes", nil, &first, &last); err != nil {
		return err
	}
	v := verifier{next: knowledge.Seq(first)}
	for after := first - 1; after < last; {
		n := 0
		var tampered error
		err := s.query(ctx, "verify", "SELECT "+changeColumns+` , EXISTS (SELECT FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version >= c.version)
FROM changes c WHERE c.seq > $1 ORDER BY c.seq LIMIT $2`, []any{after, verifyPage}, func(r pgx.Rows) error {
			var purged bool
			c, document, err := scanLogged(rest{r, &purged})
			if err != nil {
				return err
			}
			n, after = n+1, int64(c.Seq)
			if tampered == nil {
				tampered = v.check(&c, document, purged)
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case tampered != nil:
			return tampered
		case n == 0:
			return &TamperError{Seq: knowledge.Seq(after) + 1, Why: "it is missing"}
		}
		if progress != nil {
			progress(knowledge.Seq(after), knowledge.Seq(last))
		}
	}
	return nil
}

// rest is a row with one column more than its reader knows.
type rest struct {
	pgx.Rows
	last *bool
}

// Scan implements [pgx.Rows].
func (r rest) Scan(into ...any) error { return r.Rows.Scan(append(into, r.last)...) }

// A verifier walks along the log.
type verifier struct {
	next  knowledge.Seq
	chain [32]byte
	begun bool
}

func (v *verifier) check(c *knowledge.Change, document []byte, purged bool) error {
	if c.Seq != v.next {
		return &TamperError{Seq: v.next, Why: "it is missing"}
	}
	// Where retention has cut the log off, the first link is taken as it stands.
	if (v.begun || c.Seq == 1) && knowledge.NextChain(v.chain, c) != c.Chain {
		return &TamperError{Seq: c.Seq, Why: "it does not follow from the change before it"}
	}
	switch {
	case document != nil && c.Verb == knowledge.VerbPurge:
		return &TamperError{Seq: c.Seq, Why: "it is a purge and holds a document"}
	case document != nil && sha256.Sum256(document) != c.Hash:
		return &TamperError{Seq: c.Seq, Why: "its document is another one than was written"}
	case document == nil && !purged:
		return &TamperError{Seq: c.Seq, Why: "its document is missing, and it was never purged"}
	}
	v.next, v.chain, v.begun = c.Seq+1, c.Chain, true
	return nil
}
