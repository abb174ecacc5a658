package access

import (
	"context"
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAConfidentialRuleSaysWhatIsWrongWithIt parses rules with one fault each.
func TestAConfidentialRuleSaysWhatIsWrongWithIt(t *testing.T) {
	for text, want := range map[string]string{
		"": "want name=value", "payroll": "want name=value", "category=": "want name=value",
		"role=admin": "want the id of a category", "category=pay roll": "want the id of a category",
		"category=payroll,role=king": "want one of viewer", "category=payroll,owner=ana": "want category, role",
	} {
		if _, err := ParseConfidential(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

// TestWhoReadsWhatIsConfidential is the matrix: each caller, at home and for what leaves the house.
func TestWhoReadsWhatIsConfidential(t *testing.T) {
	one, err := ParseConfidential("category=payroll,role=maintainer,reader=ana,taker=bot")
	if err != nil {
		t.Fatal(err)
	}
	two, err := ParseConfidential("category=legal,taker=bot")
	if err != nil {
		t.Fatal(err)
	}
	l := Classification{one, two}
	for _, test := range []struct {
		who                   string
		c                     *Caller
		hidden, hiddenOutside string
	}{
		{"nobody", nil, "legal,payroll", "legal,payroll"},
		{"a viewer", &Caller{ID: "v", Role: knowledge.RoleViewer}, "legal,payroll", "legal,payroll"},
		{"a reader", &Caller{ID: "ana", Role: knowledge.RoleViewer}, "legal", "legal,payroll"},
		{"a maintainer", &Caller{ID: "m", Role: knowledge.RoleMaintainer}, "legal", "legal,payroll"},
		{"an agent", &Caller{ID: "a", Role: knowledge.RoleAdmin, Agent: true}, "legal,payroll", "legal,payroll"},
		{"an admin", &Caller{ID: "x", Role: knowledge.RoleAdmin}, "", "legal,payroll"},
		{"a taker", &Caller{ID: "bot", Role: knowledge.RoleViewer, Agent: true}, "", ""},
		{"the program", CallerFrom(System(t.Context())), "", "legal,payroll"},
	} {
		ctx := WithCaller(t.Context(), test.c)
		at, out := strings.Join(l.Hidden(ctx), ","), strings.Join(l.Hidden(store.WithLeaving(ctx)), ",")
		if at != test.hidden || out != test.hiddenOutside {
			t.Errorf("hidden from %s: %q, and from what leaves the house %q; want %q and %q", test.who, at, out,
				test.hidden, test.hiddenOutside)
		}
	}
	if got := Classification(nil).Hidden(t.Context()); got != nil {
		t.Errorf("without any rule %v are hidden", got)
	}
}

// payroll is a house in which documents of the category payroll are for admins.
func payroll(t *testing.T) *house {
	t.Helper()
	h := openHouse(t)
	rule, err := ParseConfidential("category=payroll")
	if err != nil {
		t.Fatal(err)
	}
	h.WithPolicy(Policy{Confidential: Classification{rule}})
	h.must(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "payroll" }), 0))
	return h
}

func inCategory(id, category string) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = id, category })
}

// TestAWaitIsNotEndedByWhatIsConfidential waits as a viewer for what comes after a seq, behind which a confidential
// document has changed.
func TestAWaitIsNotEndedByWhatIsConfidential(t *testing.T) {
	h := payroll(t)
	begin, err := store.Tail(t.Context(), h.engine)
	if err != nil {
		t.Fatal(err)
	}
	secret := h.must(knowledge.Put(inCategory("PAY-1", "payroll"), knowledge.NoVersion)).Seq
	waits := &waits{Store: h.engine, begun: make(chan knowledge.Seq, 10)}
	s := New(waits, nil, nil).WithPolicy(h.policy)
	done := make(chan error, 1)
	go func() { done <- s.Wait(h.as(knowledge.RoleViewer), begin) }()
	for _, want := range []knowledge.Seq{begin, secret} {
		select {
		case got := <-waits.begun:
			if got != want {
				t.Fatalf("a viewer waits for what comes after %d, want after %d", got, want)
			}
		case err := <-done:
			t.Fatalf("a wait was ended by what is confidential: %v", err)
		}
	}
	h.must(knowledge.Put(inCategory("OPEN-1", storetest.GeneralCategory), knowledge.NoVersion))
	if err := <-done; err != nil {
		t.Errorf("a wait that a change ends: %v", err)
	}
	if err := s.Wait(h.as(knowledge.RoleAdmin), begin); err != nil || <-waits.begun != begin || len(waits.begun) > 0 {
		t.Errorf("an admin's wait is not ended by the first change: %v", err)
	}
}

// waits tells of each wait that begins.
type waits struct {
	store.Store
	begun chan knowledge.Seq
}

func (w *waits) Wait(ctx context.Context, after knowledge.Seq) error {
	w.begun <- after
	return w.Store.Wait(ctx, after)
}

// TestAnArchivesPageIsFullWithoutWhatIsConfidential reads an archive in pages of two, most of which is confidential.
func TestAnArchivesPageIsFullWithoutWhatIsConfidential(t *testing.T) {
	h := payroll(t)
	var shelf shelf
	for id, category := range map[string]string{
		"A": "payroll", "B": "payroll", "C": storetest.GeneralCategory, "D": "payroll", "E": storetest.GeneralCategory,
		"F": "payroll", "G": storetest.GeneralCategory,
	} {
		r := h.must(knowledge.Put(inCategory(id, category), knowledge.NoVersion)).Records[0]
		shelf = append(shelf, store.Archived{Key: r.Key, Version: 1, Record: r})
	}
	slices.SortFunc(shelf, func(a, b store.Archived) int { return strings.Compare(a.Key.ID, b.Key.ID) })
	l := h.policy.Confidential
	for role, want := range map[string]string{knowledge.RoleViewer: "CE|G", knowledge.RoleAdmin: "AB|CD|EF|G"} {
		var pages []string
		for q := (store.ArchiveQuery{Limit: 2}); ; {
			list, err := l.Archived(h.engine, shelf).Archived(h.as(role), q)
			if err != nil {
				t.Fatal(err)
			}
			var page strings.Builder
			for i := range list {
				page.WriteString(list[i].Key.ID)
			}
			pages = append(pages, page.String())
			if len(list) < q.Limit {
				break
			}
			q.After = list[len(list)-1].Key
		}
		if got := strings.Join(pages, "|"); got != want {
			t.Errorf("the archive's pages are for %s %s, want %s", role, got, want)
		}
	}
}

// A shelf is an archive.
type shelf []store.Archived

func (s shelf) Archived(_ context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	var page []store.Archived
	for _, a := range s {
		if a.Key.ID > q.After.ID && len(page) < q.Limit {
			page = append(page, a)
		}
	}
	return page, nil
}
