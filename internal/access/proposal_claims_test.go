package access

import (
	"errors"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAProposalClaimsNoReview writes what only a review, in its own name, may say: each is one fault, and nothing is
// written.
func TestAProposalClaimsNoReview(t *testing.T) {
	d := openDesk(t, Policy{})
	ben := d.as(t, "ben", knowledge.RoleMaintainer)
	there := d.propose(d.as(t, "con", knowledge.RoleContributor), t)
	approval := func(p *knowledge.Proposal, by string) {
		p.Reviews = append(p.Reviews, knowledge.Review{
			By: by, At: knowledge.At(time.Unix(1_800_000_000, 0)), Verdict: knowledge.VerdictApprove, OpsDigest: p.OpsDigest,
		})
	}
	for _, c := range []struct {
		name, pointer string
		anew          bool
		change        func(p *knowledge.Proposal)
	}{
		{"a review in another's name", "/reviews/0/by", false, func(p *knowledge.Proposal) { approval(p, "ann") }},
		{"a review of a new proposal", "/reviews/0", true, func(p *knowledge.Proposal) { approval(p, "ben") }},
		{"a new proposal that is applied", "/state", true, func(p *knowledge.Proposal) {
			p.State = knowledge.ProposalApplied
		}},
	} {
		p, rec, err := store.ProposalOf(t.Context(), d.engine, there.ProposalID)
		if err != nil {
			t.Fatal(err)
		}
		op := knowledge.Put(p, rec.Version)
		if c.anew {
			p.ProposalID, op = knowledge.NewBatchID().String(), knowledge.Put(p, knowledge.NoVersion)
			op.Key = p.Key()
		}
		c.change(p)
		_, err = d.Apply(ben, storetest.Batch(op))
		invalid, ok := errors.AsType[*knowledge.InvalidError](err)
		if !ok || len(invalid.Faults) != 1 || invalid.Faults[0].Pointer != "/ops/0/document"+c.pointer {
			t.Errorf("%s: %v, want one fault at %s", c.name, err, c.pointer)
		}
		now, _, err := store.ProposalOf(t.Context(), d.engine, p.ProposalID)
		if c.anew != errors.Is(err, store.ErrNotFound) || err == nil && len(now.Reviews) != 0 {
			t.Errorf("%s: the proposal is %+v, %v", c.name, now, err)
		}
	}
}

// TestWhoseApprovalDoesNotCount applies proposals whose approvals came past the rules, as with a database that was put
// together by hand.
func TestWhoseApprovalDoesNotCount(t *testing.T) {
	for by, why := range map[string]string{
		"ann": "its writer", "con": "not a reviewer", "nobody": "unknown or revoked", "bot": "not a reviewer",
	} {
		t.Run(by, func(t *testing.T) {
			d := openDesk(t, Policy{})
			made := d.propose(d.as(t, "ann", knowledge.RoleMaintainer), t)
			p, rec, err := store.ProposalOf(t.Context(), d.engine, made.ProposalID)
			if err != nil {
				t.Fatal(err)
			}
			p.Reviews = append(p.Reviews, knowledge.Review{
				By: by, At: knowledge.At(time.Unix(1_800_000_000, 0)), Verdict: knowledge.VerdictApprove, OpsDigest: p.OpsDigest,
			})
			apply(t, d.engine, knowledge.Put(p, rec.Version))
			if err := d.apply(d.as(t, "ben", knowledge.RoleMaintainer), p.ProposalID); !forbiddenFor(err, why) {
				t.Errorf("applied with the approval of %s: %v, want a refusal that says %s", by, err, why)
			}
			if d.version(t) != 1 {
				t.Error("it was applied")
			}
		})
	}
}
