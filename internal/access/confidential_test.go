package access

import (
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
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
	if got := (Classification)(nil).Hidden(t.Context()); !slices.Equal(got, nil) {
		t.Errorf("without any rule %v are hidden", got)
	}
}
