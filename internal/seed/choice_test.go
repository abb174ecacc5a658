package seed

import (
	"slices"
	"testing"

	"tenet/internal/knowledge"
)

// Where everything is mandatory, nothing is: what may never be broken is about a third, and none of it is a matter of
// taste.
func TestMandatoryIsWhatMayNeverBeBroken(t *testing.T) {
	rules := ofType[*knowledge.Rule](load(t))
	count := map[string]int{}
	for _, r := range rules {
		count[r.Enforcement]++
		grave := r.Severity == knowledge.SeverityCritical || r.Severity == knowledge.SeverityError
		if r.Enforcement == "mandatory" && !grave {
			t.Errorf("%s is mandatory, and breaking it is a %s", r.RuleID, r.Severity)
		}
		if r.Enforcement == "optional" && grave {
			t.Errorf("%s is optional, and breaking it is a %s", r.RuleID, r.Severity)
		}
	}
	t.Logf("%v of %d rules", count, len(rules))
	if n := count["mandatory"]; n*4 < len(rules) || n*5 > len(rules)*2 {
		t.Errorf("%d of %d rules are mandatory, want about a third", n, len(rules))
	}
	if count["optional"] == 0 || count["recommended"] <= count["mandatory"] {
		t.Errorf("%v: want most recommended and some optional", count)
	}
}

// A file gets the rules of its own language, and none of the others'.
func TestGlobsKeepLanguagesApart(t *testing.T) {
	rules := ofType[*knowledge.Rule](load(t))
	ofOneLanguage := []string{
		"accessibility", "ci", "csharp", "go", "infrastructure", "jvm", "python", "react",
		"typescript",
	}
	for path, want := range map[string][]string{
		"cmd/ledger/main.go":                          {"go"},
		"src/main/java/com/example/Ledger.java":       {"jvm"},
		"src/main/kotlin/Ledger.kt":                   {"jvm"},
		"src/Ledger/Program.cs":                       {"csharp"},
		"ledger/main.py":                              {"python"},
		"src/order.ts":                                {"typescript"},
		"src/Order.tsx":                               {"accessibility", "react", "typescript"},
		"web/index.html":                              {"accessibility"},
		"infra/main.tf":                               {"infrastructure"},
		"Dockerfile":                                  {"infrastructure"},
		"k8s/ledger.yaml":                             {"infrastructure"},
		".github/workflows/ci.yml":                    {"ci"},
		"docs/index.md":                               nil,
		"internal/ledger/testdata/golden/report.json": nil,
	} {
		clean, err := knowledge.CleanPath(path)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, r := range rules {
			for _, text := range r.Scope.Globs {
				g, err := knowledge.ParseGlob(text)
				if err != nil {
					t.Fatalf("%s: %v", r.RuleID, err)
				}
				if r.Scope.Activation == "glob" && slices.Contains(ofOneLanguage, r.Category) && g.Match(clean) {
					got[r.Category] = true
				}
			}
		}
		for _, c := range ofOneLanguage {
			if got[c] != slices.Contains(want, c) {
				t.Errorf("%s: rules of %s hold: %t, want %t", path, c, got[c], !got[c])
			}
		}
	}
}

func TestPacksHoldWhatTheySay(t *testing.T) {
	docs := load(t)
	byKey := map[knowledge.Key]knowledge.Document{}
	for _, d := range docs {
		byKey[d.Key()] = d
	}
	find := func(id string) (*knowledge.Pack, error) {
		p, _ := byKey[knowledge.Key{Kind: knowledge.KindPack, ID: id}].(*knowledge.Pack)
		return p, nil
	}
	look := func(key knowledge.Key) (knowledge.Document, error) { return byKey[key], nil }
	held := map[string]bool{}
	for _, p := range ofType[*knowledge.Pack](docs) {
		if p.Description == "" {
			t.Errorf("pack %s says not whom it is for", p.PackID)
		}
		if err := p.Loosens(find, look); err != nil {
			t.Errorf("pack %s: %v", p.PackID, err)
		}
		for _, c := range p.Select.Categories {
			if byKey[knowledge.Key{Kind: knowledge.KindCategory, ID: c}] == nil {
				t.Errorf("pack %s selects category %s, which does not exist", p.PackID, c)
			}
			held[c] = true
		}
		all, err := knowledge.Compose([]string{p.PackID}, find)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Raise {
			key, err := knowledge.ParseKey(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			rule, ok := byKey[key].(*knowledge.Rule)
			switch {
			case !ok:
				t.Errorf("pack %s raises %s, which does not exist", p.PackID, r.ID)
			case all.Holding(rule) == nil:
				t.Errorf("pack %s raises %s, which it does not hold", p.PackID, r.ID)
			case rule.Severity == r.Severity || rule.Enforcement == r.Enforcement:
				t.Errorf("pack %s raises %s to where it is already", p.PackID, r.ID)
			}
		}
	}
	for _, c := range ofType[*knowledge.Category](docs) {
		if !held[c.ID] {
			t.Errorf("no pack holds category %s", c.ID)
		}
	}
}
