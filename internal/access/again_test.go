package access

import (
	"context"
	"errors"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestAWriteThatWaitedIsDecidedByTheDocumentsToo(t *testing.T) {
	ours := func(status, by string) *knowledge.Record {
		r := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Status = "a", status })
		r.Stamps().CreatedBy, r.Stamps().Version = by, 1
		rec, err := knowledge.NewRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "a"}
	patch := knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(`{"title":"Other"}`)}
	restore := knowledge.Op{Verb: knowledge.VerbRestore, Key: key}
	publish := knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(`{"status":"ACTIVE"}`)}
	for name, c := range map[string]struct {
		role  string
		there *knowledge.Record
		op    knowledge.Op
		may   bool
	}{
		"a maintainer's edit": {
			knowledge.RoleMaintainer, ours(knowledge.StatusActive, "eve"), patch,
			true,
		},
		"an edit of who only drafts by now": {
			knowledge.RoleContributor, ours(knowledge.StatusActive, "ann"), patch,
			false,
		},
		"an edit of a draft": {
			knowledge.RoleContributor, ours(knowledge.StatusDraft, "ann"), patch,
			true,
		},
		"an edit of somebody else's draft": {
			knowledge.RoleContributor, ours(knowledge.StatusDraft, "eve"), patch,
			false,
		},
		"publishing a draft": {
			knowledge.RoleContributor, ours(knowledge.StatusDraft, "ann"), publish,
			false,
		},
		"a restore of what only the archive may have":         {knowledge.RoleContributor, nil, restore, false},
		"a maintainer's restore of what the archive may have": {knowledge.RoleMaintainer, nil, restore, true},
		// the primary refuses it
		"an edit of what is not there": {knowledge.RoleContributor, nil, patch, true},
		"an edit of who may only read by now": {
			knowledge.RoleViewer,
			ours(knowledge.StatusDraft, "ann"), patch, false,
		},
	} {
		get := func(context.Context, knowledge.Key) (*knowledge.Record, error) {
			if c.there == nil {
				return nil, store.ErrNotFound
			}
			return c.there, nil
		}
		b := storetest.Batch(c.op)
		err := DecideAgain(t.Context(), &Caller{ID: "ann", Role: c.role}, get, &b)
		if c.may && err != nil || !c.may && !errors.Is(err, store.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
