package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// A TamperError says where the log was tampered with.
type TamperError struct {
	Seq knowledge.Seq // 0 if a document differs from the log, or nothing protects the log
	Why string

	index bool // it concerns what lists and searches find documents by, and no document
}

// Error describes the difference.
func (e *TamperError) Error() string {
	if e.index {
		return fmt.Sprintf("lists and searches do not find what is there: %s; tenet doctor search rebuilds what they "+
			"find documents by", e.Why)
	}
	if e.Seq == 0 {
		return fmt.Sprintf("something was changed past the log: %s; compare with a backup", e.Why)
	}
	return fmt.Sprintf("the log was changed after it was written: change %d: %s; compare with a backup", e.Seq, e.Why)
}

// verifyPage is how many changes one read checks.
const verifyPage = 500

// verifiedSQL reads a page of the log, with whether each change's document was purged and what an erasure has left.
func verifiedSQL() string {
	return loggedFrom("LEFT JOIN erased e ON e.erasure = c.erased AND e.seq = c.seq WHERE c.seq > $1 ORDER BY c.seq "+
		"LIMIT $2",
		"EXISTS (SELECT FROM changes p WHERE p.kind = c.kind AND p.id = c.id AND p.version >= c.version AND p.verb "+
			"= 'purge')",
		"e.document_hash AS left_hash", "e.digest")
}

// VerifyChanges checks the log from its oldest change to its newest: seqs without gaps, the hash of each document, and
// each link of the chain; and then what stands beside the log. It calls progress now and then; progress may be nil. It
// returns a [*TamperError] if something does not match.
func (s *Store) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	if err := s.Guards(ctx); err != nil {
		return err
	}
	var first, last int64
	if err := s.one(ctx, "verify.bounds", "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM changes", nil,
		&first, &last); err != nil {
		return err
	}
	schema, err := s.Schema(ctx)
	if err != nil {
		return err
	}
	if err := verifyLedger(ctx, s, schema.Version, knowledge.Seq(first)); err != nil {
		return err
	}
	known, err := verifyErasures(ctx, s)
	if err != nil {
		return err
	}
	v := verifier{next: knowledge.Seq(first), erasures: known}
	for after := first - 1; after < last; {
		n := 0
		var tampered error
		err := s.query(ctx, "verify", verifiedSQL(), []any{after, verifyPage}, func(r pgx.Rows) error {
			var purged bool
			var erased trace
			c, document, err := scanLogged(rest{r, []any{&purged, &erased.document, &erased.digest}})
			if err != nil {
				return err
			}
			n, after = n+1, int64(c.Seq)
			if tampered == nil {
				tampered = v.check(&c, document, purged, &erased)
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
	return verifyRest(ctx, s, schema.Version)
}

// verifyRest compares what stands beside the log with it: documents, the archive, the ledger, removals, and what lists
// and searches find documents by.
func verifyRest(ctx context.Context, s *Store, schema int64) error {
	for _, kind := range knowledge.Kinds() {
		if err := verifyDocuments(ctx, s, tableOf(kind)); err != nil {
			return err
		}
	}
	if err := verifyArchive(ctx, s); err != nil {
		return err
	}
	if err := verifyBeside(ctx, s, schema); err != nil {
		return err
	}
	return verifyPlaces(ctx, s)
}

// verifyArchive checks that what is archived is what the log holds of it, and that nothing is missing in the archive.
func verifyArchive(ctx context.Context, s *Store) error {
	for _, look := range []struct{ name, sql, why string }{
		{
			"", `SELECT p.kind || '/' || p.id FROM purges p JOIN changes c ON c.kind = p.kind AND c.id = p.id
			AND c.version = p.version - 1
WHERE p.document IS NOT NULL AND c.document IS DISTINCT FROM p.document LIMIT 1`,
			"is not in the archive as its last change left it",
		},
		{
			".missing", `SELECT l.kind || '/' || l.id FROM (SELECT DISTINCT ON (c.kind, c.id) c.kind, c.id, c.verb
				FROM changes c ORDER BY c.kind, c.id, c.version DESC) l
WHERE l.verb = 'archive' AND NOT EXISTS (SELECT FROM purges p WHERE p.kind = l.kind AND p.id = l.id
AND p.document IS NOT NULL) LIMIT 1`,
			"is missing in the archive",
		},
	} {
		var found error
		err := s.query(ctx, "verify.archive"+look.name, look.sql, nil, func(r pgx.Rows) error {
			var key string
			err := r.Scan(&key)
			found = &TamperError{Why: key + " " + look.why}
			return err
		})
		if err = errors.Join(err, found); err != nil {
			return err
		}
	}
	return nil
}

// verifyDocuments checks that every document of a kind matches its last change, if the log still has that: a log that
// was never trimmed has all. It ignores columns that a later schema has added, which the change does not have.
func verifyDocuments(ctx context.Context, s *Store, t *table) error {
	documents := "(SELECT t." + t.id + "::text AS id, to_jsonb(t) AS row FROM " + t.name + " t)"
	for _, look := range []struct{ name, sql, why string }{
		{
			"", "SELECT d.id FROM " + documents + ` d CROSS JOIN LATERAL (
	SELECT c.document FROM changes c WHERE c.kind = $1 AND c.id = d.id ORDER BY c.version DESC LIMIT 1) l
WHERE l.document <> (SELECT jsonb_object_agg(k, d.row -> k) FROM jsonb_object_keys(l.document) k) LIMIT 1`,
			"is not as its last change left it",
		},
		{
			// In a trimmed log the time of the oldest change shows which documents must be in the rest, within the
			// clock skew of writers.
			".unknown", "SELECT d.id FROM " + documents + ` d WHERE (coalesce((SELECT min(seq) FROM changes), 1) = 1
		OR (d.row ->> 'updated_at')::timestamptz > (SELECT at FROM changes ORDER BY seq LIMIT 1) + interval '1 day')
	AND NOT EXISTS (SELECT FROM changes c WHERE c.kind = $1 AND c.id = d.id) LIMIT 1`,
			"was never written: no change tells of it",
		},
		{
			".missing", `SELECT l.id FROM (
	SELECT DISTINCT ON (c.id) c.id, c.verb FROM changes c WHERE c.kind = $1 ORDER BY c.id, c.version DESC) l
WHERE l.verb NOT IN ('archive', 'purge') AND NOT EXISTS (SELECT FROM ` + documents + " d WHERE d.id = l.id) LIMIT 1",
			"is missing, and its last change left it there",
		},
	} {
		var found error
		err := s.query(ctx, "verify."+t.name+look.name, look.sql, []any{string(t.kind)}, func(r pgx.Rows) error {
			var id string
			err := r.Scan(&id)
			found = &TamperError{Why: knowledge.Key{Kind: t.kind, ID: id}.String() + " " + look.why}
			return err
		})
		if err = errors.Join(err, found); err != nil {
			return err
		}
	}
	return nil
}

// A rest is a row with more columns than its reader knows.
type rest struct {
	pgx.Rows
	last []any
}

// Scan implements [pgx.Rows].
func (r rest) Scan(into ...any) error { return r.Rows.Scan(append(into, r.last...)...) }

// A verifier walks along the log.
type verifier struct {
	next  knowledge.Seq
	chain [32]byte
	begun bool

	erasures map[string]bool // their pseudonyms
}

func (v *verifier) check(c *knowledge.Change, document []byte, purged bool, erased *trace) error {
	if c.Seq != v.next {
		return &TamperError{Seq: v.next, Why: "it is missing"}
	}
	// The first link after a trim is taken as it is.
	if (v.begun || c.Seq == 1) && !c.Follows(v.chain) {
		return &TamperError{Seq: c.Seq, Why: "it does not follow from the change before it"}
	}
	if _, ok := c.Attested(); !ok {
		return &TamperError{Seq: c.Seq, Why: "it is by somebody else, or at another time, than was written"}
	}
	hash := c.Hash[:]
	if c.Erased != "" {
		if err := erased.check(c, v.erasures); err != nil {
			return err
		}
		hash = erased.document
	}
	sum := sha256.Sum256(document)
	switch {
	case document != nil && c.Verb.Removes():
		return &TamperError{Seq: c.Seq, Why: "its verb is " + string(c.Verb) + ", and it holds a document"}
	case document != nil && string(sum[:]) != string(hash):
		return &TamperError{Seq: c.Seq, Why: "its document is another one than was written"}
	case document == nil && !purged && !c.Verb.Removes():
		return &TamperError{Seq: c.Seq, Why: "its document is missing, and it was never purged"}
	}
	if why := c.Unstamped(); why != "" {
		return &TamperError{Seq: c.Seq, Why: why}
	}
	v.next, v.chain, v.begun = c.Seq+1, c.Chain, true
	return nil
}
