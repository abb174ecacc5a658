package access

import (
	"errors"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAProposalThatIsEditedWhileItIsAppliedIsAConflict edits a proposal after its approvals were counted and before the
// batch that applies it is written.
func TestAProposalThatIsEditedWhileItIsAppliedIsAConflict(t *testing.T) {
	d := openDesk(t, Policy{})
	ann, con := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "con", knowledge.RoleContributor)
	id := d.propose(con, t).ProposalID
	if err := d.review(ann, t, id, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	p, _, err := store.ProposalOf(ann, d, id)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := p.ApplyOps()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(con, storetest.Batch(knowledge.Op{
		Verb: knowledge.VerbPatch, Key: p.Key(), Patch: []byte(`{"why":"Another reason."}`),
	})); err != nil {
		t.Fatal(err)
	}
	if _, err := d.engine.Apply(t.Context(), knowledge.Batch{ID: p.ApplyID(), Actor: "ann", Ops: ops}); !errors.Is(err,
		store.ErrConflict) {
		t.Errorf("what was edited meanwhile is applied: %v, want ErrConflict", err)
	}
	if version := d.version(t); version != 1 {
		t.Errorf("the rule is at version %d, want 1", version)
	}
}
