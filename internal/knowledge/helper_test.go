package knowledge

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// valid returns a valid document of every kind.
func valid() []Document {
	score := 0.5
	docs := []Document{
		&Rule{
			RuleID: "SEC-001", Category: "security", Title: "No secrets in code", Description: "Keep them out.",
			IsActive: true,
			Examples: []Example{{Code: "x"}}, Common: Common{
				Tags:  []string{"a"},
				Extra: map[string]any{"k": []any{1, "two", nil}},
			},
		},
		&Practice{
			PracticeID: "small", Category: "reviews", Title: "Small", Description: "Small is good.",
			EffectivenessScore: &score, IsActive: true,
			References: []Reference{{URL: "https://example.com"}},
		},
		&Template{
			TemplateID: "report", Category: "incidents", Name: "Report", TemplateContent: "{{title}}", IsActive: true,
			Variables: []Variable{{Name: "title", Required: true}},
		},
		&Category{ID: "security", IsActive: true},
		&Violation{
			ViolationID: "01890A5D-AC96-774B-BCCE-B302099A8057", RuleID: "SEC-001", Message: "found",
			IsActive: true,
		},
		&Pack{
			PackID: "backend", IsActive: true, Select: Selection{Kinds: []string{"rule"}, IDs: []string{"SEC-001"}},
			Extends: []string{"base"}, Raise: []Raise{{ID: "SEC-001", Severity: "CRITICAL"}},
		},
		&Repository{
			RepositoryID: "acme.pay", IsActive: true, Packs: []string{"backend"},
			Exemptions: []Exemption{{
				Rule: "SEC-001", Reason: "old",
				Until: At(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
			}},
		},
		&Label{LabelID: "production", Seq: 7, Holds: map[string]int64{"rule/SEC-001": 2}, IsActive: true},
		&Proposal{
			ProposalID: "01890A5D-AC96-774B-BCCE-B302099A8058", Title: "Raise it", IsActive: true,
			Ops: []ProposedOp{{
				Verb: VerbPatch, Kind: "rule", ID: "SEC-001", IfVersion: 2,
				Patch: map[string]any{"priority": 3},
			}},
		},
		&Principal{PrincipalID: "ci", TokenHash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	}
	for _, d := range docs {
		d.Normalize()
	}
	return docs
}

// faultsOf returns the pointers of an InvalidError, sorted.
func faultsOf(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		t.Fatalf("error is %T (%v), want an InvalidError", err, err)
	}
	pointers := []string{}
	for _, f := range invalid.Faults {
		if f.Detail == "" {
			t.Errorf("the fault at %q has no detail", f.Pointer)
		}
		pointers = append(pointers, f.Pointer)
	}
	slices.Sort(pointers)
	return pointers
}

// wantFaults checks that an error names exactly these pointers.
func wantFaults(t testing.TB, what string, err error, pointers ...string) {
	t.Helper()
	got := faultsOf(t, err)
	slices.Sort(pointers)
	if !slices.Equal(got, pointers) {
		t.Errorf("%s: faults at %q, want %q (%v)", what, got, pointers, err)
	}
}

func canonical(t testing.TB, d Document) string {
	t.Helper()
	b, err := Canonical(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
