package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"tenet/internal/knowledge"
)

// verifyErasures checks the recorded root of each erasure against its traces in the log, and returns the pseudonyms.
func verifyErasures(ctx context.Context, s *Store) (map[string]bool, error) {
	bound := map[string]*knowledge.Erasure{}
	err := s.read(ctx, "verify.erasures", "SELECT document FROM principals WHERE erasure IS NOT NULL",
		nil, func(r *sql.Rows) error {
			var text string
			if err := r.Scan(&text); err != nil {
				return err
			}
			doc, err := knowledge.DecodeStored(knowledge.KindPrincipal, []byte(text))
			if p, ok := doc.(*knowledge.Principal); ok && p.Erasure != nil {
				bound[p.PrincipalID] = p.Erasure
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for pseudonym, e := range bound {
		var sum knowledge.ErasedRoot
		err := s.read(ctx, "verify.erased", erasedSQL, []any{pseudonym},
			func(r *sql.Rows) error { return scanErased(r, &sum) })
		if err != nil {
			return nil, err
		}
		if sum.Rows != e.Rows || sum.Text() != e.Root {
			return nil, &TamperError{Why: fmt.Sprintf(
				"the erasure %s has rewritten %s, and the list of %d is not the one that it was made with",
				pseudonym, knowledge.Count(e.Rows, "change", "changes"), sum.Rows)}
		}
		known[pseudonym] = true
	}
	return known, nil
}

// erasedAs checks that an erased change is as its erasure left it, and that the erasure is recorded.
func erasedAs(ctx context.Context, s *Store, c *knowledge.Change, known map[string]bool) error {
	if c.Erased == "" || s.opts.Mirror {
		return nil
	}
	var hash, digest []byte
	err := s.read(ctx, "verify.erased.change",
		"SELECT document_hash, digest FROM erased WHERE erasure = ? AND seq = ?", []any{c.Erased, int64(c.Seq)},
		func(r *sql.Rows) error { return r.Scan(&hash, &digest) })
	if err != nil {
		return err
	}
	if !known[c.Erased] || len(hash) != sha256.Size {
		return &TamperError{Seq: c.Seq, Why: "it says that a person was erased from it as " + c.Erased +
			", and no erasure tells of it"}
	}
	if want := knowledge.ErasedDigest(c, [32]byte(hash)); string(want[:]) != string(digest) {
		return &TamperError{Seq: c.Seq, Why: "it is not as the erasure " + c.Erased + " has left it"}
	}
	if c.Record == nil {
		return nil // purged since, or a purge
	}
	if sum := sha256.Sum256(c.Record.JSON); string(sum[:]) != string(hash) {
		return &TamperError{Seq: c.Seq, Why: "its document is another one than the erasure " + c.Erased + " has left"}
	}
	return nil
}
