package knowledge

import (
	"strings"
	"testing"
)

func TestASummaryIsWhatTheAuthorWroteForIt(t *testing.T) {
	long := strings.Repeat("Long. ", 200)
	for _, c := range []struct {
		name string
		doc  Document
		want string
	}{
		{"a rule of a file that says when", &Rule{Title: "Retry", Description: "Three times.", Common: Common{
			Extra: map[string]any{"description": " When calling\n carriers "},
		}}, "When calling carriers"},
		{"a rule of a file that does not", &Rule{Title: "Retry", Description: "Three times."}, "Retry"},
		{"another thing under that key", &Rule{Title: "Retry", Common: Common{
			Extra: map[string]any{"description": []any{"x"}},
		}}, "Retry"},
		{"a practice", &Practice{Title: "Release", Description: "Use when\ncutting one"}, "Use when cutting one"},
		{"a text in place of a line", &Practice{Title: "Release", Description: long}, "Release"},
		{"a template without", &Template{Name: "Page"}, "Page"},
	} {
		if got := Summary(c.doc); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhenARuleMattersIsSearchedToo(t *testing.T) {
	r := &Rule{RuleID: "R", Title: "Retry", Description: "Three times.", Common: Common{
		Extra: map[string]any{"description": "For carriers"},
	}}
	if got := r.Text().Lead; got != "For carriers\nThree times." {
		t.Errorf("the text that is searched is %q", got)
	}
	r.Description = "For carriers: three times."
	if got := r.Text().Lead; got != r.Description {
		t.Errorf("what the text says is searched once: %q", got)
	}
}
