package access

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// fits returns an error for an op that makes, edits or approves of a proposal whose ops could not be applied now: they
// name a category that is not there, or would loosen a pack; and for a new one that would change nothing. A proposal
// may be made for other versions than those that are there, which its readers are told, but nobody approves of it then.
func (c call) fits(ctx context.Context, i int, op *knowledge.Op, before, after knowledge.Document) error {
	was, is := proposalOf(before), proposalOf(after)
	if is == nil {
		return nil
	}
	approved := was != nil && was.OpsDigest == is.OpsDigest
	if approved && !addsApproval(was, is) {
		return nil
	}
	err := error(nil)
	if approved {
		err = store.CheckBases(ctx, c.s.next.Get, is)
	}
	if err == nil {
		var same *knowledge.Receipt
		if same, err = c.tryOut(ctx, is); same != nil && !approved { // nobody needs to read what changes nothing
			err = knowledge.Invalid("/ops", "would change nothing: every document is so already, and nothing is proposed")
		}
	}
	conflict, moved := errors.AsType[*store.ConflictError](err)
	switch {
	case moved && !approved, errors.Is(err, store.ErrNotFound) && !approved:
		return nil
	case moved:
		no := *conflict
		no.Op = i
		return fmt.Errorf("%w; the proposal was made for what was there before: propose it anew", &no)
	}
	return below(err, "/ops/"+strconv.Itoa(i)+partOf(op))
}

// addsApproval reports whether a change adds a review that lets a proposal be applied.
func addsApproval(was, is *knowledge.Proposal) bool {
	for _, r := range is.Reviews[min(len(was.Reviews), len(is.Reviews)):] {
		if r.Verdict == knowledge.VerdictApprove || r.Verdict == knowledge.VerdictOverride {
			return true
		}
	}
	return false
}

// tryOut returns what the store below says to the ops of a proposal, which it takes back; and its answer where they
// would change nothing. What can't be tried now, as in an outage, is left to who applies it.
func (c call) tryOut(ctx context.Context, p *knowledge.Proposal) (unchanged *knowledge.Receipt, err error) {
	ops, err := p.ApplyOps()
	if err != nil {
		return nil, err
	}
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: c.caller.ID, Ops: ops[:len(ops)-1], Dry: true}
	switch r, err := c.s.next.Apply(ctx, b); {
	case errors.Is(err, store.ErrUnavailable):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Unchanged:
		return &r, nil
	}
	return nil, nil
}

// partOf returns the pointer to what an op writes, below the op.
func partOf(op *knowledge.Op) string {
	if op.Verb == knowledge.VerbPatch {
		return "/patch"
	}
	return "/document"
}
