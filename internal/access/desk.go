package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Desk keeps the batches of an outage that did not fit when the primary came back, until a person decides. The
// functions of this file say for every door what a caller may see of it and do at it; a nil desk is empty.
type Desk interface {
	// Conflicts returns those that are asked for, the newest first, with what stands of their documents now.
	Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	// Resolve carries out decisions, in the order in which the batches were taken, and returns those that were. One
	// that was made of what is no longer so is refused, and all with it.
	Resolve(ctx context.Context, by string, decisions ...store.Decision) ([]store.Decided, error)
}

// ListConflicts returns the parked batches of a page that the caller may see, and where the next page begins: 0 after
// the last one.
func (l Classification) ListConflicts(ctx context.Context, s store.Past, desk Desk, c *Caller, q store.ParkedQuery) (
	[]store.Parked, int64, error,
) {
	if desk == nil {
		return nil, 0, nil
	}
	q.Bytes = knowledge.MaxPageBytes
	list, err := desk.Conflicts(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	var seen []store.Parked
	bytes := 0
	for i := range list {
		bytes += list[i].Size()
		hidden, err := l.HidesBatch(ctx, s, &list[i].Entry.Batch)
		if err != nil {
			return nil, 0, err
		}
		if !hidden && DecideConflict(c, VerbRead, &list[i].Entry.Batch) == nil {
			seen = append(seen, list[i])
		}
	}
	if len(list) == 0 || len(list) < q.Limit && bytes < q.Bytes {
		return seen, 0, nil
	}
	next := list[len(list)-1].Entry.Seq
	q.Before, q.Limit = next, 1 // a page that is full may be the last
	after, err := desk.Conflicts(ctx, q)
	if err != nil || len(after) == 0 {
		return seen, 0, err
	}
	return seen, next, nil
}

// FindConflict returns a parked batch if the caller may see it. Otherwise it is not found.
func (l Classification) FindConflict(ctx context.Context, s store.Past, desk Desk, c *Caller,
	id knowledge.BatchID,
) (*store.Parked, error) {
	if desk == nil {
		return nil, store.ErrNotFound
	}
	list, err := desk.Conflicts(ctx, store.ParkedQuery{ID: id, Resolved: true})
	if err != nil {
		return nil, err
	}
	for i := range list {
		switch p := &list[i]; {
		case p.Entry.Batch.ID != id:
		case DecideConflict(c, VerbRead, &p.Entry.Batch) == nil:
			hidden, err := l.HidesBatch(ctx, s, &p.Entry.Batch)
			if err != nil || hidden {
				return nil, cmp.Or(err, store.ErrNotFound)
			}
			return p, nil
		case c.Unsure:
			return nil, c.Deny(nil) // the caller may turn out to have the right
		}
	}
	return nil, store.ErrNotFound
}

// ResolveConflicts carries out a caller's decisions about parked batches, each beside its own: all that the caller may,
// or none. Documents are read from s.
func (p *Policy) ResolveConflicts(ctx context.Context, s store.Reader, desk Desk, c *Caller, parked []*store.Parked,
	decisions []store.Decision,
) ([]store.Decided, error) {
	for i := range decisions {
		if err := p.mayResolve(ctx, s, c, parked[i], &decisions[i]); err != nil {
			return nil, err
		}
	}
	return desk.Resolve(ctx, c.ID, decisions...)
}

// mayResolve returns why a caller may not carry out a decision about a parked batch, nil if the caller may. A decision
// must not write what the policy lets only proposals write.
func (p *Policy) mayResolve(ctx context.Context, s store.Reader, c *Caller, parked *store.Parked,
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
				Reason: fmt.Sprintf("%s: the policy asks for %s of such a write: decide for theirs, and "+
					"propose it", op.Key, knowledge.Count(n, "approval", "approvals")),
				Right: DoReview,
			})
		}
	}
	return nil
}
