package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestALabelNamesTheSameDocumentsWhereItsLogIsBroughtTo exports a log from which a document was purged, so that the log
// which is made of it counts its changes otherwise.
func TestALabelNamesTheSameDocumentsWhereItsLogIsBroughtTo(t *testing.T) {
	dir := t.TempDir()
	from, into, file := filepath.Join(dir, "from"), filepath.Join(dir, "into"), filepath.Join(dir, "e.jsonl")
	ask := func(data string, want int, args ...string) string {
		t.Helper()
		code, said := command(t, data, args...)
		if code != want {
			t.Fatalf("%v: %d, want %d\n%s", args, code, want, said)
		}
		return said
	}
	ask(from, exitOK, "seed")
	ask(from, exitOK, "purge", "rule/GO-007", "--yes")
	for _, step := range [][]string{
		{"patch", "rule/SEC-001", "--set", "priority=31"},
		{"label", "set", "first"},
		{"patch", "rule/SEC-001", "--set", "priority=32"},
		{"label", "set", "moved"},
		{"patch", "rule/SEC-001", "--set", "priority=33"},
		{"label", "move", "moved", "now"},
		{"purge", "rule/GO-008", "--yes"},
		{"patch", "rule/SEC-001", "--set", "priority=34"},
		{"label", "set", "last"},
		{"patch", "rule/SEC-001", "--set", "priority=35"},
	} {
		ask(from, exitOK, step...)
	}
	ask(from, exitOK, "export", file)
	for range 2 { // the second time nothing is written
		ask(into, exitOK, "import", file)
		for label, priority := range map[string]string{"first": "31", "moved": "33", "last": "34"} {
			said := ask(into, exitOK, "get", "rule/SEC-001", "--label", label, "--output", "json")
			if !strings.Contains(said, `"priority": `+priority) {
				t.Errorf("at the label %s there is not the priority %s:\n%s", label, priority, said)
			}
		}
	}
	if said := ask(into, exitOK, "import", file); !strings.Contains(said, "no documents written") &&
		!strings.Contains(said, "0 documents written") {
		t.Errorf("the same import again:\n%s", said)
	}
	ask(from, exitOK, "export", "--no-history", "--force", file)
	other := filepath.Join(dir, "other")
	ask(other, exitOK, "import", file)
	if said := ask(other, exitOK, "list", "labels"); strings.Contains(said, "first") {
		t.Errorf("a label without its log is set:\n%s", said)
	}
	if said := ask(into, exitOK, "import", file, "--verbose"); !strings.Contains(said, "names a position of the log") {
		t.Errorf("a label of another log:\n%s", said)
	}
}
