package access

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// judge returns the batch as it goes to the store, or why it does not.
func (c call) judge(ctx context.Context, b knowledge.Batch) (knowledge.Batch, error) {
	b.Origin = [32]byte{} // only a replay, below, knows a batch by another fingerprint than its own
	if !c.admin() {
		if !b.At.IsZero() {
			return b, c.forbid(ctx, "", knowledge.Key{}, "only an admin says when a batch took place")
		}
		b.Actor = c.caller.ID
	}
	if b.Actor == "" {
		b.Actor = c.caller.ID
	}
	for i := range b.Ops {
		if need := Needed(&b.Ops[i]); !c.caller.Has(need) {
			return b, c.forbid(ctx, b.Ops[i].Verb, b.Ops[i].Key, mayNot(&b.Ops[i], need))
		}
	}
	if c.caller.Has(knowledge.RoleMaintainer) {
		return b, nil
	}
	return c.judgeDrafts(ctx, b)
}

// Needed returns the weakest role that may do an op, as far as the op itself tells.
func Needed(op *knowledge.Op) string {
	switch {
	case op.Key.Kind == knowledge.KindPrincipal, op.Verb == knowledge.VerbPurge:
		return knowledge.RoleAdmin
	case op.Key.Kind == knowledge.KindRule, op.Key.Kind == knowledge.KindViolation:
		return knowledge.RoleContributor
	}
	return knowledge.RoleMaintainer
}

func mayNot(op *knowledge.Op, need string) string {
	return fmt.Sprintf("%s %s: that needs the role %s", op.Verb, op.Key, strings.Join(stronger(need), " or "))
}

// judgeDrafts judges the ops of a contributor by the documents before and after them. The batch that it returns holds only
// for the versions that were judged: a document that is published meanwhile is a conflict, not a way round.
func (c call) judgeDrafts(ctx context.Context, b knowledge.Batch) (knowledge.Batch, error) {
	if err := b.Validate(); err != nil {
		return b, err
	}
	origin, err := b.Fingerprint()
	if err != nil {
		return b, err
	}
	judged := b
	judged.Ops = append([]knowledge.Op(nil), b.Ops...)
	// The writer's own fingerprint stands beside the versions filled in here, so that a retry still finds its batch.
	judged.Origin = origin
	for i := range judged.Ops {
		err := c.judgeOp(ctx, i, &judged.Ops[i])
		if err == nil {
			continue
		}
		// What holds now need not have held when the batch was done, or taken. It can't be done again: its writer gets the same
		// receipt.
		if again, lookErr := c.taken(ctx, b.ID); lookErr != nil || again {
			return impossible(judged), lookErr
		}
		if no, ok := errors.AsType[*store.ForbiddenError](err); ok {
			c.tell(ctx, b.Ops[i].Verb, b.Ops[i].Key, no.Reason)
		}
		return judged, err
	}
	return judged, nil
}

// taken reports whether a batch with this id was done, or waits to be: nothing more can happen under it.
func (c call) taken(ctx context.Context, id knowledge.BatchID) (bool, error) {
	if c.s.waits != nil {
		if waits, err := c.s.waits(ctx, id); waits || err != nil {
			return waits, err
		}
	}
	list, err := c.s.next.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: 1})
	return len(list) > 0, err
}

// impossible binds every op to a version that no document reaches. A store that knows the batch looks no further than its id;
// one that has forgotten it does nothing.
func impossible(b knowledge.Batch) knowledge.Batch {
	for i := range b.Ops {
		b.Ops[i].IfVersion = math.MaxInt64
	}
	return b
}

// judgeOp judges one op and binds it to the version that was judged.
func (c call) judgeOp(ctx context.Context, i int, op *knowledge.Op) error {
	var before knowledge.Document
	if op.IfVersion != knowledge.NoVersion {
		rec, err := c.s.next.Get(ctx, op.Key)
		switch {
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut && op.IfVersion == knowledge.AnyVersion:
			op.IfVersion = knowledge.NoVersion
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut:
			return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion}
		case err != nil:
			return err
		case op.IfVersion != knowledge.AnyVersion && op.IfVersion != rec.Version:
			return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version}
		default:
			op.IfVersion = rec.Version
			if before, err = rec.Document(); err != nil {
				return err
			}
		}
	}
	after, err := op.Next(before)
	if err != nil {
		return nil //nolint:nilerr // the store says what is wrong with it, in its place
	}
	return c.judgeChange(op, before, after)
}

// judgeChange says whether a contributor may make after of before; before is nil for a new document.
func (c call) judgeChange(op *knowledge.Op, before, after knowledge.Document) error {
	no := func(why string) error {
		return &store.ForbiddenError{Reason: fmt.Sprintf("%s %s: %s", op.Verb, op.Key, why)}
	}
	switch after := after.(type) {
	case *knowledge.Rule:
		if was, ok := before.(*knowledge.Rule); ok && was.Status != knowledge.StatusDraft {
			return no("it is " + was.Status + ", and a contributor edits drafts only; a maintainer edits what is published")
		}
		if after.Status != knowledge.StatusDraft {
			return no("a contributor writes drafts: set status to DRAFT; a maintainer publishes it")
		}
		return nil
	case *knowledge.Violation:
		if was, ok := before.(*knowledge.Violation); ok && was.CreatedBy != c.caller.ID {
			return no("it was reported by " + was.CreatedBy + ", and a contributor edits its own reports; a maintainer edits all")
		}
		if after.Status == knowledge.ViolationWaived {
			// Else whoever breaks a rule, a program perhaps, could report that and excuse itself in one breath.
			return no("a contributor reports and resolves; a maintainer decides what may stay, and waives it")
		}
		return nil
	case *knowledge.Practice, *knowledge.Template, *knowledge.Category, *knowledge.Principal:
	}
	return no("that needs the role " + strings.Join(stronger(knowledge.RoleMaintainer), " or "))
}
