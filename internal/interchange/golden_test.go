package interchange

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// golden is what a golden file holds of an item.
type golden struct {
	Format  Format   `json:"format,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	Refused string   `json:"refused,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	Entries []struct {
		Key      string          `json:"key"`
		Place    string          `json:"place,omitempty"`
		Own      bool            `json:"own,omitempty"`
		Refused  string          `json:"refused,omitempty"`
		Notes    []string        `json:"notes,omitempty"`
		Document json.RawMessage `json:"document,omitempty"`
	} `json:"entries,omitempty"`
}

func goldenOf(t *testing.T, it Item) []byte {
	t.Helper()
	g := golden{Format: it.Format, Skipped: it.Skipped, Notes: it.Notes}
	if it.Err != nil {
		g.Refused = it.Err.Error()
	}
	for _, e := range it.Entries {
		g.Entries = append(g.Entries, struct {
			Key      string          `json:"key"`
			Place    string          `json:"place,omitempty"`
			Own      bool            `json:"own,omitempty"`
			Refused  string          `json:"refused,omitempty"`
			Notes    []string        `json:"notes,omitempty"`
			Document json.RawMessage `json:"document,omitempty"`
		}{Key: e.Key.String(), Place: e.Place, Own: e.Own, Notes: e.Notes})
		last := &g.Entries[len(g.Entries)-1]
		if e.Err != nil {
			last.Refused = e.Err.Error()
		}
		if e.Doc != nil {
			b, err := knowledge.Canonical(e.Doc)
			if err != nil {
				t.Fatal(err)
			}
			last.Document = b
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEveryFormatReadsAsItsGoldenFileSays(t *testing.T) {
	s, err := Open("testdata/acme", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Name() != "acme" {
		t.Fatalf("source is called %q, want acme", s.Name())
	}
	formats := map[Format]bool{}
	for it := range s.Items() {
		for _, e := range it.Entries {
			if (e.Doc == nil) == (e.Err == nil) {
				t.Errorf("%s %s: want a document or a reason, got %v and %v", it.Path, e.Place, e.Doc, e.Err)
			}
		}
		formats[it.Format] = true
		name := filepath.Join("testdata", "golden", strings.ReplaceAll(strings.TrimPrefix(it.Path, "."), "/", "__")+
			".json")
		got := goldenOf(t, it)
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got; -update rewrites):\n%s", it.Path, diff)
		}
	}
	for _, f := range Formats() {
		if !formats[f] {
			t.Errorf("no file of format %s among the samples", f)
		}
	}
}
