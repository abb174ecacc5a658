package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An Eraser erases people from a store's database.
type Eraser struct{ s *Store }

// NewEraser returns an eraser for a store's database.
func NewEraser(s *Store) *Eraser { return &Eraser{s} }

var _ store.Eraser = (*Eraser)(nil)

// eraseTimeout bounds an erasure, which reads the whole log.
const eraseTimeout = 30 * time.Minute

// Erase implements [store.Eraser]. Writers wait meanwhile. The database gets only hashes, so that neither its log nor
// its slow-query log can contain a name.
func (x *Eraser) Erase(ctx context.Context, r store.ErasureRequest) (result store.ErasureResult, err error) {
	s := x.s
	if s.closed.Load() {
		return result, store.ErrClosed
	}
	own, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	conn, err := pgx.ConnectConfig(own, s.alone.Copy())
	if err != nil {
		return result, s.contractual(ctx, err)
	}
	defer bye(own, conn)
	person, err := json.Marshal(r.Erasure)
	if err != nil {
		return result, fmt.Errorf("encode the erasure: %w", err)
	}
	counts := map[string]int64{}
	err = pgx.BeginFunc(own, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(own, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 10000"); err != nil {
			return err
		}
		var raw []byte
		if err := tx.QueryRow(own, "SELECT tenet_erase($1, $2, $3, $4)", r.Pseudonym, person, r.Batch,
			r.Actor).Scan(&raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &counts); err != nil {
			return err
		}
		if r.Dry {
			return errCounted
		}
		return nil
	})
	if errors.Is(err, errCounted) {
		err = nil
	}
	if err != nil {
		return result, s.contractual(ctx, err)
	}
	_, told := counts[""]
	delete(counts, "")
	result.Rows = counts
	if r.Dry || !told {
		return result, nil
	}
	s.bell.Ring()
	return result, s.one(ctx, "erase.seq", "SELECT seq FROM changes WHERE batch_id = $1 ORDER BY seq DESC LIMIT 1",
		[]any{r.Batch}, &result.Seq)
}

// errCounted rolls back a dry run.
var errCounted = errors.New("only counted")

// erasedSQL sums the trace of each erasure, and reads the sum that it recorded.
const erasedSQL = `SELECT t.principal_id, t.erasure, count(e.seq),
	encode(sha256(coalesce(string_agg(convert_to(e.seq || E'\n', 'UTF8') || e.document_hash || e.digest, ''::bytea
	ORDER BY e.seq), '')), 'hex')
FROM principals t LEFT JOIN erased e ON e.erasure = t.principal_id WHERE t.erasure IS NOT NULL GROUP BY t.principal_id`

// verifyErasures checks the recorded sum of each erasure against its traces in the log, and returns the pseudonyms.
func verifyErasures(ctx context.Context, s *Store) (map[string]bool, error) {
	known := map[string]bool{}
	var tampered error
	err := s.query(ctx, "verify.erasures", erasedSQL, nil, func(r pgx.Rows) error {
		var pseudonym, root string
		var raw []byte
		var rows int64
		var e knowledge.Erasure
		if err := r.Scan(&pseudonym, &raw, &rows, &root); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return &scanError{err}
		}
		if rows != e.Rows || root != e.Root {
			tampered = &TamperError{Why: fmt.Sprintf(
				"the erasure %s has rewritten %s, and the list of %d is not the one that it was made with",
				pseudonym, knowledge.Count(e.Rows, "change", "changes"), rows)}
		}
		known[pseudonym] = true
		return nil
	})
	return known, errors.Join(err, tampered)
}

// A trace is the record that an erasure leaves of a change; most changes have none.
type trace struct{ document, digest []byte }

// check checks that an erased change is as its erasure left it, and that the erasure is recorded.
func (e *trace) check(c *knowledge.Change, known map[string]bool) error {
	if !known[c.Erased] || len(e.document) != 32 {
		return &TamperError{Seq: c.Seq, Why: "it says that a person was erased from it as " + c.Erased +
			", and no erasure tells of it"}
	}
	if want := knowledge.ErasedDigest(c, [32]byte(e.document)); string(want[:]) != string(e.digest) {
		return &TamperError{Seq: c.Seq, Why: "it is not as the erasure " + c.Erased + " has left it"}
	}
	return nil
}
