package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"tenet/internal/knowledge"
)

// A TamperError says where the log is not as it was written.
type TamperError struct {
	Seq knowledge.Seq // 0 where a document is not as the log left it
	Why string
}

// Error says what does not fit.
func (e *TamperError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("a document was changed past the log: %s; restore its last version, or compare with a backup", e.Why)
	}
	return fmt.Sprintf("the log was changed after it was written: change %d: %s; compare with a backup", e.Seq, e.Why)
}

// verifyPage is how many changes are looked at in one read.
const verifyPage = 500

// VerifyChanges checks the log from its first change kept to its last: numbers without gaps, each link of the chain, and that
// each document is the one that was written, in the log and where it is read. Progress is called now and then with how far it is; it may be nil. The error is
// a [*TamperError] when something does not fit.
func (s *Store) VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error {
	var first, last knowledge.Seq
	err := s.read(ctx, "verify.bounds", "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM changes", nil, func(r *sql.Rows) error {
		return r.Scan(&first, &last)
	})
	if err != nil {
		return err
	}
	if s.opts.Mirror { // what a mirror holds from before it was made has gaps
		err := s.read(ctx, "verify.start", "SELECT coalesce(min(seq), ?) FROM changes WHERE seq > (SELECT value FROM meta WHERE key = 'log_start')",
			[]any{int64(last) + 1}, func(r *sql.Rows) error { return r.Scan(&first) })
		if err != nil {
			return err
		}
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
			if err := s.emptied(ctx, &page[i]); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
		if progress != nil {
			progress(after, last)
		}
	}
	if s.opts.Mirror { // its log holds the hashes of the primary's own texts
		return nil
	}
	for _, kind := range knowledge.Kinds() {
		if err := s.verifyDocuments(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// verifyDocuments checks that every document of a kind is as its last change left it, where the log still holds that.
func (s *Store) verifyDocuments(ctx context.Context, kind knowledge.Kind) error {
	tab := tableOf(kind)
	var found error
	err := s.read(ctx, "verify."+tab.name, "SELECT t."+tab.id+", t.document, "+
		"(SELECT c.document_hash FROM changes c WHERE c.kind = ? AND c.id = t."+tab.id+" ORDER BY c.seq DESC LIMIT 1) FROM "+tab.name+" t",
		[]any{string(kind)}, func(r *sql.Rows) error {
			var id, text string
			var hash []byte
			if err := r.Scan(&id, &text, &hash); err != nil {
				return err
			}
			if sum := sha256.Sum256([]byte(text)); hash != nil && string(hash) != string(sum[:]) && found == nil {
				found = &TamperError{Why: knowledge.Key{Kind: kind, ID: id}.String() + " is not as its last change left it"}
			}
			return nil
		})
	if err != nil {
		return err
	}
	return found
}

// A verifier walks along the log.
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
	// Where retention has cut the log off, the first link is taken as it stands.
	if (v.begun || c.Seq == 1) && knowledge.NextChain(v.chain, c) != c.Chain {
		return &TamperError{Seq: c.Seq, Why: "it does not follow from the change before it"}
	}
	if c.Record != nil && !v.mirror && sha256.Sum256(c.Record.JSON) != c.Hash {
		return &TamperError{Seq: c.Seq, Why: "its document is another one than was written"}
	}
	if c.Record != nil && c.Verb == knowledge.VerbPurge {
		return &TamperError{Seq: c.Seq, Why: "it is a purge and holds a document"}
	}
	v.next, v.chain, v.begun = c.Seq+1, c.Chain, true
	return nil
}

// emptied checks that a document that is missing from the log was purged.
func (s *Store) emptied(ctx context.Context, c *knowledge.Change) error {
	if c.Record != nil || c.Verb == knowledge.VerbPurge {
		return nil
	}
	purged := false
	err := s.read(ctx, "verify.purged", "SELECT 1 FROM changes WHERE kind = ? AND id = ? AND seq > ? AND verb = 'purge' LIMIT 1",
		[]any{string(c.Key.Kind), c.Key.ID, int64(c.Seq)}, func(*sql.Rows) error { purged = true; return nil })
	if err == nil && !purged {
		return &TamperError{Seq: c.Seq, Why: "its document is missing, and it was never purged"}
	}
	return err
}
