package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestStoreKeepsTheLawsForTheSystem(t *testing.T) {
	storetest.RunWith(t, storetest.Options{Confines: true, Open: func(t testing.TB) store.Store {
		return &callers{New(openEngine(t), nil, nil), System}
	}})
}

func TestNobodyMayDoAnything(t *testing.T) {
	h := openHouse(t)
	for what, ctx := range map[string]context.Context{
		"nobody": t.Context(),
		"an expired caller": WithCaller(t.Context(), &Caller{
			ID: "x", Role: knowledge.RoleAdmin,
			Expiry: knowledge.At(time.Unix(1, 0)),
		}),
	} {
		h.refused = nil
		for name, call := range methods(h) {
			if err := call(ctx); !errors.Is(err, store.ErrUnauthenticated) {
				t.Errorf("%s by %s: %v, want ErrUnauthenticated", name, what, err)
			}
		}
		if len(h.refused) != len(methods(h)) {
			t.Errorf("%d refusals of %s were told, want %d", len(h.refused), what, len(methods(h)))
		}
	}
	ctx := WithCaller(t.Context(), &Caller{ID: "x", Role: "king"})
	for name, call := range methods(h) {
		h.forbidden(name+" by a king", call(ctx))
	}
}

// methods returns a call of every method that takes a context.
func methods(h *house) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, err := h.Get(ctx, knowledge.Key{Kind: knowledge.KindCategory, ID: storetest.GeneralCategory})
			return err
		},
		"List": func(ctx context.Context) error {
			_, err := h.List(ctx, knowledge.Query{Kind: knowledge.KindRule})
			return err
		},
		"Search": func(ctx context.Context) error {
			_, err := h.Search(ctx, knowledge.SearchQuery{Text: "x"})
			return err
		},
		"Apply":   func(ctx context.Context) error { _, err := h.Apply(ctx, knowledge.Batch{}); return err },
		"Changes": func(ctx context.Context) error { _, err := h.Changes(ctx, knowledge.ChangeQuery{}); return err },
		"Wait":    func(ctx context.Context) error { return h.Wait(ctx, 0) },
		"Ping":    h.Ping,
	}
}

func TestEveryRoleMayDoWhatItIsFor(t *testing.T) {
	type world struct {
		draft, published, practice, category knowledge.Document // the draft is the caller's
		another                              knowledge.Document // a draft of somebody else
		own, other                           knowledge.Document
		principal                            knowledge.Document
	}
	draft := func(r *knowledge.Rule) { r.Status = knowledge.StatusDraft }
	retire := func(d knowledge.Document) knowledge.Op { return knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key()} }
	patch := func(d knowledge.Document, p string) knowledge.Op {
		return knowledge.Op{Verb: knowledge.VerbPatch, Key: d.Key(), Patch: []byte(p)}
	}
	put := func(d knowledge.Document) knowledge.Op { return knowledge.Put(d, knowledge.AnyVersion) }
	for _, c := range []struct {
		what string
		op   func(world) knowledge.Op
		need string // the weakest role that may
	}{
		{"create a draft", func(world) knowledge.Op { return put(storetest.Rule(draft)) }, knowledge.RoleContributor},
		{
			"create a published rule", func(world) knowledge.Op { return put(storetest.Rule()) },
			knowledge.RoleMaintainer,
		},
		{"replace a draft by a draft", func(w world) knowledge.Op {
			return put(storetest.Rule(draft, func(r *knowledge.Rule) { r.RuleID = w.draft.Key().ID }))
		}, knowledge.RoleContributor},
		{"replace a published rule by a draft", func(w world) knowledge.Op {
			return put(storetest.Rule(draft, func(r *knowledge.Rule) { r.RuleID = w.published.Key().ID }))
		}, knowledge.RoleMaintainer},
		{
			"edit a draft", func(w world) knowledge.Op { return patch(w.draft, `{"title":"Better"}`) },
			knowledge.RoleContributor,
		},
		{
			"edit another's draft", func(w world) knowledge.Op { return patch(w.another, `{"title":"Better"}`) },
			knowledge.RoleMaintainer,
		},
		{"retire another's draft", func(w world) knowledge.Op { return retire(w.another) }, knowledge.RoleMaintainer},
		{"write over another's draft", func(w world) knowledge.Op {
			return put(storetest.Rule(draft, func(r *knowledge.Rule) { r.RuleID = w.another.Key().ID }))
		}, knowledge.RoleMaintainer},
		{
			"publish a draft", func(w world) knowledge.Op { return patch(w.draft, `{"status":"ACTIVE"}`) },
			knowledge.RoleMaintainer,
		},
		{
			"publish a draft by leaving its status out",
			func(w world) knowledge.Op { return patch(w.draft, `{"status":null}`) }, knowledge.RoleMaintainer,
		},
		{
			"edit a published rule", func(w world) knowledge.Op { return patch(w.published, `{"title":"Better"}`) },
			knowledge.RoleMaintainer,
		},
		{
			"unpublish a rule", func(w world) knowledge.Op { return patch(w.published, `{"status":"DRAFT"}`) },
			knowledge.RoleMaintainer,
		},
		{"retire a draft", func(w world) knowledge.Op { return retire(w.draft) }, knowledge.RoleContributor},
		{
			"retire a published rule", func(w world) knowledge.Op { return retire(w.published) },
			knowledge.RoleMaintainer,
		},
		{"write a practice", func(world) knowledge.Op { return put(storetest.Practice()) }, knowledge.RoleMaintainer},
		{
			"edit a practice", func(w world) knowledge.Op { return patch(w.practice, `{"title":"Better"}`) },
			knowledge.RoleMaintainer,
		},
		{"write a template", func(world) knowledge.Op { return put(storetest.Template()) }, knowledge.RoleMaintainer},
		{"write a category", func(world) knowledge.Op { return put(storetest.Category()) }, knowledge.RoleMaintainer},
		{"retire a category", func(w world) knowledge.Op { return retire(w.category) }, knowledge.RoleMaintainer},
		{
			"report a violation", func(w world) knowledge.Op { return put(storetest.Violation(w.published.Key().ID)) },
			knowledge.RoleContributor,
		},
		{
			"resolve an own report", func(w world) knowledge.Op { return patch(w.own, `{"status":"resolved"}`) },
			knowledge.RoleContributor,
		},
		{"waive an own report", func(w world) knowledge.Op {
			return patch(w.own, `{"status":"waived","waiver_reason":"It is only a test."}`)
		}, knowledge.RoleMaintainer},
		{"report what is waived already", func(w world) knowledge.Op {
			return put(storetest.Violation(w.published.Key().ID, func(v *knowledge.Violation) {
				v.Status, v.WaiverReason = knowledge.ViolationWaived, "It is only a test."
			}))
		}, knowledge.RoleMaintainer},
		{
			"resolve another's report", func(w world) knowledge.Op { return patch(w.other, `{"status":"resolved"}`) },
			knowledge.RoleMaintainer,
		},
		{"write over another's report", func(w world) knowledge.Op { return put(w.other) }, knowledge.RoleMaintainer},
		{"make a principal", func(world) knowledge.Op { return put(storetest.Principal()) }, knowledge.RoleAdmin},
		{
			"raise a principal", func(w world) knowledge.Op { return patch(w.principal, `{"role":"admin"}`) },
			knowledge.RoleAdmin,
		},
		{"disable a principal", func(w world) knowledge.Op { return retire(w.principal) }, knowledge.RoleAdmin},
		{"purge a draft", func(w world) knowledge.Op {
			return knowledge.Op{Verb: knowledge.VerbPurge, Key: w.draft.Key()}
		}, knowledge.RoleAdmin},
		{"purge an own report", func(w world) knowledge.Op {
			return knowledge.Op{Verb: knowledge.VerbPurge, Key: w.own.Key()}
		}, knowledge.RoleAdmin},
	} {
		for _, role := range knowledge.Roles() {
			t.Run(role+" "+c.what, func(t *testing.T) {
				h := openHouse(t)
				w := world{
					draft: storetest.Rule(draft), published: storetest.Rule(), practice: storetest.Practice(),
					category:  storetest.Category(),
					principal: storetest.Principal(), another: storetest.Rule(draft),
				}
				w.own, w.other = storetest.Violation(w.published.Key().ID), storetest.Violation(w.published.Key().ID)
				h.must(put(w.another), put(w.published), put(w.practice), put(w.category), put(w.principal),
					put(w.other))
				h.own(role, put(w.own), put(w.draft))
				op := c.op(w)
				bystander := put(storetest.Rule(draft))
				_, err := h.try(role, bystander, op)
				if slices.Index(knowledge.Roles(), role) >= slices.Index(knowledge.Roles(), c.need) {
					if err != nil {
						t.Errorf("%s may not %s: %v", role, c.what, err)
					}
					return
				}
				h.forbidden(role+" tries to "+c.what, err)
				want := op
				if role == knowledge.RoleViewer { // is stopped at the first op already
					want = bystander
				}
				if len(h.refused) != 1 || h.refused[0].Key != want.Key || h.refused[0].Verb != want.Verb ||
					h.refused[0].Caller.Role != role ||
					h.refused[0].RequestID != "request-7" || h.refused[0].Method != "Apply" ||
					h.refused[0].Reason == "" {
					t.Errorf("told of the refusal: %+v", h.refused)
				}
				if _, err := h.Get(System(t.Context()), bystander.Key); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("a refused batch was done in part: %v", err)
				}
			})
		}
	}
}

func TestContributorsWriteIsBoundToWhatWasJudged(t *testing.T) {
	h := openHouse(t)
	rule := storetest.Rule(func(r *knowledge.Rule) { r.Status = knowledge.StatusDraft })
	publish := knowledge.Op{Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"status":"ACTIVE"}`)}
	edit := knowledge.Op{Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"priority":999}`)}
	for what, c := range map[string]struct{ before, meanwhile, op knowledge.Op }{
		"a draft that is published meanwhile": {knowledge.Put(rule, 0), publish, edit},
		"a draft that is created meanwhile": {
			knowledge.Put(storetest.Rule(), 0),
			knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.RuleID = rule.RuleID + "-2" }), 0),
			knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
				r.RuleID, r.Status = rule.RuleID+"-2", knowledge.StatusDraft
			}), 0),
		},
	} {
		h.own(knowledge.RoleContributor, c.before)
		h.engine.afterGet = func() { h.must(c.meanwhile) }
		if _, err := h.try(knowledge.RoleContributor, c.op); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", what, err)
		}
	}
	// A version that was not the one judged is a conflict before anything is asked.
	h.own(knowledge.RoleContributor, knowledge.Put(
		storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Status = "late", knowledge.StatusDraft }), 0))
	op := knowledge.Op{
		Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "late"},
		Patch: []byte(`{}`), IfVersion: 2,
	}
	h.engine.afterGet = func() {
		h.must(knowledge.Op{Verb: knowledge.VerbPatch, Key: op.Key, Patch: []byte(`{"status":"ACTIVE"}`)})
	}
	if _, err := h.try(knowledge.RoleContributor, op); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a version that was published after it was judged: %v, want ErrConflict", err)
	}
	missing := knowledge.Op{
		Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "nobody"},
		Patch: []byte(`{}`),
	}
	if _, err := h.try(knowledge.RoleContributor, missing); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a patch of a missing rule: %v, want ErrNotFound", err)
	}
	bad := knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.Status, r.Title = knowledge.StatusDraft, "" }), 0)
	var invalid *knowledge.InvalidError
	if _, err := h.try(knowledge.RoleContributor, bad); !errors.As(err, &invalid) {
		t.Errorf("a draft without a title: %v, want an InvalidError", err)
	}
}

func TestContributorsBatchSentAgainIsAnsweredAsBefore(t *testing.T) {
	h := openHouse(t)
	rule := storetest.Rule(func(r *knowledge.Rule) { r.Status = knowledge.StatusDraft })
	for what, op := range map[string]knowledge.Op{
		"a creation": knowledge.Put(rule, knowledge.AnyVersion),
		"an edit":    {Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"priority":3}`)},
	} {
		if what == "an edit" {
			h.own(knowledge.RoleContributor, knowledge.Put(rule, 0))
		}
		b := storetest.Batch(op)
		first, err := h.Apply(h.as(knowledge.RoleContributor), b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.Apply(h.as(knowledge.RoleContributor), b)
		if err != nil || !cmp.Equal(first, again) {
			t.Errorf("%s again: %v, %s", what, err, cmp.Diff(first, again))
		}
		h.must(knowledge.Op{Verb: knowledge.VerbPatch, Key: rule.Key(), Patch: []byte(`{"status":"ACTIVE"}`)})
		again, err = h.Apply(h.as(knowledge.RoleContributor), b)
		if err != nil || !cmp.Equal(first, again) {
			t.Errorf("%s again, after the rule was published: %v, %s", what, err, cmp.Diff(first, again))
		}
		other := b
		other.Ops = []knowledge.Op{knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.RuleID = rule.RuleID }), 0)}
		if _, err := h.Apply(h.as(knowledge.RoleContributor), other); !errors.Is(err, store.ErrReused) {
			t.Errorf("%s, other content under its id: %v, want ErrReused", what, err)
		}
		h.must(knowledge.Op{Verb: knowledge.VerbPurge, Key: rule.Key()})
	}
}

func TestOnlyAnAdminWritesForOthers(t *testing.T) {
	h := openHouse(t)
	at := knowledge.At(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, role := range []string{knowledge.RoleMaintainer, knowledge.RoleAdmin} {
		rule := storetest.Rule()
		b := storetest.Batch(knowledge.Put(rule, 0))
		b.Actor, b.Origin = "somebody-else", [32]byte{1}
		r, err := h.Apply(h.as(role), b)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.Records[0].Document()
		if err != nil {
			t.Fatal(err)
		}
		want := "the-" + role
		if role == knowledge.RoleAdmin {
			want = "somebody-else"
		}
		if got := d.Stamps().CreatedBy; got != want {
			t.Errorf("written by %q, want %q", got, want)
		}
		b = storetest.Batch(knowledge.Put(storetest.Rule(), 0))
		b.Actor, b.At = "", at
		if _, err = h.Apply(h.as(role), b); role != knowledge.RoleAdmin {
			h.forbidden("a maintainer sets the time", err)
		} else if f, ok := errors.AsType[*knowledge.InvalidError](err); !ok || f.Faults[0].Pointer != "/at" {
			t.Errorf("an admin sets the time in a log in which somebody has written: %v", err)
		}
	}
	list, err := h.Changes(System(t.Context()), knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil || list[0].Actor != "somebody-else" || list[0].EnteredBy != "the-admin" ||
		list[0].EnteredAt.IsZero() {
		t.Errorf("what the admin has entered: %+v, %v", list, err)
	}
}

// TestAnImportedTimeIsTakenWhereNobodyHasWritten writes a history into a log that holds what the program has made, and
// nothing else.
func TestAnImportedTimeIsTakenWhereNobodyHasWritten(t *testing.T) {
	h := &house{t: t, engine: newFaulty(openEngine(t))}
	h.Store = New(h.engine, nil, func(_ context.Context, r Refusal) { h.refused = append(h.refused, r) })
	at := knowledge.At(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	general := storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory })
	h.must(knowledge.Put(storetest.Principal(), 0))
	seeded := storetest.Batch(knowledge.Put(general, 0))
	seeded.Actor = knowledge.SeedActor
	if _, err := h.Apply(System(t.Context()), seeded); err != nil {
		t.Fatal(err)
	}
	admin := h.as(knowledge.RoleAdmin)
	var last knowledge.Batch
	for i := range 3 {
		last = storetest.Batch(knowledge.Put(storetest.Rule(), 0))
		last.Actor, last.At, last.EnteredBy = "ann", knowledge.At(at.Add(time.Duration(i)*time.Hour)), "nobody"
		if _, err := h.Apply(admin, last); err != nil {
			t.Fatalf("batch %d of a history: %v", i, err)
		}
	}
	list, err := h.Changes(admin, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil || list[0].Actor != "ann" || !list[0].At.Equal(last.At.Time) || list[0].EnteredBy != "the-admin" ||
		!list[0].EnteredAt.After(last.At.Time) {
		t.Errorf("the last of the history: %+v, %v", list, err)
	}
	if n := len(h.refused); n != 3 || h.refused[2].Method != MethodEnter {
		t.Errorf("the record of calls has %+v", h.refused)
	}
	if _, err := h.Apply(admin, storetest.Batch(knowledge.Put(storetest.Rule(), 0))); err != nil {
		t.Fatal(err)
	}
	next := storetest.Batch(knowledge.Put(storetest.Rule(), 0))
	next.At = at
	if f, ok := errors.AsType[*knowledge.InvalidError](error1(h.Apply(admin, next))); !ok ||
		f.Faults[0].Pointer != "/at" {
		t.Errorf("a time after somebody has written: %v", f)
	}
	if _, err := h.Apply(admin, last); err != nil {
		t.Errorf("the last of the history again: %v", err)
	}
}

func error1[T any](_ T, err error) error { return err }

func TestPrincipalsAreSeenByAdminsAlone(t *testing.T) {
	h := openHouse(t)
	p := storetest.Principal()
	h.must(knowledge.Put(p, 0))
	for _, role := range knowledge.Roles() {
		ctx := h.as(role)
		_, getErr := h.Get(ctx, p.Key())
		_, listErr := h.List(ctx, knowledge.Query{Kind: knowledge.KindPrincipal})
		_, kindErr := h.Changes(ctx, knowledge.ChangeQuery{Kind: knowledge.KindPrincipal})
		_, keyErr := h.Changes(ctx, knowledge.ChangeQuery{Key: p.Key()})
		_, searchErr := h.Search(ctx, knowledge.SearchQuery{Text: "Build server"})
		for what, err := range map[string]error{
			"Get": getErr, "List": listErr, "Changes of the kind": kindErr,
			"Changes of the key": keyErr,
		} {
			if role != knowledge.RoleAdmin {
				h.forbidden(what+" by a "+role, err)
			} else if err != nil {
				t.Errorf("%s by an admin: %v", what, err)
			}
		}
		if searchErr != nil {
			t.Errorf("Search by a %s: %v", role, searchErr)
		}
		if _, err := h.Get(ctx, knowledge.Key{
			Kind: knowledge.KindPrincipal,
			ID:   "nobody",
		}); role != knowledge.RoleAdmin {
			h.forbidden("a missing principal, by a "+role, err)
		}
	}
}

func TestFollowersWhoSeeNoPrincipalsSeeWholeTransactions(t *testing.T) {
	h := openHouse(t)
	rule := func() knowledge.Op { return knowledge.Put(storetest.Rule(), 0) }
	who := func() knowledge.Op { return knowledge.Put(storetest.Principal(), 0) }
	var whole int
	for _, ops := range [][]knowledge.Op{
		{rule(), who(), rule()},
		{who()},
		{who(), who()},
		{rule()},
		{rule(), who()},
		{who(), rule()},
		{rule(), rule(), who(), who()},
		{who()},
		{who()},
	} {
		h.must(ops...)
		for _, op := range ops {
			if op.Key.Kind == knowledge.KindRule {
				whole++
			}
		}
	}
	whole++ // the category
	viewer := h.as(knowledge.RoleViewer)
	for _, limit := range []int{0, 1, 2, 3, 100} {
		var after knowledge.Seq
		n := 0
		for {
			list, err := h.Changes(viewer, knowledge.ChangeQuery{After: after, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			for _, c := range list {
				if c.Key.Kind == knowledge.KindPrincipal || c.Seq <= after {
					t.Errorf("limit %d: change %d of %s after %d", limit, c.Seq, c.Key, after)
				}
				after = c.Seq
			}
			if list[len(list)-1].More {
				t.Errorf("limit %d: an answer ends at change %d, which says that more follows", limit, after)
			}
			n += len(list)
		}
		if n != whole {
			t.Errorf("limit %d: %d changes, want %d", limit, n, whole)
		}
	}
	newest, err := h.Changes(viewer, knowledge.ChangeQuery{Newest: true, Limit: whole + 5})
	if err != nil || len(newest) != whole {
		t.Errorf("newest first: %d changes, %v; want %d", len(newest), err, whole)
	}
	some, err := h.Changes(viewer, knowledge.ChangeQuery{Newest: true, Limit: 3})
	if err != nil || len(some) != 3 {
		t.Errorf("the newest three: %d changes, %v", len(some), err)
	}
}

func TestChangesOfPrincipalsWakeNoViewer(t *testing.T) {
	h := openHouse(t)
	h.must(knowledge.Put(storetest.Principal(), 0)) // behind what the viewer has seen
	ctx, cancel := context.WithCancel(h.as(knowledge.RoleViewer))
	defer cancel()
	woken := make(chan error, 1)
	go func() { woken <- h.Wait(ctx, 1) }()
	for range 3 {
		h.must(knowledge.Put(storetest.Principal(), 0))
	}
	select {
	case err := <-woken:
		if list, _ := h.Changes(h.as(knowledge.RoleViewer), knowledge.ChangeQuery{After: 1}); len(list) == 0 &&
			err != nil {
			t.Errorf("Wait ended with %v", err)
		}
		t.Log("rung for nothing, which is allowed")
	default:
		h.must(knowledge.Put(storetest.Rule(), 0))
		if err := <-woken; err != nil {
			t.Errorf("Wait: %v", err)
		}
	}
	cancel()
	if err := h.Wait(ctx, 99); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait after its context: %v", err)
	}
}

func TestAMadeTokenWorksAtOnce(t *testing.T) {
	h := openHouse(t)
	token, hash, prefix, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	p := storetest.Principal(func(p *knowledge.Principal) {
		p.TokenHash, p.TokenPrefix, p.Role = hash, prefix, knowledge.RoleMaintainer
	})
	h.must(knowledge.Put(p, 0))
	c, err := h.dir.Authenticate(token)
	if err != nil || c.ID != p.PrincipalID || c.Role != p.Role || c.Name != p.Name {
		t.Fatalf("a token just made: %+v, %v", c, err)
	}
	for _, step := range []struct {
		verb   knowledge.Verb
		reason string
	}{{knowledge.VerbRetire, ReasonDisabled}, {knowledge.VerbPurge, ReasonUnknown}} {
		h.must(knowledge.Op{Verb: step.verb, Key: p.Key()})
		_, err := h.dir.Authenticate(token)
		var no *store.UnauthenticatedError
		if !errors.Is(err, store.ErrUnauthenticated) || !errors.As(err, &no) || no.Reason != step.reason {
			t.Errorf("after a %s: %v, want %s", step.verb, err, step.reason)
		}
		if role, ok := roleOf(h.dir, p.PrincipalID); ok {
			t.Errorf("after a %s it still has the role %s", step.verb, role)
		}
	}
}

func ExampleCaller_May() {
	c := &Caller{ID: "ci", Role: knowledge.RoleContributor}
	fmt.Println(c.May(DoRead, knowledge.KindRule), c.May(DoPublish, knowledge.KindRule),
		(*Caller)(nil).May(DoRead, knowledge.KindRule))
	// Output: true false false
}
