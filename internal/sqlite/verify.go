package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

// A TamperError says where the log was tampered with.
type TamperError struct {
	Seq knowledge.Seq // 0 if the problem is outside of the log
	Why string

	index bool // it concerns what lists and searches find documents by, and no document
}

// Error says what does not match.
func (e *TamperError) Error() string {
	if e.index {
		return fmt.Sprintf("lists and searches do not find what is there: %s; tenet doctor search rebuilds what they "+
			"find documents by", e.Why)
	}
	if e.Seq == 0 {
		return fmt.Sprintf("something was changed past the log: %s; compare with a backup, and restore what it was",
			e.Why)
	}
	return fmt.Sprintf("the log was changed after it was written: change %d: %s; compare with a backup", e.Seq, e.Why)
}

// unknownAfter is the clock skew allowed between writers. In a trimmed log, a document without a change counts as
// inserted by hand only if it is newer than the oldest change by more than this.
const unknownAfter = 24 * time.Hour

// verifyPage is the number of changes in one read.
const verifyPage = 500

// VerifyChanges checks the log from its oldest change to its newest: that no seq is missing, each link of the chain,
// and that each document matches its hash, in the log and in its table, and that no document is missing or unknown to
// the log. It calls progress now and then; progress may be nil. If something does not match, the error is a
// [*TamperError].
func (s *Store) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	var first, last knowledge.Seq
	err := s.read(ctx, "verify.bounds", "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM changes", nil, func(r *sql.Rows) error {
		return r.Scan(&first, &last)
	})
	if err != nil {
		return err
	}
	if s.opts.Mirror { // a mirror's log has gaps before the time of its build
		err := s.read(ctx, "verify.start", "SELECT coalesce(min(seq), ?) FROM changes WHERE seq > (SELECT value FROM meta WHERE key = 'log_start')",
			[]any{int64(last) + 1}, func(r *sql.Rows) error { return r.Scan(&first) })
		if err != nil {
			return err
		}
	}
	if err := s.verifySchema(ctx); err != nil {
		return err
	}
	known, err := verifyErasures(ctx, s)
	if err != nil && !s.opts.Mirror { // a mirror keeps no erasures
		return err
	}
	v := verifier{mirror: s.opts.Mirror, next: first}
	for after := first - 1; after < last; {
		var page []knowledge.Change
		err := s.read(ctx, "verify", "SELECT "+changeColumns+" FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", []any{int64(after), verifyPage},
			func(r *sql.Rows) error {
				c, err := scanChange(r, s.source)
				page = append(page, c)
				return err
			})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return &TamperError{Seq: after + 1, Why: "it is missing"}
		}
		for i := range page {
			if err := v.check(&page[i]); err != nil {
				return err
			}
			if err := errors.Join(s.emptied(ctx, &page[i]), erasedAs(ctx, s, &page[i], known)); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
		if progress != nil {
			progress(after, last)
		}
	}
	if s.opts.Mirror { // its log has the hashes of the primary's own texts
		return verifyEnd(ctx, s)
	}
	return verifyRest(ctx, s)
}

// verifyRest compares what stands beside the log with it: documents, the archive, the ledger.
func verifyRest(ctx context.Context, s *Store) error {
	for _, kind := range knowledge.Kinds() {
		if err := s.verifyDocuments(ctx, kind); err != nil {
			return err
		}
	}
	if err := verifyArchive(ctx, s); err != nil {
		return err
	}
	return verifyBeside(ctx, s)
}

// verifyArchive checks that what is archived is what the log holds of it, and that nothing is missing in the archive.
func verifyArchive(ctx context.Context, s *Store) error {
	var tampered error
	look := func(name, query, why string) error {
		return s.read(ctx, name, query, nil, func(r *sql.Rows) error {
			var key knowledge.Key
			var text sql.NullString
			var hash []byte
			if err := r.Scan(&key.Kind, &key.ID, &text, &hash); err != nil {
				return err
			}
			if sum := sha256.Sum256([]byte(text.String)); tampered == nil && (!text.Valid ||
				hash != nil && string(hash) != string(sum[:])) {
				tampered = &TamperError{Why: key.String() + " " + why}
			}
			return nil
		})
	}
	err := look("verify.archive", `SELECT p.kind, p.id, p.document, (
	SELECT coalesce((SELECT e.document_hash FROM erased e WHERE e.erasure = c.erased
	AND e.seq = c.seq), c.document_hash)
	FROM changes c WHERE c.kind = p.kind AND c.id = p.id AND c.version = p.version - 1) FROM purged p
	WHERE p.document IS NOT NULL`,
		"is not in the archive as its last change left it")
	if err == nil {
		err = look("verify.archive.missing", `SELECT c.kind, c.id, NULL, NULL FROM changes c WHERE c.verb = 'archive'
	AND NOT EXISTS (SELECT 1 FROM changes l WHERE l.kind = c.kind AND l.id = c.id AND l.version > c.version)
	AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.kind = c.kind AND p.id = c.id AND p.document IS NOT NULL) LIMIT 1`,
			"is missing in the archive")
	}
	return errors.Join(err, tampered)
}

// verifySchema checks that the database has no triggers: we create none, and a foreign one could alter writes.
func (s *Store) verifySchema(ctx context.Context) error {
	foreign := ""
	err := s.read(ctx, "verify.schema", "SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', "+
		"'view') LIMIT 1", nil,
		func(r *sql.Rows) error { return r.Scan(&foreign) })
	if err == nil && foreign != "" {
		err = &TamperError{Why: "the " + foreign + " was not created by the program"}
	}
	return err
}

// verifyDocuments checks that every document of a kind equals the result of its last change, if that is still in the
// log. A log that was never trimmed has it for each document.
func (s *Store) verifyDocuments(ctx context.Context, kind knowledge.Kind) error {
	tab := tableOf(kind)
	var found error
	tampered := func(id, why string) {
		if found == nil {
			found = &TamperError{Why: knowledge.Key{Kind: kind, ID: id}.String() + " " + why}
		}
	}
	// In a trimmed log the time of the oldest change shows which documents must be in the rest.
	query := "SELECT t." + tab.id + ", t.document, (SELECT min(seq) FROM changes), t.updated_at - (SELECT at FROM " +
		"changes ORDER BY seq LIMIT 1), " +
		"(SELECT coalesce((SELECT e.document_hash FROM erased e WHERE e.erasure = c.erased AND e.seq = c.seq), " +
		"c.document_hash) FROM changes c " +
		"WHERE c.kind = ? AND c.id = t." + tab.id + " ORDER BY c.seq DESC LIMIT 1) FROM " + tab.name + " t"
	missing := "SELECT c.id, c.verb, max(c.seq) FROM changes c WHERE c.kind = ? GROUP BY c.id HAVING c.verb NOT IN " +
		"('archive', 'purge') " +
		"AND NOT EXISTS (SELECT 1 FROM " + tab.name + " t WHERE t." + tab.id + " = c.id) LIMIT 1"
	err := s.apart(ctx, func(ctx context.Context, v view) error {
		err := v.query(ctx, "verify."+tab.name, query, []any{string(kind)}, func(r *sql.Rows) error {
			var id, text string
			var hash []byte
			var first, since sql.NullInt64
			if err := r.Scan(&id, &text, &first, &since, &hash); err != nil {
				return err
			}
			switch sum := sha256.Sum256([]byte(text)); {
			case hash == nil && (first.Int64 <= 1 || since.Int64 > unknownAfter.Microseconds()):
				tampered(id, "was never written: no change tells of it")
			case hash != nil && string(hash) != string(sum[:]):
				tampered(id, "is not as its last change left it")
			}
			return nil
		})
		if err != nil {
			return err
		}
		return v.query(ctx, "verify.missing."+tab.name, missing, []any{string(kind)}, func(r *sql.Rows) error {
			var id, verb string
			var seq int64
			err := r.Scan(&id, &verb, &seq)
			tampered(id, fmt.Sprintf("is missing, and change %d left it there", seq))
			return err
		})
	})
	if err != nil {
		return err
	}
	return found
}

// A verifier checks the changes of the log in order.
type verifier struct {
	mirror bool
	next   knowledge.Seq
	chain  [32]byte
	begun  bool
}

func (v *verifier) check(c *knowledge.Change) error {
	if c.Seq != v.next {
		return &TamperError{Seq: v.next, Why: "it is missing"}
	}
	// If retention has trimmed the log, the first link is trusted.
	if (v.begun || c.Seq == 1) && !c.Follows(v.chain) {
		return &TamperError{Seq: c.Seq, Why: "it does not follow from the change before it"}
	}
	if c.Record != nil && !v.mirror && c.Erased == "" && sha256.Sum256(c.Record.JSON) != c.Hash {
		return &TamperError{Seq: c.Seq, Why: "its document is another one than was written"}
	}
	if _, ok := c.Attested(); !ok {
		return &TamperError{Seq: c.Seq, Why: "it is by somebody else, or at another time, than was written"}
	}
	if c.Record != nil && c.Verb.Removes() {
		return &TamperError{Seq: c.Seq, Why: "its verb is " + string(c.Verb) + ", and it holds a document"}
	}
	if !v.mirror && !derived(c.Record) {
		return &TamperError{Seq: c.Seq, Why: "what lists and labels know of its document is not what the document says"}
	}
	if why := c.Unstamped(); why != "" {
		return &TamperError{Seq: c.Seq, Why: why}
	}
	v.next, v.chain, v.begun = c.Seq+1, c.Chain, true
	return nil
}

// derived reports whether the columns beside a document are those that the document makes, so far as it can be read.
// Its place in lists is not compared: a later program may reckon that otherwise.
func derived(r *knowledge.Record) bool {
	if r == nil {
		return true
	}
	made, err := knowledge.RecordOf(r.Key.Kind, r.JSON)
	return err != nil || r.Category == made.Category && r.Active == made.Active && r.Updated.Equal(made.Updated.Time)
}

// emptied checks that a document that is missing from the log was purged.
func (s *Store) emptied(ctx context.Context, c *knowledge.Change) error {
	if c.Record != nil || c.Verb.Removes() {
		return nil
	}
	purged := false
	err := s.read(ctx, "verify.purged", "SELECT 1 FROM changes WHERE kind = ? AND id = ? AND seq > ? AND verb = "+
		"'purge' LIMIT 1",
		[]any{string(c.Key.Kind), c.Key.ID, int64(c.Seq)}, func(*sql.Rows) error { purged = true; return nil })
	if err == nil && !purged {
		return &TamperError{Seq: c.Seq, Why: "its document is missing, and it was never purged"}
	}
	return err
}
