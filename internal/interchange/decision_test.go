package interchange

import (
	"strings"
	"testing"
)

func TestTheRecordOfADecisionIsDescribedByIt(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{
			"decision", "# Use SQLite\n\nDate: 2026-01-02\n\n## Status\n\nAccepted\n\n## Context\n\nWe need a file.\n\n" +
				"## Decision\n\nWe use SQLite. It is small.\n\n### Why\n\nMore.\n", "We use SQLite.",
		},
		{"a list follows", "## Context\n\nWe need a file.\n\n## Decision\n\nWe use:\n\n- SQLite\n", "We need a file."},
		{"context alone, with a status", "## Status\n\nProposed\n\n## Context\n\nWe need a file.", "We need a file."},
		{"context alone", "## Context\n\nWe need a file.", ""},
		{"in a block of code", "```\n## Decision\n\nNo.\n```\n\n## Context\n\nText.", ""},
		{"many headings", strings.Repeat("## A\n### B\n#### C\n", 60_000), ""},
	} {
		if got := decisionOf(c.text); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
