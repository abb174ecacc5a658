package postgres

import (
	"context"

	"tenet/internal/knowledge"
)

// retainStep is how many changes one transaction removes, so that writers don't wait long.
const retainStep = 2000

// Retain trims the log: it removes changes made before a time, with their batches, except for the newest keep changes.
// The last change always stays, since the next seq and chain depend on it. It also removes entries of the audit
// before that time. It returns the number of removed changes.
func (s *Store) Retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	gone := int64(0)
	for {
		var n int64
		err := s.one(ctx, "retain", "SELECT tenet_retain($1, $2, $3)", []any{before.Time, keep, retainStep}, &n)
		gone += n
		if err != nil {
			return gone, err
		}
		if n == 0 {
			return gone, s.exec(ctx, "retain.audit", "SELECT tenet_retain_audit($1)", before.Time)
		}
	}
}

// MakeMonths makes the parts of the audit for this month and the next three, and returns how many were missing.
func (s *Store) MakeMonths(ctx context.Context) (made int, err error) {
	return made, s.one(ctx, "audit.months", "SELECT tenet_make_months()", nil, &made)
}

// Analyze updates the planner's statistics of the tables that this role owns.
func (s *Store) Analyze(ctx context.Context) error { return s.exec(ctx, "analyze", "ANALYZE") }
