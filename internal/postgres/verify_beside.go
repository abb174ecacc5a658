package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// A disagreement is a statement that finds a row beside the log that the log contradicts: the change, 0 for none, and
// a text about it.
type disagreement struct{ name, sql string }

// besideLog returns the statements that compare the ledger of batches and the removals of documents with the log. A
// ledger row without changes, of a batch that changed nothing, is compared by what it found, and in a trimmed log a
// removal that came before it with nothing. An edit by hand has no batch.
func besideLog(schema int64) []disagreement {
	list := []disagreement{
		{"ledger", `SELECT c.seq, CASE WHEN b.id IS NULL
	THEN 'its batch is missing in the ledger: sent again, it would be applied again'
	ELSE 'the ledger has its batch by another than the log' END
FROM changes c LEFT JOIN batches b ON b.id = c.batch_id
WHERE c.batch_id <> '00000000-0000-0000-0000-000000000000'
	AND (b.id IS NULL OR b.actor <> c.actor OR b.entered_by IS DISTINCT FROM c.entered_by)
ORDER BY c.seq LIMIT 1`},
		{"removed", `SELECT coalesce(c.seq, 0), p.kind || '/' || p.id || ' counts as removed at version ' || p.version ||
	' by ' || p.actor || ', and the log does not say so'
FROM purges p LEFT JOIN changes c ON c.kind = p.kind AND c.id = p.id AND c.version = p.version
WHERE CASE WHEN c.seq IS NULL
	THEN coalesce((SELECT min(seq) FROM changes), 1) = 1
		OR EXISTS (SELECT FROM changes l WHERE l.kind = p.kind AND l.id = p.id AND l.version < p.version)
	ELSE c.verb NOT IN ('archive', 'purge') OR c.batch_id <> p.batch_id OR c.actor <> p.actor OR c.at <> p.at END
LIMIT 1`},
		{"removed.missing", `SELECT c.seq, 'it removed ' || c.kind || '/' || c.id ||
	', whose last version is no longer known: a new one would have versions that others saw of the old one'
FROM changes c WHERE c.verb IN ('archive', 'purge')
	AND NOT EXISTS (SELECT FROM purges p WHERE p.kind = c.kind AND p.id = c.id AND p.version = c.version)
ORDER BY c.seq LIMIT 1`},
	}
	if schema >= foundSchema {
		list = append(list, disagreement{"ledger.found", `SELECT 0,
	'the ledger holds a batch that has found change ' || f ||
	', which the log does not have'
FROM batches b, unnest(b.found) AS f WHERE f > (SELECT coalesce(max(seq), 0) FROM changes) LIMIT 1`})
	}
	return list
}

// verifyBeside compares what stands beside the log with it.
func verifyBeside(ctx context.Context, s *Store, schema int64) error {
	for _, look := range besideLog(schema) {
		var found *TamperError
		err := s.query(ctx, "verify."+look.name, look.sql, nil, func(r pgx.Rows) error {
			found = &TamperError{}
			return r.Scan(&found.Seq, &found.Why)
		})
		if err != nil {
			return err
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// verifyLedger finds batches whose changes are missing at the beginning of the log. Retention removes both; a forger
// may overlook one. A batch that changed nothing has no changes.
func verifyLedger(ctx context.Context, s *Store, schema int64, first knowledge.Seq) error {
	if first <= 1 {
		return nil
	}
	changed := "true"
	if schema >= foundSchema {
		changed = "b.found IS NULL"
	}
	var left int64
	if err := s.one(ctx, "verify.ledger.left", "SELECT count(*) FROM batches b WHERE "+changed+
		" AND NOT EXISTS (SELECT FROM changes c WHERE c.batch_id = b.id)", nil, &left); err != nil {
		return err
	}
	if left > 0 {
		return &TamperError{Seq: first - 1, Why: fmt.Sprintf("it is missing, and the ledger "+
			"still holds %s that the log does not", knowledge.Count(left, "batch", "batches"))}
	}
	return nil
}
