package interchange

import (
	"strings"
	"testing"
)

// Read as somebody else's table, our own export would make every document a second time.
func TestATableOfOurOwnExportIsNotReadAsAnothersOne(t *testing.T) {
	const text = "rule_id,category,title,description,severity,created_by,created_at,updated_by,updated_at,version\n" +
		"A-1,go,One,First,ERROR,ann,2026-01-01T00:00:00Z,ann,2026-01-01T00:00:00Z,1\n"
	it := readItems(t, map[string]string{"rules.csv": text})["rules.csv"]
	if len(it.Entries) != 0 || !strings.Contains(it.Skipped, "--format yaml") {
		t.Errorf("%d documents, skipped because of %q: want none, and what to do", len(it.Entries), it.Skipped)
	}
	others := strings.ReplaceAll(text, "created_by,created_at", "author,written")
	it = readItems(t, map[string]string{"rules.csv": others})["rules.csv"]
	if len(it.Entries) != 1 {
		t.Errorf("%d documents of another's table, want 1", len(it.Entries))
	}
}
