package check

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

func forbidden(pattern string) knowledge.Check {
	return knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: pattern}
}

// TestAMovedFileBringsInOnlyWhatItsNewPlaceForbids moves a file with something forbidden in it.
func TestAMovedFileBringsInOnlyWhatItsNewPlaceForbids(t *testing.T) {
	rules := []*knowledge.Rule{
		ruleWith("ANYWHERE", "mandatory", knowledge.Scope{}, forbidden("bad")),
		ruleWith("IN-SRC", "mandatory", knowledge.Scope{},
			knowledge.Check{ID: "x", Kind: knowledge.CheckForbid, Pattern: "bad", Globs: []string{"src/**"}}),
		ruleWith("NO-KEYS", "mandatory", knowledge.Scope{},
			knowledge.Check{ID: "x", Kind: knowledge.CheckPath, Pattern: `\.pem$`}),
	}
	s := NewSet(rules, nil, time.Now())
	for _, c := range []struct {
		was, is string
		want    []string
	}{
		{"lib/a", "lib/b", []string{Allow}},
		{"lib/a", "src/b", []string{"src/b:1:1 IN-SRC/x", Deny}},
		{"src/a", "src/b", []string{Allow}},
		{"lib/a", "lib/b.pem", []string{"lib/b.pem:0:0 NO-KEYS/x", Deny}},
		{"lib/a.pem", "lib/b.pem", []string{Allow}},
		{"../a", "lib/b", []string{"lib/b:1:1 ANYWHERE/x", Deny}}, // from elsewhere
	} {
		text := []byte("bad\n")
		got := places(s.RunSince([]File{{Path: c.is, Content: text}}, []File{{Path: c.is, Was: c.was, Content: text}}))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s to %s: %s", c.was, c.is, diff)
		}
	}
}

// TestTheLineEndsOfWindowsHideNothing has files with each kind of line ends.
func TestTheLineEndsOfWindowsHideNothing(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          []string
	}{
		{`TODO$`, "a\r\nx TODO\r\nb\r\n", []string{"a:2:3 R/x", Deny}},
		{`TODO$`, "a\nx TODO\nb", []string{"a:2:3 R/x", Deny}},
		{`TODO$`, "x TODO later\r\n", []string{Allow}},
		{`^$`, "a\r\n\r\nb\r\n", []string{"a:2:1 R/x", "a:4:1 R/x", Deny}},
		{`a\nb`, "a\r\nb\r\n", []string{"a:1:1 R/x", Deny}},
		{"a\nb", "a\r\nb\r\n", []string{"a:1:1 R/x", Deny}},
		{`(?i)todo(?:: x)?$`, "TODO: X\r\n", []string{"a:1:1 R/x", Deny}},
		{`\r$`, "a\r\nb\n", []string{"a:1:2 R/x", Deny}},    // it is about them
		{`[^\r]$`, "a\r\nb\n", []string{"a:2:1 R/x", Deny}}, // and this about their absence
	} {
		s := NewSet([]*knowledge.Rule{ruleWith("R", "mandatory", knowledge.Scope{}, forbidden(c.pattern))}, nil, time.Now())
		if diff := cmp.Diff(c.want, places(s.Run([]File{{Path: "a", Content: []byte(c.text)}}))); diff != "" {
			t.Errorf("%q in %q: %s", c.pattern, c.text, diff)
		}
	}
}

// TestAScopeHoldsAsGuidanceSays has rules whose checks name no files themselves.
func TestAScopeHoldsAsGuidanceSays(t *testing.T) {
	globs := func(languages []string, globs ...string) knowledge.Scope {
		return knowledge.Scope{Activation: "glob", Globs: globs, Languages: languages}
	}
	speaksGo := []string{"go"}
	for _, c := range []struct {
		scope knowledge.Scope
		path  string
		holds bool
	}{
		{globs(speaksGo, "**/*.go", "!gen/**"), "a.go", true},
		{globs(speaksGo, "**/*.go", "!gen/**"), "gen/a.go", false},
		{globs(speaksGo, "api/**"), "a.go", false},
		{globs(speaksGo, "api/**"), "api/a.ts", true},
		{globs(speaksGo, "!gen/**"), "a.go", true},
		{globs(speaksGo, "!gen/**"), "gen/a.go", false},
		{globs(speaksGo, "!gen/**"), "a.ts", false},
	} {
		s := NewSet([]*knowledge.Rule{ruleWith("R", "mandatory", c.scope, forbidden("bad"))}, nil, time.Now())
		r := s.Run([]File{{Path: c.path, Content: []byte("bad")}})
		if (len(r.Findings) == 1) != c.holds {
			t.Errorf("globs %v and languages %v hold for %s: want %v", c.scope.Globs, c.scope.Languages, c.path, c.holds)
		}
	}
}

// TestAPathWithAColonIsNoAddress would be read as one of the scheme "c".
func TestAPathWithAColonIsNoAddress(t *testing.T) {
	if got := physical("c:a b.txt").ArtifactLocation.URI; got != "./c:a%20b.txt" {
		t.Errorf("it is %s", got)
	}
}
