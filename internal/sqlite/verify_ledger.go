package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A disagreement is a statement that finds a row beside the log that the log contradicts: the change, 0 for none, and a
// text about it.
type disagreement struct{ name, sql string }

// besideLog returns the statements that compare the ledger of batches and the last versions of removed documents with
// the log. A ledger row without changes, of a batch that changed nothing, can be compared with nothing. An erasure has
// no row.
func besideLog() []disagreement {
	return []disagreement{
		{"begin", `SELECT m.start + 1, 'it is missing'
FROM (SELECT coalesce(max(value), 0) AS start FROM meta WHERE key = 'log_start') m
WHERE m.start + 1 <> (SELECT min(seq) FROM changes)`},
		{"ledger", `SELECT c.seq, CASE WHEN b.id IS NULL
	THEN 'its batch is missing in the ledger: sent again, it would be applied again'
	ELSE 'the ledger has another actor or end for its batch' END
FROM changes c LEFT JOIN batches b ON b.id = c.batch_id
WHERE b.actor <> c.actor OR b.seq < c.seq OR b.id IS NULL AND (c.kind <> 'principal'
	OR c.document ->> '$.principal_id' IS NOT NULL AND c.document ->> '$.erasure' IS NULL) LIMIT 1`},
		{"ledger.end", `SELECT max(c.seq), 'the ledger has another end for its batch'
FROM changes c JOIN batches b ON b.id = c.batch_id GROUP BY c.batch_id HAVING b.seq <> max(c.seq) LIMIT 1`},
		{"ledger.beyond", `SELECT 0, 'the ledger holds a batch up to change ' || b.seq || ', which the log does not have'
FROM batches b WHERE b.seq > (SELECT coalesce(max(seq), 0) FROM changes)
	OR b.seq <= (SELECT coalesce(max(value), -1) FROM meta WHERE key = 'log_start') LIMIT 1`},
		{"removed", `SELECT 0, p.kind || '/' || p.id || ' counts as removed at version ' || p.version ||
	', and its last change is another one'
FROM purged p WHERE (SELECT l.verb NOT IN ('archive', 'purge') OR l.version <> p.version FROM (
		SELECT c.verb, c.version, max(c.seq) FROM changes c WHERE c.kind = p.kind AND c.id = p.id) l
	WHERE l.verb IS NOT NULL)
	OR NOT EXISTS (SELECT 1 FROM changes c WHERE c.kind = p.kind AND c.id = p.id)
	AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'log_start') LIMIT 1`},
		{"removed.missing", `SELECT max(c.seq), 'it removed ' || c.kind || '/' || c.id ||
	', whose last version is no longer known: a new one would have versions that others saw of the old one'
FROM changes c GROUP BY c.kind, c.id HAVING c.verb IN ('archive', 'purge')
	AND NOT EXISTS (SELECT 1 FROM purged p WHERE p.kind = c.kind AND p.id = c.id) LIMIT 1`},
		{"overlaid", `SELECT 0, kind || '/' || id || ' is covered by a text that waits for PostgreSQL, and there is none'
FROM (SELECT kind, id FROM overlays UNION ALL SELECT kind, id FROM below) LIMIT 1`},
	}
}

// verifyBeside compares what stands beside the log of an embedded database with the log.
func verifyBeside(ctx context.Context, s *Store) error {
	return s.apart(ctx, func(ctx context.Context, v view) error {
		for _, look := range besideLog() {
			var found error
			err := v.query(ctx, "verify."+look.name, look.sql, nil, func(r *sql.Rows) error {
				t := &TamperError{}
				err := r.Scan(&t.Seq, &t.Why)
				found = t
				return err
			})
			if err != nil {
				return fmt.Errorf("verify %s: %w", look.name, err)
			}
			if found != nil {
				return found
			}
		}
		return nil
	})
}

// verifyEnd checks that the log of a mirror ends where the mirror has followed its primary to.
func verifyEnd(ctx context.Context, s *Store) error {
	return s.apart(ctx, func(ctx context.Context, v view) error {
		at, err := v.position(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return nil // it was never complete
		}
		if err != nil {
			return err
		}
		var last knowledge.Seq
		var chain []byte
		err = v.query(ctx, "verify.end", "SELECT seq, chain FROM changes WHERE seq > (SELECT coalesce(max(value), 0) FROM "+
			"meta WHERE key = 'log_start') AND seq <= ? ORDER BY seq DESC LIMIT 1", []any{int64(at.Seq)},
			func(r *sql.Rows) error { return r.Scan(&last, &chain) })
		if err == nil && last == 0 { // it has none since it was built, up to where that was
			err = v.query(ctx, "verify.built", "SELECT coalesce(max(value), 0) FROM meta WHERE key = 'log_start'", nil,
				func(r *sql.Rows) error { return r.Scan(&last) })
			chain = at.Chain[:]
		}
		if err == nil && (last != at.Seq || string(chain) != string(at.Chain[:])) {
			err = &TamperError{Seq: last + 1, Why: fmt.Sprintf("the log ends before it, and was followed up to change %d",
				at.Seq)}
		}
		return err
	})
}
