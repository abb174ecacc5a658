package postgres

import (
	"context"

	"tenet/internal/knowledge"
)

// retainStep is how many changes one transaction removes, so that writers don't wait long.
const retainStep = 2000

// Retain trims the log: it removes changes made before a time, with their batches, except for the newest keep changes.
// The last change always stays, since the next seq and chain depend on it. It also removes refused calls before that
// time. It returns the number of removed changes.
func (s *Store) Retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	if s.schema.Version < schemaOfRights {
		return retainDirectly(ctx, s, before, keep)
	}
	gone := int64(0)
	for {
		var n int64
		err := s.one(ctx, "retain", "SELECT tenet_retain($1, $2, $3)", []any{before.Time, keep, retainStep}, &n)
		gone += n
		if err != nil {
			return gone, err
		}
		if n == 0 {
			return gone, s.exec(ctx, "retain.refusals", "SELECT tenet_retain_refusals($1)", before.Time)
		}
	}
}

// schemaOfRights is the first schema with functions of the owner that trim the log.
const schemaOfRights = 12

// retainDirectly trims the log in an older schema, where the role must own it.
func retainDirectly(ctx context.Context, s *Store, before knowledge.Time, keep int64) (int64, error) {
	gone := int64(0)
	for {
		var n int64
		err := s.one(ctx, "retain", `WITH bounds AS (
  SELECT min(seq) AS first, max(seq) - greatest($2, 1) AS cut FROM changes
), cut AS ( -- up to the last whole transaction before the first change that must stay
  SELECT max(c.seq) AS seq FROM changes c, bounds b
  WHERE c.seq >= b.first AND c.seq <= least(b.cut, b.first + $3)
    AND c.seq < coalesce((SELECT min(k.seq) FROM changes k WHERE k.seq >= b.first AND k.seq <= b.first + $3 AND k.at >= $1), b.first + $3 + 1)
    AND c.txid <> coalesce((SELECT n.txid FROM changes n WHERE n.seq = c.seq + 1), 0)
), old AS (
  DELETE FROM changes c USING cut WHERE c.seq <= cut.seq RETURNING c.batch_id
), ledger AS (
  DELETE FROM batches b USING old WHERE b.id = old.batch_id RETURNING b.id
) SELECT (SELECT count(*) FROM old) + 0 * (SELECT count(*) FROM ledger)`, []any{before.Time, keep, retainStep}, &n)
		gone += n
		if err != nil || n == 0 {
			if err == nil {
				err = s.exec(ctx, "retain.refusals", "DELETE FROM refusals WHERE at < $1", before.Time)
			}
			return gone, err
		}
	}
}

// Analyze updates the planner's statistics of the tables that this role owns.
func (s *Store) Analyze(ctx context.Context) error { return s.exec(ctx, "analyze", "ANALYZE") }
