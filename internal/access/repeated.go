package access

import (
	"context"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// newestProposals is how many open proposals are looked through for one that says the same: who repeats a write does it
// soon after, and a look at all of them would cost more with each that waits.
const newestProposals = 100

// repeated returns the open proposal that a batch would make once more, nil for none.
func (c call) repeated(ctx context.Context, b *knowledge.Batch) (*store.ProposedError, error) {
	if len(b.Ops) != 1 || !b.At.IsZero() || c.caller.ID == SystemID || b.Ops[0].IfVersion != knowledge.NoVersion {
		return nil, nil
	}
	p := proposalOf(b.Ops[0].Doc)
	if p == nil {
		return nil, nil
	}
	made := c.waiting(ctx, b.Actor, p)
	if made == nil {
		return nil, nil
	}
	// Sent again it gets the answer of the first time, whatever the same writer has proposed since.
	if again, err := c.taken(ctx, b.ID); again || err != nil {
		return nil, err
	}
	return made, nil
}

// waiting returns the open proposal of a writer that has the same ops as p, of the newest ones; nil for none. Who sends
// the same again with another batch means that one. A store that can't be asked now has none.
func (c call) waiting(ctx context.Context, writer string, p *knowledge.Proposal) *store.ProposedError {
	page, err := c.s.next.List(ctx, knowledge.Query{
		Kind: knowledge.KindProposal, Status: knowledge.ProposalOpen, Limit: newestProposals,
	})
	if err != nil {
		return nil //nolint:nilerr // another proposal of the same does no harm, and a write that is lost does
	}
	for _, rec := range page.Records {
		d, err := rec.Document()
		is := proposalOf(d)
		if err != nil || is == nil || is.CreatedBy != writer || is.OpsDigest != p.OpsDigest ||
			is.ProposalID == p.ProposalID {
			continue
		}
		made := &store.ProposedError{Key: rec.Key}
		made.Receipt.Records = []*knowledge.Record{rec}
		// An agent's write gives its id to its proposal.
		if made.Receipt.Batch, err = uuid.Parse(is.ProposalID); err == nil {
			return made
		}
	}
	return nil
}

// tellProposed reports the proposals that a batch has made, and the agent that has made them.
func (c call) tellProposed(ctx context.Context, b *knowledge.Batch) {
	by := ""
	switch {
	case c.caller.Using != "":
		by = "by the agent " + c.caller.Using
	case c.caller.Agent:
		by = "by an agent"
	}
	told := c
	told.method = MethodPropose
	for i := range b.Ops {
		if p := proposalOf(b.Ops[i].Doc); p != nil && b.Ops[i].IfVersion == knowledge.NoVersion && b.At.IsZero() {
			told.tell(ctx, "", p.Key(), by)
		}
	}
}
