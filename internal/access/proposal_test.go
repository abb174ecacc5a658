package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// desk is a store with people of every role, and a rule.
type desk struct {
	*Store
	engine store.Store
	rule   *knowledge.Rule
}

func (d *desk) as(t *testing.T, id, role string) context.Context {
	t.Helper()
	return WithCaller(t.Context(), &Caller{ID: id, Role: role, Agent: strings.HasPrefix(id, "bot")})
}

func openDesk(t *testing.T, p Policy) *desk {
	t.Helper()
	e := openEngine(t)
	d := &desk{engine: e, rule: storetest.Rule()}
	apply(t, e, knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory }), 0),
		knowledge.Put(d.rule, 0))
	for id, role := range map[string]string{
		"ann": knowledge.RoleMaintainer, "ben": knowledge.RoleMaintainer, "con": knowledge.RoleContributor,
		"bot": knowledge.RoleMaintainer, "adm": knowledge.RoleAdmin,
	} {
		_, who := newToken(t, func(p *knowledge.Principal) { p.PrincipalID, p.Role, p.Agent = id, role, id == "bot" })
		apply(t, e, knowledge.Put(who, 0))
	}
	dir := NewDirectory(e, quiet())
	if err := dir.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Store = New(e, dir, nil).WithPolicy(p)
	return d
}

// propose makes a proposal of con to change the rule.
func (d *desk) propose(ctx context.Context, t *testing.T) *knowledge.Proposal {
	t.Helper()
	p := storetest.Proposal(d.rule.RuleID, func(p *knowledge.Proposal) {
		p.Ops[0].Patch = map[string]any{"title": "Otherwise"}
		p.Ops[0].IfVersion = d.version(t)
	})
	if _, err := d.Apply(ctx, storetest.Batch(knowledge.Put(p, knowledge.NoVersion))); err != nil {
		t.Fatal(err)
	}
	return p
}

func (d *desk) version(t *testing.T) int64 {
	t.Helper()
	rec, err := d.engine.Get(t.Context(), d.rule.Key())
	if err != nil {
		t.Fatal(err)
	}
	return rec.Version
}

func (d *desk) review(ctx context.Context, t *testing.T, id, verdict string) error {
	t.Helper()
	return d.reviewOf(ctx, t, id, verdict, "")
}

// reviewOf reviews the ops with a digest.
func (d *desk) reviewOf(ctx context.Context, t *testing.T, id, verdict, digest string) error {
	t.Helper()
	p, rec, err := store.ProposalOf(ctx, d, id)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := store.ReviewBatch(p, rec, knowledge.NewBatchID(), knowledge.Review{
		By: CallerFrom(ctx).ID, Verdict: verdict, OpsDigest: digest,
	})
	_, err = d.Apply(ctx, b)
	return err
}

func (d *desk) apply(ctx context.Context, id string) error {
	_, _, err := store.ApplyProposal(ctx, d, CallerFrom(ctx).ID, id)
	return err
}

func forbiddenFor(err error, words string) bool {
	no, ok := errors.AsType[*store.ForbiddenError](err)
	return ok && strings.Contains(no.Reason, words)
}

func TestWhoMayDecideAboutAProposal(t *testing.T) {
	d := openDesk(t, Policy{})
	ann, ben, con, bot := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "ben", knowledge.RoleMaintainer),
		d.as(t, "con", knowledge.RoleContributor), d.as(t, "bot", knowledge.RoleMaintainer)
	viewer := d.as(t, "eve", knowledge.RoleViewer)
	p := d.propose(ann, t)
	for who, ctx := range map[string]context.Context{
		"its writer": ann, "a contributor": con, "an agent": bot,
		"a viewer": viewer,
	} {
		for _, verdict := range []string{knowledge.VerdictApprove, knowledge.VerdictReject, knowledge.VerdictAsk} {
			if err := d.review(ctx, t, p.ProposalID, verdict); !errors.Is(err, store.ErrForbidden) {
				t.Errorf("%s by %s: %v, want a refusal", verdict, who, err)
			}
		}
	}
	if err := d.review(con, t, p.ProposalID, knowledge.VerdictApprove); !forbiddenFor(err,
		"to review it: this needs the role") {
		t.Errorf("a review by a contributor: %v, want the roles that may named", err)
	}
	if err := d.review(viewer, t, p.ProposalID, knowledge.VerdictComment); !errors.Is(err, store.ErrForbidden) {
		t.Errorf("a comment by a viewer: %v, want a refusal", err)
	}
	for who, ctx := range map[string]context.Context{
		"its writer": ann, "a contributor": con, "an agent": bot,
		"a maintainer": ben,
	} {
		if err := d.review(ctx, t, p.ProposalID, knowledge.VerdictComment); err != nil {
			t.Errorf("a comment by %s: %v", who, err)
		}
	}
	if err := d.apply(ben, p.ProposalID); !forbiddenFor(err, "needs 1 approval ") {
		t.Errorf("applied without an approval: %v", err)
	}
	if err := d.review(ben, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatalf("approve: %v", err)
	}
	for who, ctx := range map[string]context.Context{"a contributor": con, "an agent": bot} {
		if err := d.apply(ctx, p.ProposalID); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("applied by %s: %v, want a refusal", who, err)
		}
	}
	if err := d.review(ben, t, p.ProposalID, knowledge.VerdictAsk); err != nil {
		t.Fatal(err)
	}
	if err := d.apply(ann, p.ProposalID); !forbiddenFor(err, "has 0") {
		t.Errorf("applied after the approval was taken back: %v", err)
	}
	if err := d.review(ben, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	if err := d.apply(ann, p.ProposalID); err != nil {
		t.Errorf("applied by its writer, whom somebody else has approved: %v", err)
	}
}

func TestAnApprovalCountsForTheOpsThatItSaw(t *testing.T) {
	d := openDesk(t, Policy{})
	ann, con := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "con", knowledge.RoleContributor)
	p := d.propose(con, t)
	if err := d.review(ann, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	edit := func(ctx context.Context, patch string) error {
		_, err := d.Apply(ctx, storetest.Batch(knowledge.Op{
			Verb: knowledge.VerbPatch, Key: p.Key(),
			Patch: []byte(patch),
		}))
		return err
	}
	others := `{"ops":[{"verb":"retire","kind":"rule","id":"` + d.rule.RuleID + `","if_version":1}]}`
	if err := edit(ann, others); !forbiddenFor(err, "only its writer may edit it") {
		t.Errorf("the ops were changed by a reviewer: %v", err)
	}
	if err := edit(con, others); err != nil {
		t.Fatal(err)
	}
	if err := d.apply(ann, p.ProposalID); !forbiddenFor(err, "has 0") {
		t.Errorf("approved, then edited, then applied: %v", err)
	}
	if err := d.reviewOf(ann, t, p.ProposalID, knowledge.VerdictApprove, p.OpsDigest); !isInvalid(err) ||
		!strings.Contains(err.Error(), "the ops have changed") {
		t.Errorf("edited between reading and approving: %v, want a fault", err)
	}
	now, _, err := store.ProposalOf(ann, d, p.ProposalID)
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.ToUpper(now.OpsDigest[:12])
	if err := d.reviewOf(ann, t, p.ProposalID, knowledge.VerdictComment, seen); err != nil {
		t.Errorf("a review of the ops as they are: %v", err)
	}
	for what, patch := range map[string]string{
		"a review of somebody else": `{"reviews":[]}`, "its being applied": `{"state":"applied"}`,
	} {
		if err := edit(ann, patch); !isInvalid(err) {
			t.Errorf("a body that claims %s: %v, want a fault", what, err)
		}
	}
	claimed := storetest.Proposal(d.rule.RuleID, func(p *knowledge.Proposal) {
		p.Reviews = []knowledge.Review{{By: "con", Verdict: knowledge.VerdictApprove, OpsDigest: p.OpsDigest}}
	})
	if _, err := d.Apply(con, storetest.Batch(knowledge.Put(claimed, knowledge.NoVersion))); !isInvalid(err) {
		t.Errorf("a new proposal with a review: %v, want a fault", err)
	}
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*knowledge.InvalidError](err)
	return ok
}

// Many apply it at once, some of them again after an answer that was lost: it happens once.
func TestAProposalIsAppliedOnce(t *testing.T) {
	d := openDesk(t, Policy{})
	ann, ben, con := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "ben", knowledge.RoleMaintainer),
		d.as(t, "con", knowledge.RoleContributor)
	p := d.propose(con, t)
	if err := d.review(ann, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		ctx := []context.Context{ann, ben}[i%2]
		wg.Go(func() {
			if err := d.apply(ctx, p.ProposalID); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	wg.Wait()
	changes, err := d.engine.Changes(t.Context(), knowledge.ChangeQuery{Key: d.rule.Key()})
	if err != nil || len(changes) != 2 {
		t.Errorf("the rule has %d changes, %v; want 2", len(changes), err)
	}
	if now, _, err := store.ProposalOf(ann, d, p.ProposalID); err != nil || now.State != knowledge.ProposalApplied {
		t.Errorf("the proposal is %v, %v", now, err)
	}
	if err := d.review(ann, t, p.ProposalID, knowledge.VerdictReject); !forbiddenFor(err, "it is applied") {
		t.Errorf("a review of what is applied: %v", err)
	}
}

func TestAProposalWhoseBaseHasMovedIsAConflict(t *testing.T) {
	d := openDesk(t, Policy{})
	ann, con := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "con", knowledge.RoleContributor)
	p := d.propose(con, t)
	if err := d.review(ann, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	apply(t, d.engine, knowledge.Op{Verb: knowledge.VerbPatch, Key: d.rule.Key(), Patch: []byte(`{"priority":7}`)})
	err := d.apply(ann, p.ProposalID)
	if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || conflict.Want != 1 || conflict.Got != 2 {
		t.Errorf("got %v, want a conflict of version 1 with 2", err)
	}
	now, _, err := store.ProposalOf(ann, d, p.ProposalID)
	if err != nil || now.State != knowledge.ProposalOpen {
		t.Fatalf("after the conflict it is %v, %v; want open", now, err)
	}
	list, err := store.Preview(ann, d, now)
	if err != nil || len(list) != 1 || !list[0].Moved || list[0].Base != 1 || list[0].Current != 2 ||
		list[0].Records[2] == nil ||
		!strings.Contains(string(list[0].Records[2].JSON), "Otherwise") {
		t.Errorf("the preview is %+v, %v", list, err)
	}
}

func TestThePolicyAsksForApprovals(t *testing.T) {
	rule, err := ParsePolicyRule("kind=rule,enforcement=mandatory,approvals=2")
	if err != nil {
		t.Fatal(err)
	}
	d := openDesk(t, Policy{Rules: []PolicyRule{rule}})
	ann, ben, adm, con := d.as(t, "ann", knowledge.RoleMaintainer), d.as(t, "ben", knowledge.RoleMaintainer),
		d.as(t, "adm", knowledge.RoleAdmin), d.as(t, "con", knowledge.RoleContributor)
	write := func(ctx context.Context, op knowledge.Op) error {
		_, err := d.Apply(ctx, storetest.Batch(op))
		return err
	}
	loosen := knowledge.Op{Verb: knowledge.VerbPatch, Key: d.rule.Key(), Patch: []byte(`{"enforcement":"optional"}`)}
	for who, ctx := range map[string]context.Context{"a maintainer": ann, "an admin": adm} {
		if err := write(ctx, loosen); !forbiddenFor(err, "2 approvals") {
			t.Errorf("%s loosens what must be reviewed: %v", who, err)
		}
	}
	if err := write(ann, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.Enforcement = "optional" }),
		0)); err != nil {
		t.Errorf("a rule that the policy says nothing of: %v", err)
	}
	p := d.propose(con, t)
	// A word about another proposal is no way round it.
	round := storetest.Batch(loosen, knowledge.Op{
		Verb: knowledge.VerbPatch, Key: p.Key(),
		Patch: []byte(knowledge.AppliedPatch),
	})
	if _, err := d.Apply(ann, round); err == nil {
		t.Error("other ops than those that are proposed were applied")
	}
	if err := d.review(ann, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	if err := d.apply(ben, p.ProposalID); !forbiddenFor(err, "needs 2 approvals of its current ops, and has 1") {
		t.Errorf("applied with one approval: %v", err)
	}
	if err := d.review(ben, t, p.ProposalID, knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	// Who was revoked since no longer approves.
	revoke := func(verb knowledge.Verb) {
		if err := write(adm, knowledge.Op{Verb: verb, Key: knowledge.Key{
			Kind: knowledge.KindPrincipal,
			ID:   "ann",
		}}); err != nil {
			t.Fatal(err)
		}
	}
	revoke(knowledge.VerbRetire)
	if err := d.apply(ben, p.ProposalID); !forbiddenFor(err, "ann (unknown or revoked)") {
		t.Errorf("applied with the approval of somebody who was revoked: %v", err)
	}
	revoke(knowledge.VerbRestore)
	if err := d.apply(ben, p.ProposalID); err != nil {
		t.Errorf("applied with two approvals: %v", err)
	}
}

func TestWhatAnAgentWritesBecomesAProposal(t *testing.T) {
	d := openDesk(t, Policy{})
	bot, ann := d.as(t, "bot", knowledge.RoleMaintainer), d.as(t, "ann", knowledge.RoleMaintainer)
	b := storetest.Batch(
		knowledge.Op{Verb: knowledge.VerbPatch, Key: d.rule.Key(), Patch: []byte(`{"title":"Otherwise"}`)},
		knowledge.Put(storetest.Practice(func(p *knowledge.Practice) { p.PracticeID = "new" }), knowledge.AnyVersion),
	)
	for range 2 { // and again, after an answer that was lost
		_, err := d.Apply(bot, b)
		made, ok := errors.AsType[*store.ProposedError](err)
		if !ok || made.Key.ID != b.ID.String() {
			t.Fatalf("got %v, want a proposal under the batch's id", err)
		}
	}
	if v := d.version(t); v != 1 {
		t.Fatalf("the rule is at version %d", v)
	}
	if err := d.review(ann, t, b.ID.String(), knowledge.VerdictApprove); err != nil {
		t.Fatal(err)
	}
	if err := d.apply(ann, b.ID.String()); err != nil {
		t.Fatal(err)
	}
	if rec, err := d.Get(ann, knowledge.Key{Kind: knowledge.KindPractice, ID: "new"}); err != nil || d.version(t) != 2 {
		t.Errorf("after it was applied: %v, %v, version %d of the rule", rec, err, d.version(t))
	}
	if _, err := d.Apply(bot, b); !proposedAs(err, b.ID) {
		t.Errorf("the same write again, once the rule has moved on: %v, want the same proposal", err)
	}
	for what, op := range map[string]knowledge.Op{
		"a purge": {Verb: knowledge.VerbPurge, Key: d.rule.Key()},
		"a principal's role": {
			Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindPrincipal, ID: "bot"},
			Patch: []byte(`{"role":"admin"}`),
		},
	} {
		if _, err := d.Apply(bot, storetest.Batch(op)); !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s by an agent: %v, want a refusal", what, err)
		}
	}
	strict := openDesk(t, Policy{RefuseAgents: true})
	_, err := strict.Apply(bot, storetest.Batch(knowledge.Op{Verb: knowledge.VerbRetire, Key: strict.rule.Key()}))
	if !errors.Is(err, store.ErrForbidden) {
		t.Errorf("where agents are refused: %v", err)
	}
}

func proposedAs(err error, id knowledge.BatchID) bool {
	made, ok := errors.AsType[*store.ProposedError](err)
	return ok && made.Key.ID == id.String()
}

func TestPolicyRulesAreReadOrRefused(t *testing.T) {
	for text, want := range map[string]string{
		"kind=rule": "kind=rule,approvals=1",
		" kind=label , id=production, approvals=2": "kind=label,id=production,approvals=2",
		"category=security":                        "category=security,approvals=1", "": "", "kind=nonsense": "",
		"kind=principal": "",
		"kind=violation": "", "approvals=0": "",
		"approvals=x": "", "enforcement=strict": "", "colour=red": "", "kind": "",
	} {
		r, err := ParsePolicyRule(text)
		if (err == nil) != (want != "") || err == nil && r.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, r.String(), err, want)
		}
	}
}
