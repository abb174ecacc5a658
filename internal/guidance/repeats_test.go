package guidance

import (
	"strings"
	"testing"
)

func TestADescriptionThatRepeatsWhatStandsBelowItIsFound(t *testing.T) {
	for _, c := range []struct {
		name, description, title, text string
		want                           bool
	}{
		{"the first sentence", "Return early.", "Style", "# Style\n\nReturn early. Then log.", true},
		{"a list in one line", "- Return early. - Log lines.", "Style", "* Return early.\n* Log lines.\n", true},
		{"a numbered list", "Tag it. Say so.", "Release", "1. Tag it.\n2. **Say so.**", true},
		{"the title", "House style", "House Style", "Text.", true},
		{"below a picture", "Return early.", "Style", "![badge](x)\n\nReturn early.", true},
		{"of its own", "When you write Go", "Style", "Return early.", false},
		{"from further down", "Log lines.", "Style", "Return early.\n\nLog lines.", false},
		{"of a section", "We write SQL.", "Store", "Status: accepted\n\n## Context\n\nSlow.\n\n## Decision\n\n### What\n\n" +
			"We write SQL. By hand.", true},
		{"from further down in a section", "By hand.", "Store", "Text.\n\n## Decision\n\nWe write SQL.\n\nBy hand.", false},
		{"more than the text", "Return early. And more.", "Style", "Return early.", false},
		{"no text", "Style", "Style", " \n", false},
		{"below very many lines of nothing", "End.", "Style", strings.Repeat("\n#\n", 200_000) + "End.", true},
		{"below very many headings", "A b", "Style", strings.Repeat("# a\n", 200_000) + "A b", false},
	} {
		if got := repeats(c.description, c.title, c.text); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
