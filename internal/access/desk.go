package access

import (
	"context"
	"errors"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A ConflictLister returns parked batches.
type ConflictLister interface {
	Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
}

// FindConflict returns a parked batch if the caller may see it. Otherwise it is not found.
func FindConflict(ctx context.Context, l ConflictLister, c *Caller, id knowledge.BatchID) (*store.Parked, error) {
	list, err := l.Conflicts(ctx, store.ParkedQuery{ID: id, Resolved: true})
	if err != nil {
		return nil, err
	}
	for i := range list {
		switch p := &list[i]; {
		case p.Entry.Batch.ID != id:
		case DecideConflict(c, VerbRead, &p.Entry.Batch) == nil:
			return p, nil
		case c.Unsure:
			return nil, c.Deny(nil) // the caller may turn out to have the right
		}
	}
	return nil, store.ErrNotFound
}

// MayResolve returns why a caller may not carry out a decision about a parked batch, nil if the caller may. A decision
// must not write what the policy lets only proposals write.
func (p *Policy) MayResolve(ctx context.Context, s store.Reader, c *Caller, parked *store.Parked,
	d *store.Decision,
) error {
	if no := DecideConflict(c, VerbResolve, &parked.Entry.Batch); no != nil {
		return c.Deny(no)
	}
	if len(p.Rules) == 0 || d.How == store.ResolveTheirs || parked.Resolution != "" {
		return nil
	}
	for i := range parked.Entry.Batch.Ops {
		op := &parked.Entry.Batch.Ops[i]
		var before knowledge.Document
		rec, err := s.Get(ctx, op.Key)
		if err == nil {
			before, err = rec.Document()
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		after := d.Merged
		if after == nil || op.Key != parked.Key() {
			if after, err = op.Next(before); err != nil {
				after = nil // the desk reports what is wrong with it
			}
		}
		if n := p.Approvals(before, after); n > 0 {
			return c.Deny(&store.ForbiddenError{
				Reason: fmt.Sprintf("%s: the policy asks for %d approvals of such a write: decide for theirs, and "+
					"propose it", op.Key, n),
				Right: DoReview,
			})
		}
	}
	return nil
}
