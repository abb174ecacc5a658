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

func TestTheRecordOfADecisionThatDoesNotHoldIsFound(t *testing.T) {
	const rest = "\n\n## Context\n\nSlow.\n\n## Decision\n\nWe write SQL.\n"
	for _, c := range []struct{ name, path, text, want string }{
		{"a line", "a.md", "# SQL\n\nStatus: Superseded by [ADR 3](3.md)" + rest, "Superseded by ADR 3"},
		{"an item", "a.md", "# SQL\n\n* **Status:** deprecated" + rest, "deprecated"},
		{"a table", "a.md", "# SQL\n\n| Status | Rejected |\n|---|---|" + rest, "Rejected"},
		{"a section", "a.md", "# SQL\n\n## Status\n\nAccepted\n\nSuperseded by 3" + rest, "Superseded by 3"},
		{"front matter", "a.md", "---\nstatus: proposed\n---\n# SQL" + rest, "proposed"},
		{"its folder", "docs/adr/2.md", "# SQL\n\nStatus: Superseded by 3\n\nText.\n", "Superseded by 3"},
		{"accepted", "docs/adr/2.md", "# SQL\n\nStatus: accepted, supersedes 1" + rest, ""},
		{"a template", "docs/adr/0.md", "---\nstatus: \"{proposed | accepted}\"\n---\n# T" + rest, ""},
		{"no record", "a.md", "# SQL\n\nStatus: draft\n\n## Context\n\nText.\n", ""},
	} {
		fm, body := splitFrontMatter(c.text)
		if got := notInForce(c.path, fm, body); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
