package httpapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// reviewRequest is the body of POST /proposals/{id}/reviews.
type reviewRequest struct {
	Verdict string `json:"verdict" doc:"What you say of it; reject also closes it; override lets it be applied without its approvals, which admins may in an emergency" enum:"approve,ask,reject,comment,override"`
	Comment string `json:"comment,omitempty" doc:"In words; an override needs a reason"`
	Seen    string `json:"ops_digest,omitempty" doc:"The ops that the reviewer has read, as the proposal names them, or at least eight signs of the beginning: the review is refused if they have changed since"`
}

// proposedChanges are the changes that a proposal would make.
type proposedChanges struct {
	State   string                 `json:"state" doc:"Where the proposal stands" enum:"open,applied,rejected,withdrawn"`
	Moved   bool                   `json:"moved" doc:"True when some document is no longer as the proposal saw it"`
	Changes []store.ProposedChange `json:"changes" doc:"What each op does, in their order"`
	Notes   []knowledge.Note       `json:"notes,omitempty" doc:"What its writer may not have meant, such as names of documents that are not there; left out where there are none"`
}

type proposalPath struct {
	ID string `path:"id" doc:"The proposal's id" format:"uuid"`
}

type reviewParams struct {
	proposalPath
	idempotencyHeader
}

func proposalRoutes(h *Handler) []*route {
	l := &collection{h: h, kind: knowledge.KindProposal, path: "/api/v1/proposals"}
	id, tag := exampleID(knowledge.KindProposal), knowledge.KindProposal.Plural()
	wrote := []string{"Tenet-Batch", "Tenet-Seq"}
	queued := l.documentAnswer(http.StatusAccepted, "It is safe on disk and waits for the primary", "Tenet-Batch",
		"Link")
	writes := []int{http.StatusNotFound, http.StatusConflict}
	return []*route{
		{
			method: http.MethodPost, path: l.path + "/{id}/reviews", id: "review-proposal", tag: tag, sample: id,
			summary: "Review a proposal",
			description: "Adds what the caller says of the ops as they are now. Who may decide about proposals " +
				"approves, asks or rejects, but not about their own; " +
				"with ops_digest only of the ops that they have read; everybody who may propose " +
				"comments. An admin may override, with a reason: then it can be applied " +
				"without its approvals. When the ops change, what was said of others no longer counts.",
			handler: with(reviewProposal),
			body: &payload{media: mediaJSON, body: typeOf[reviewRequest](), samples: []sample{
				{"comment", "A word about it", reviewRequest{
					Verdict: knowledge.VerdictComment,
					Comment: "Which services does this touch?",
				}},
			}},
			answers: []answer{l.documentAnswer(http.StatusOK, "The proposal with the review", wrote...), queued},
			refusals: append(writes, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity),
		},
		{
			method: http.MethodPost, path: l.path + "/{id}/apply", id: "apply-proposal", tag: tag, sample: id,
			summary: "Apply a proposal",
			description: "Does its ops and says so in it, all or nothing, once: asked again, it gives the same " +
				"answer. It needs the approvals that the policy asks for, and the " +
				"right to do the ops. A document that is no longer as the proposal saw it is a conflict; changes " +
				"shows what differs.",
			handler:  with(applyProposal),
			answers:  []answer{l.documentAnswer(http.StatusOK, "The proposal, applied", wrote...), queued},
			refusals: writes,
		},
		{
			method: http.MethodGet, path: l.path + "/{id}/changes", id: "get-proposal-changes", tag: tag, sample: id,
			summary: "Read what a proposal would do",
			description: "For each op the document that it was made for, as it is now, and as the op leaves it. " +
				"Moved says that it is no longer as the proposal saw it.",
			handler:  with(h.proposedChanges),
			answers:  []answer{jsonAnswer[proposedChanges](http.StatusOK, "What it would do", exampleProposed())},
			refusals: []int{http.StatusNotFound},
		},
	}
}

func exampleProposed() any {
	before, after := exampleStored(knowledge.KindRule), exampleStored(knowledge.KindRule)
	after.Stamps().Version = 2
	return proposedChanges{State: knowledge.ProposalOpen, Changes: []store.ProposedChange{{
		Verb: knowledge.VerbPatch, Kind: knowledge.KindRule, ID: before.Key().ID, Base: 1, Current: 1, Before: before,
		Now: before, After: after,
	}}}
}

// proposalID returns the id that a path names, in the form that ids have.
func proposalID(c *call) string { return strings.ToLower(c.r.PathValue("id")) }

func reviewProposal(c *call, _ *reviewParams) error {
	batch, err := newBatch(c, saidParams{})
	if err != nil {
		return err
	}
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	var f faultList
	var ask reviewRequest
	members := f.object("", raw, "verdict", "comment", "ops_digest")
	f.member("/verdict", members["verdict"], &ask.Verdict, "approve, ask, reject, comment or override")
	f.member("/comment", members["comment"], &ask.Comment, "text")
	f.member("/ops_digest", members["ops_digest"], &ask.Seen, "text")
	if err := f.err(false); err != nil {
		return err
	}
	ctx := c.limited()
	p, rec, err := store.ProposalOf(ctx, c.h.o.Store, proposalID(c))
	if err != nil {
		return err
	}
	b, done := store.ReviewBatch(p, rec, batch.ID, knowledge.Review{
		By: batch.Actor, Verdict: ask.Verdict, Comment: ask.Comment, OpsDigest: ask.Seen, At: knowledge.At(time.Now()),
	})
	if done {
		receipt := knowledge.Receipt{Batch: rec.Pending, Queued: rec.Pending != (knowledge.BatchID{})}
		if receipt.Queued {
			setBatchHeaders(c, receipt.Batch, &receipt)
		}
		c.record(statusOf(&receipt), rec)
		return nil
	}
	// Sent again, it is the same, whatever reviews there are by then.
	origin := fmt.Appendf(nil, "review %q %q %q %q", b.Actor, rec.Key.ID, ask.Verdict, ask.Comment)
	if ask.Seen != "" {
		origin = fmt.Appendf(origin, " %q", ask.Seen)
	}
	b.Origin = sha256.Sum256(origin)
	receipt, err := c.h.o.Store.Apply(ctx, b)
	if err != nil {
		return underReview(err, len(p.Reviews))
	}
	setBatchHeaders(c, b.ID, &receipt)
	c.record(statusOf(&receipt), receipt.Records[0])
	return nil
}

// underReview turns the faults of a review into faults of the request.
func underReview(err error, n int) error {
	invalid, ok := errors.AsType[*knowledge.InvalidError](asSingle(err))
	if !ok {
		return err
	}
	out := &knowledge.InvalidError{}
	for _, fault := range invalid.Faults {
		if rest, ok := strings.CutPrefix(fault.Pointer, "/reviews/"+decimal(int64(n))); ok {
			fault.Pointer = rest
		}
		out.Faults = append(out.Faults, fault)
	}
	return out
}

func applyProposal(c *call, _ *proposalPath) error {
	receipt, rec, err := store.ApplyProposal(c.limited(), c.h.o.Store, c.actor(), proposalID(c))
	if err != nil {
		return err
	}
	if receipt.Batch != (knowledge.BatchID{}) {
		setBatchHeaders(c, receipt.Batch, &receipt)
	}
	c.record(statusOf(&receipt), rec)
	return nil
}

func (h *Handler) proposedChanges(c *call, _ *proposalPath) error {
	ctx := c.limited()
	p, _, err := store.ProposalOf(ctx, h.o.Store, proposalID(c))
	if err != nil {
		return err
	}
	// A preview must not show documents that the caller may not read. No proposal holds such kinds today; this makes
	// sure of it.
	for i := range p.Ops {
		if kind, err := knowledge.ParseKind(p.Ops[i].Kind); err == nil && !access.Sees(c.request.Caller, kind) {
			return c.request.Caller.Deny(&store.ForbiddenError{Reason: "you may not read " + kind.Plural()})
		}
	}
	list, err := store.Preview(ctx, h.o.Store, p)
	if err != nil {
		return err
	}
	a := proposedChanges{State: p.State, Changes: list}
	a.Notes = notesOn(c, p)
	for i := range list {
		a.Moved = a.Moved || list[i].Moved
	}
	return c.json(http.StatusOK, &a)
}
