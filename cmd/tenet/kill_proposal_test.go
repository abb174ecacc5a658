package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// TestATenetKilledBetweenApprovalAndApplication leaves the proposal open and approved; one that is killed while it
// applies has done all of it or nothing, and whoever asks again gets it done once.
func TestATenetKilledBetweenApprovalAndApplication(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, "")
	admin := p.client(t)
	writer, token, err := access.NewPrincipal("writer", knowledge.RoleContributor)
	if err != nil {
		t.Fatal(err)
	}
	writer.Normalize()
	send := func(c *client.Store, ops ...knowledge.Op) {
		t.Helper()
		if _, err := c.Apply(t.Context(), knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "tester",
			Ops: ops,
		}); err != nil {
			t.Fatal(err)
		}
	}
	send(admin, knowledge.Put(writer, knowledge.NoVersion))
	who, err := p.owner()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := client.New(client.Options{URL: who.URL, Token: token, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	id := knowledge.NewBatchID().String()
	proposal, err := knowledge.Decode(knowledge.KindProposal, []byte(`{"proposal_id":"`+id+`","title":"Say it better","ops":[
		{"verb":"patch","kind":"rule","id":"SEC-001","if_version":1,"patch":{"title":"Said better"}},
		{"verb":"retire","kind":"rule","id":"SEC-002","if_version":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	send(theirs, knowledge.Put(proposal, knowledge.NoVersion))
	open, rec, err := store.ProposalOf(t.Context(), admin, id)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := store.ReviewBatch(open, rec, knowledge.NewBatchID(),
		knowledge.Review{By: "admin", Verdict: knowledge.VerdictApprove, At: knowledge.At(time.Now())})
	if _, err := admin.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	p.kill(t)

	p = serveProcess(t, dir, "")
	admin = p.client(t)
	if got, _, err := store.ProposalOf(t.Context(), admin, id); err != nil || got.State != knowledge.ProposalOpen ||
		len(got.Approvals()) != 1 {
		t.Fatalf("killed after the approval: %+v, %v", got, err)
	}
	asked := make(chan error, 1)
	go func() {
		_, _, err := store.ApplyProposal(t.Context(), admin, "admin", id)
		asked <- err
	}()
	p.kill(t) // before, while or after it is done
	failed := <-asked

	p = serveProcess(t, dir, "")
	admin = p.client(t)
	between, _, err := store.ProposalOf(t.Context(), admin, id)
	if err != nil || failed == nil && between.State != knowledge.ProposalApplied {
		t.Fatalf("killed while it was applied: asked %v, now %+v, %v", failed, between, err)
	}
	for range 2 {
		if _, rec, err := store.ApplyProposal(t.Context(), admin, "admin", id); err != nil ||
			!strings.Contains(string(rec.JSON), `"state":"applied"`) {
			t.Fatalf("asked again: %v, %v", rec, err)
		}
	}
	for key, want := range map[string]int{"SEC-001": 2, "SEC-002": 2} {
		list, err := admin.Changes(t.Context(), knowledge.ChangeQuery{Key: knowledge.Key{
			Kind: knowledge.KindRule,
			ID:   key,
		}})
		if err != nil || len(list) != want {
			t.Errorf("rule/%s has %d changes, %v; want %d", key, len(list), err, want)
		}
	}
	p.end(t)
}
