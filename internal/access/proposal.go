package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// proposalOf returns a document as a proposal, nil if it is none.
func proposalOf(d knowledge.Document) *knowledge.Proposal {
	p, _ := d.(*knowledge.Proposal)
	return p
}

// notAProposer returns why a caller may not make this change to a proposal as its writer, "" if it may. Anybody may
// comment; other changes are for the writer.
func notAProposer(c *Caller, a Act) string {
	was, is := proposalOf(a.Before), proposalOf(a.After)
	switch {
	case is == nil || was == nil:
		return ""
	case was.State != knowledge.ProposalOpen:
		return "it is " + was.State + ", and a decided proposal can't be changed: make a new one"
	case is.State != knowledge.ProposalOpen && is.State != knowledge.ProposalWithdrawn:
		return "its writer may only withdraw it; a maintainer decides"
	case onlyComments(was, is):
		return ""
	case was.CreatedBy != c.ID && was.CreatedBy != c.writesFor && len(is.Reviews) > len(was.Reviews):
		return "to review it: " + c.lacks(DoReview, knowledge.KindProposal)
	case was.CreatedBy != c.ID && was.CreatedBy != c.writesFor:
		return "it is a proposal of " + was.CreatedBy + ": others may only review it"
	case len(is.Reviews) > len(was.Reviews):
		return "nobody may review their own proposal: ask somebody else"
	}
	return ""
}

// notAReviewer returns why a caller may not make this change to a proposal as a reviewer, "" if it may.
func notAReviewer(c *Caller, a Act) string {
	was, is := proposalOf(a.Before), proposalOf(a.After)
	switch {
	case is == nil || was == nil:
		return ""
	case was.State != knowledge.ProposalOpen:
		return "it is " + was.State + ", and a decided proposal can't be changed: make a new one"
	case !sameWords(was, is):
		return "it is a proposal of " + was.CreatedBy + ", and only its writer may edit it: ask for changes in a review"
	case is.State == knowledge.ProposalWithdrawn:
		return "only its writer may withdraw it; reject it instead"
	case addsOverride(was, is) && !c.May(DoOverride, knowledge.KindProposal):
		return c.lacks(DoOverride, knowledge.KindProposal) + ", who may let it be applied without its approvals"
	case overrides(was, is): // also one's own: in an emergency there may be nobody else
		return ""
	case was.CreatedBy == c.ID && !c.ownApproval && len(is.Reviews) > len(was.Reviews) && !onlyComments(was, is):
		return "nobody may review their own proposal: somebody else does, with a token of their own (tenet token " +
			"create " +
			"NAME --role maintainer), or, where you work alone, start the server with --review-own"
	}
	return ""
}

// sameWords reports whether two versions of a proposal have the same text and operations.
func sameWords(a, b *knowledge.Proposal) bool {
	return a.Title == b.Title && a.Why == b.Why && a.OpsDigest == b.OpsDigest && a.IsActive == b.IsActive
}

// overrides reports whether a change adds nothing but overrides.
func overrides(was, is *knowledge.Proposal) bool {
	if was.State != is.State || len(is.Reviews) <= len(was.Reviews) {
		return false
	}
	return !slices.ContainsFunc(is.Reviews[len(was.Reviews):],
		func(r knowledge.Review) bool { return r.Verdict != knowledge.VerdictOverride })
}

// addsOverride reports whether a change adds an override, among others.
func addsOverride(was, is *knowledge.Proposal) bool {
	return slices.ContainsFunc(is.Reviews[min(len(was.Reviews), len(is.Reviews)):],
		func(r knowledge.Review) bool { return r.Verdict == knowledge.VerdictOverride })
}

// onlyComments reports whether a change only adds comments.
func onlyComments(was, is *knowledge.Proposal) bool {
	if !sameWords(was, is) || was.State != is.State || len(is.Reviews) <= len(was.Reviews) {
		return false
	}
	return !slices.ContainsFunc(is.Reviews[len(was.Reviews):],
		func(r knowledge.Review) bool { return r.Verdict != knowledge.VerdictComment })
}

// claims returns an error for content that its writer may not set: reviews in another's name, and changes of earlier
// reviews.
func claims(c *Caller, before, after knowledge.Document) error {
	was, is := proposalOf(before), proposalOf(after)
	if is == nil {
		return nil
	}
	if was == nil {
		was = &knowledge.Proposal{State: knowledge.ProposalOpen}
	}
	invalid := &knowledge.InvalidError{}
	add := func(pointer, format string, args ...any) {
		invalid.Faults = append(invalid.Faults, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	if before == nil && is.State != knowledge.ProposalOpen {
		add("/state", "%s: a new proposal is open", is.State)
	}
	if len(is.Reviews) < len(was.Reviews) || !slices.Equal(is.Reviews[:len(was.Reviews)], was.Reviews) {
		add("/reviews", "reviews can't be changed or removed, only added")
	} else {
		for i := len(was.Reviews); i < len(is.Reviews); i++ {
			r, p := &is.Reviews[i], "/reviews/"+strconv.Itoa(i)
			switch {
			case before == nil:
				add(p, "a new proposal has no reviews")
			case r.By != c.ID:
				add(p+"/by", "%q: a review must be in your own name, %s", r.By, c.ID)
			case r.OpsDigest != is.OpsDigest:
				add(p+"/ops_digest", "the ops have changed: read the proposal again and review %s", is.OpsDigest)
			}
		}
	}
	if len(invalid.Faults) > 0 {
		return invalid
	}
	return nil
}

// aimed returns a fault for each op of a proposal that is about a document which is not there, or is hidden from the
// caller, or that its patch leaves invalid: it could never be applied.
func (c call) aimed(ctx context.Context, p *knowledge.Proposal) error {
	invalid := &knowledge.InvalidError{}
	made := map[knowledge.Key]bool{}
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return nil //nolint:nilerr // the store reports the fault
		}
		if made[op.Key] = made[op.Key] || op.Verb == knowledge.VerbPut; made[op.Key] {
			continue
		}
		there, err := c.there(ctx, &op)
		if err != nil {
			return err
		}
		at := "/ops/" + strconv.Itoa(i)
		if !there {
			invalid.Faults = append(invalid.Faults, knowledge.Fault{
				Pointer: at + "/id", Detail: op.Key.String() + " does not exist",
			})
			continue
		}
		no, err := c.unfit(ctx, &op)
		if err != nil {
			return err
		}
		if no != nil {
			invalid.Faults = append(invalid.Faults, no.Below(at+"/patch").Faults...)
		}
		made[op.Key] = true // what is done to it later begins with another text
	}
	if len(invalid.Faults) > 0 {
		return invalid
	}
	return store.CheckProposed(ctx, c.s.next.Get, p)
}

// unfit returns what is wrong with the patch of an op, nil for nothing. Of one that was made for another version than
// is there now that can't be told.
func (c call) unfit(ctx context.Context, op *knowledge.Op) (*knowledge.InvalidError, error) {
	if op.Verb != knowledge.VerbPatch {
		return nil, nil
	}
	rec, err := c.s.next.Get(ctx, op.Key)
	if err != nil || op.IfVersion > 0 && rec.Version != op.IfVersion {
		return nil, err
	}
	current, err := rec.Document()
	if err != nil {
		return nil, err
	}
	_, err = op.Next(current)
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return invalid, nil
	}
	return nil, err
}

// there reports whether the document of an op is there, as far as the caller may know, or in the archive for one that
// restores it.
func (c call) there(ctx context.Context, op *knowledge.Op) (bool, error) {
	hidden, err := c.s.policy.Confidential.hidesKey(ctx, c.s.next, op.Key)
	if err != nil || hidden {
		return false, err
	}
	_, err = c.s.next.Get(ctx, op.Key)
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	case op.Verb != knowledge.VerbRestore:
		return false, nil
	}
	last, err := c.s.archived(ctx, op.Key)
	return last != nil, err
}

// below moves the faults of an error below a pointer.
func below(err error, pointer string) error {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return invalid.Below(pointer)
	}
	return err
}

// applied returns why a batch may not mark a proposal as applied; nil if it may, or does not.
func (c call) applied(ctx context.Context, b *knowledge.Batch, i int, before, after knowledge.Document) error {
	was, is := proposalOf(before), proposalOf(after)
	if was == nil || is == nil || was.State == knowledge.ProposalApplied || is.State != knowledge.ProposalApplied {
		return nil
	}
	others := slices.Delete(slices.Clone(b.Ops), i, i+1)
	if !was.SameOps(others) {
		return knowledge.Invalid("/ops/"+strconv.Itoa(i), "a proposal must be applied together with exactly its ops: "+
			"POST /proposals/%s/apply, or tenet review apply", was.ProposalID)
	}
	needed, err := c.approvalsNeeded(ctx, was)
	if err != nil {
		return err
	}
	var by, no []string
	for _, id := range was.Approvals() {
		if why := c.noApprover(was, id); why != "" {
			no = append(no, id+" ("+why+")")
			continue
		}
		by = append(by, id)
	}
	if len(by) >= needed || c.overridden(was) != nil {
		return nil
	}
	wants := knowledge.Count(needed, "approval", "approvals")
	reason := fmt.Sprintf("it needs %s of its current ops, and has %d", wants, len(by))
	if len(no) > 0 {
		reason += "; not counted: " + strings.Join(no, ", ")
	}
	return &store.ForbiddenError{Reason: "apply " + was.Key().String() + ": " + reason, Right: DoReview}
}

// overridden returns the override that lets a proposal be applied without its approvals, nil if there is none by
// somebody who may still give it.
func (c call) overridden(p *knowledge.Proposal) *knowledge.Review {
	for _, r := range p.Overrides() {
		who := c.caller
		if r.By != who.ID && c.s.dir != nil {
			who, _ = c.s.dir.Caller(r.By)
		} else if r.By != who.ID {
			return r // nobody here can look it up: it was judged when it was written
		}
		if who.May(DoOverride, knowledge.KindProposal) {
			return r
		}
	}
	return nil
}

// tellOverride reports that a batch has applied a proposal under an override.
func (c call) tellOverride(ctx context.Context, b *knowledge.Batch, r *knowledge.Receipt) {
	n := len(b.Ops) - 1
	if c.s.refused == nil || !applies(b) || n >= len(r.Records) || r.Records[n] == nil {
		return
	}
	d, err := r.Records[n].Document()
	p := proposalOf(d)
	if err != nil || p == nil {
		return
	}
	if o := c.overridden(p); o != nil {
		told := c
		told.method = MethodOverride
		told.tell(ctx, "", p.Key(), fmt.Sprintf("applied without its approvals by an override of %s: %s", o.By,
			o.Comment))
	}
}

// approvalsNeeded returns how many approvals a proposal needs: one, or as many as the policy asks for the documents
// that it writes.
func (c call) approvalsNeeded(ctx context.Context, p *knowledge.Proposal) (int, error) {
	n := 1
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return 0, err
		}
		if c.s.policy.most(op.Key) == 0 {
			continue
		}
		var before knowledge.Document
		rec, err := c.s.next.Get(ctx, op.Key)
		if err == nil {
			before, err = rec.Document()
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
		var after knowledge.Document
		if before != nil || op.Verb == knowledge.VerbPut {
			if after, err = op.Next(before); err != nil {
				after = nil // the store reports the fault
			}
		}
		n = max(n, c.s.policy.Approvals(before, after))
	}
	return n, nil
}

// most returns the most approvals that a rule may ask for a document with this key, whatever its content.
func (p *Policy) most(key knowledge.Key) int {
	n := 0
	for i := range p.Rules {
		if r := &p.Rules[i]; (r.Kind == "" || r.Kind == key.Kind) && (r.ID == "" || r.ID == key.ID) {
			n = max(n, r.Approvals)
		}
	}
	return n
}

// noApprover returns why an actor's approval does not count, "" if it counts.
func (c call) noApprover(p *knowledge.Proposal, id string) string {
	if id == p.CreatedBy && !c.s.policy.OwnApproval {
		return "its writer"
	}
	who := c.caller
	if id != who.ID {
		if c.s.dir == nil {
			return ""
		}
		known, ok := c.s.dir.Caller(id)
		if !ok {
			return "unknown or revoked"
		}
		who = known
	}
	if !who.May(DoReview, knowledge.KindProposal) {
		return "not a reviewer"
	}
	return ""
}

// direct returns why an operation that is not part of a proposal must not be written directly, nil if it may.
func (c call) direct(op *knowledge.Op, before, after knowledge.Document) *store.ForbiddenError {
	if n := c.s.policy.Approvals(before, after); n > 0 {
		return &store.ForbiddenError{
			Reason: fmt.Sprintf("%s %s: the policy asks for %s of this write: propose it (POST "+
				"/proposals, tenet propose)", op.Verb, op.Key, knowledge.Count(n, "approval", "approvals")),
			Right: DoReview,
		}
	}
	return nil
}

// propose turns a batch that an agent may not write into a proposal; false if it can't be proposed.
func (c call) propose(ctx context.Context, b *knowledge.Batch) (knowledge.Batch, *knowledge.Proposal, bool) {
	if !c.caller.Agent || c.s.policy.RefuseAgents || len(b.Ops) > knowledge.MaxProposedOps ||
		!c.caller.May(DoPropose, knowledge.KindProposal) || !b.At.IsZero() {
		return *b, nil, false
	}
	p := &knowledge.Proposal{
		ProposalID: b.ID.String(), IsActive: true,
		Why: c.caller.saysSo(b.Message),
	}
	for i := range b.Ops {
		op := b.Ops[i]
		if op.Verb.Removes() || hiddenKind(op.Key.Kind) || op.Key.Kind == knowledge.KindProposal {
			return *b, nil, false
		}
		if op.IfVersion == knowledge.AnyVersion {
			rec, err := c.s.next.Get(ctx, op.Key)
			switch {
			case errors.Is(err, store.ErrNotFound) && op.Verb == knowledge.VerbPut:
				op.IfVersion = knowledge.NoVersion
			case err != nil || rec.Pending != (knowledge.BatchID{}):
				return *b, nil, false
			default:
				op.IfVersion = rec.Version
			}
		}
		one, err := knowledge.ProposedOpOf(&op)
		if err != nil {
			return *b, nil, false
		}
		p.Ops = append(p.Ops, one)
	}
	store.TitleProposal(ctx, c.s.next, p, b.Ops)
	p.Normalize()
	origin, err := b.Fingerprint() // sent again, it is the same, whatever the versions are by then
	if err != nil {
		return *b, nil, false
	}
	return knowledge.Batch{
			ID: b.ID, Actor: c.caller.ID, Dry: b.Dry, Origin: origin,
			Ops: []knowledge.Op{knowledge.Put(p, knowledge.NoVersion)},
		},
		p, true
}

// saysSo returns why something is proposed with the sentence that an agent has written it, below what it says itself.
func (c *Caller) saysSo(why string) string {
	said := knowledge.WrittenBy(c.ID, c.Using)
	switch {
	case strings.HasSuffix(why, said):
		return why
	case why == "":
		return said
	}
	return why + "\n\n" + said
}

// signed returns a batch of an agent whose new proposals say so, as those do that are made of its other writes. Sent
// again, also by another agent of the same person, it is the same batch.
func (c call) signed(ctx context.Context, b knowledge.Batch) (knowledge.Batch, error) {
	if !c.caller.Agent || !b.At.IsZero() {
		return b, nil
	}
	sent := b
	for i := range sent.Ops {
		op := &sent.Ops[i]
		p := proposalOf(op.Doc)
		if p == nil || op.IfVersion > 0 || op.IfBatch != (knowledge.BatchID{}) {
			continue
		}
		if _, err := c.s.next.Get(ctx, op.Key); err == nil && op.IfVersion == knowledge.AnyVersion {
			continue // it edits one
		}
		if b.Origin == ([32]byte{}) {
			var err error
			if b.Origin, err = sent.Fingerprint(); err != nil {
				return b, err
			}
			b.Ops = slices.Clone(sent.Ops)
		}
		says := *p
		says.Why = c.caller.saysSo(p.Why)
		b.Ops[i].Doc = &says
	}
	return b, nil
}
