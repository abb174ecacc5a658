package access

import (
	"context"
	"errors"
	"strconv"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// denied is a write that its caller may not make. Only when nothing else comes of it, such as a proposal, is it told as
// refused.
type denied struct {
	verb knowledge.Verb
	key  knowledge.Key
	no   *store.ForbiddenError
}

func (d *denied) Error() string { return d.no.Error() }

// judge returns the batch to send to the store, or the error that refuses it: a [*denied] for want of a right.
func (c call) judge(ctx context.Context, b knowledge.Batch) (knowledge.Batch, error) {
	if no := Decide(c.caller, Act{Verb: VerbDate}); no != nil {
		if !b.At.IsZero() {
			no.Reason = "set the time of a batch: " + no.Reason
			return b, &denied{no: no}
		}
		b.Actor = c.caller.ID
	}
	if b.At.IsZero() && c.caller.ID != SystemID { // an imported history keeps its reporters and resolvers
		var err error
		if b, err = c.stampless(ctx, b); err != nil {
			return b, err
		}
	}
	if b.Actor == "" {
		b.Actor = c.caller.ID
	}
	if err := c.enters(ctx, &b); err != nil {
		return b, err
	}
	if i, no := decideOps(c.caller, &b); no != nil {
		return b, &denied{b.Ops[i].Verb, b.Ops[i].Key, no}
	}
	// Past changes were judged at their time, and the program's own writes need no review.
	if !c.mustSee(&b) || c.caller.ID == SystemID || !b.At.IsZero() && c.caller.May(DoDate, anyKind) {
		return b, nil
	}
	return c.judgeDrafts(ctx, b)
}

// entered reports a batch that was entered with another actor or another time.
func (c call) entered(ctx context.Context, b *knowledge.Batch) {
	if c.s.refused == nil || b.EnteredBy == "" {
		return
	}
	reason := "batch " + b.ID.String() + " as " + b.Actor
	if !b.At.IsZero() {
		reason += ", as of " + b.At.Format(knowledge.TimeLayout)
	}
	r := Refusal{Caller: c.caller, Method: MethodEnter, Reason: reason, RequestID: RequestID(ctx)}
	if len(b.Ops) == 1 {
		r.Key = b.Ops[0].Key
	}
	r.Door, r.Peer = RequestFrom(ctx).place()
	c.s.refused(ctx, r)
}

// mustSee reports whether a decision about a batch needs the current documents.
func (c call) mustSee(b *knowledge.Batch) bool {
	for i := range b.Ops {
		op := &b.Ops[i]
		a := Act{Verb: op.Verb, Key: op.Key}
		switch {
		case !a.writes():
		case op.Key.Kind == knowledge.KindProposal, c.s.policy.most(op.Key) > 0,
			!c.caller.May(DoPublish, op.Key.Kind) && !c.caller.May(DoManage, op.Key.Kind):
			return true
		}
	}
	return false
}

// judgeDrafts judges operations by the documents before and after them. The returned batch applies only to the versions
// that were judged: a document that is published meanwhile causes a conflict.
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
	// Origin keeps the fingerprint of the writer's own batch, so that a retry still matches it.
	judged.Origin = origin
	for i := range judged.Ops {
		err := c.judgeOp(ctx, &b, i, &judged.Ops[i])
		if err == nil {
			continue
		}
		// The decision may have been another when the batch was first sent. A batch that was taken can't be applied
		// again: its writer gets the same receipt.
		if again, lookErr := c.taken(ctx, b.ID); lookErr != nil || again {
			return impossible(judged), lookErr
		}
		if no, ok := errors.AsType[*store.ForbiddenError](err); ok {
			return judged, &denied{b.Ops[i].Verb, b.Ops[i].Key, no}
		}
		return judged, err
	}
	return judged, nil
}

// taken reports whether a batch with this id was applied or waits in the journal: the id can't cause another change.
func (c call) taken(ctx context.Context, id knowledge.BatchID) (bool, error) {
	if c.s.waits != nil {
		if waits, err := c.s.waits(ctx, id); waits || err != nil {
			return waits, err
		}
	}
	list, err := c.s.next.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: 1})
	return len(list) > 0, err
}

// impossible binds every operation to a version that no document reaches. A store that knows the batch answers by its
// id alone; one that has forgotten it applies nothing.
func impossible(b knowledge.Batch) knowledge.Batch {
	for i := range b.Ops {
		b.Ops[i].IfVersion, b.Ops[i].IfBatch = knowledge.NeverVersion, knowledge.BatchID{}
	}
	return b
}

// bindArchived returns the document that an operation restores from the archive, and binds the operation to the version
// of its archiving. It is [store.ErrNotFound] for a document that is not in the archive, or whose text the log has
// lost.
func (c call) bindArchived(ctx context.Context, i int, op *knowledge.Op) (knowledge.Document, error) {
	last, err := c.s.archived(ctx, op.Key)
	if err != nil {
		return nil, err
	}
	if last == nil {
		return nil, &store.NotFoundError{Key: op.Key}
	}
	if at := last[0].Version; op.IfVersion != knowledge.AnyVersion && op.IfVersion != at {
		return nil, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: at}
	}
	op.IfVersion = last[0].Version
	return last[1].Record.Document()
}

// judgeOp judges one operation and binds it to the judged version.
func (c call) judgeOp(ctx context.Context, b *knowledge.Batch, i int, op *knowledge.Op) error {
	var before knowledge.Document
	if op.IfVersion != knowledge.NoVersion {
		rec, err := c.s.next.Get(ctx, op.Key)
		switch {
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut && op.IfVersion == knowledge.AnyVersion:
			op.IfVersion = knowledge.NoVersion
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut:
			return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion}
		case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbRestore:
			if before, err = c.bindArchived(ctx, i, op); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if err := c.bind(ctx, i, op, rec); err != nil {
				return err
			}
			if before, err = rec.Document(); err != nil {
				return err
			}
		}
	}
	after, err := op.Next(before)
	if err != nil {
		return nil //nolint:nilerr // the store reports the fault
	}
	caller := c.caller
	if op.Key.Kind == knowledge.KindProposal {
		if err := c.claims(ctx, before, after); err != nil {
			return below(err, "/ops/"+strconv.Itoa(i)+partOf(op))
		}
		own := *caller
		own.ownApproval = c.s.policy.OwnApproval
		if c.caller.May(DoDate, anyKind) {
			own.writesFor = b.Actor
		}
		caller = &own
	}
	if no := Decide(caller, Act{Verb: op.Verb, Key: op.Key, Before: before, After: after, Seen: true}); no != nil {
		return no
	}
	if err := c.fits(ctx, i, op, before, after); err != nil {
		return err
	}
	if err := c.applied(ctx, b, i, before, after); err != nil {
		return err
	}
	if applies(b) || op.Key.Kind == knowledge.KindProposal {
		return nil
	}
	if no := c.direct(op, before, after); no != nil {
		return no
	}
	return nil
}

// claims returns an error for what a proposal may not say: in others' names, or about documents that are not there.
func (c call) claims(ctx context.Context, before, after knowledge.Document) error {
	if err := claims(c.caller, before, after); err != nil {
		return err
	}
	was, is := proposalOf(before), proposalOf(after)
	if is == nil || was != nil && was.OpsDigest == is.OpsDigest {
		return nil
	}
	return c.aimed(ctx, is)
}

// applies reports whether a batch applies a proposal, in the only form that [call.applied] accepts.
func applies(b *knowledge.Batch) bool {
	last := &b.Ops[len(b.Ops)-1]
	return last.Key.Kind == knowledge.KindProposal && last.Verb == knowledge.VerbPatch &&
		string(last.Patch) == knowledge.AppliedPatch
}

// bind makes an operation apply only to the judged record: by its version, or, if the record is pending and its version
// only promised, by the batch that left it.
func (c call) bind(ctx context.Context, i int, op *knowledge.Op, rec *knowledge.Record) error {
	none := knowledge.BatchID{}
	no := &store.ConflictError{
		Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version, WantBatch: op.IfBatch,
		GotBatch: rec.Pending,
	}
	switch {
	case op.IfBatch != none && op.IfBatch != rec.Pending:
		if rec.Pending != none {
			return no
		}
		changes, err := c.s.next.Changes(ctx, knowledge.ChangeQuery{Batch: op.IfBatch, Key: op.Key, Limit: 1})
		if err != nil {
			return err
		}
		if len(changes) == 0 || changes[0].Version != rec.Version {
			return no
		}
	case op.IfVersion != knowledge.AnyVersion && (op.IfVersion != rec.Version || rec.Pending != none):
		return no
	case rec.Pending != none:
		op.IfVersion, op.IfBatch = knowledge.AnyVersion, rec.Pending
	default:
		op.IfVersion = rec.Version
	}
	return nil
}
