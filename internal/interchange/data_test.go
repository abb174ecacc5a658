package interchange

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// dataFile returns the path of an archive of third-party texts, or skips the test where they are not installed.
func dataFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("TENET_TEST_DATA")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if filepath.Dir(root) == root {
				t.Fatal("no go.mod above the test")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "data")
	}
	p := filepath.Join(dir, name+".tar.gz")
	if _, err := os.Stat(p); err != nil {
		t.Skipf("no third-party texts at %s: set TENET_TEST_DATA to the folder that holds them", p)
	}
	return p
}

// archives says what the import of each archive of third-party texts comes to.
func archives() []struct {
	name  string
	count map[Outcome]int
	kinds map[knowledge.Kind]int
} {
	type n = map[Outcome]int
	type k = map[knowledge.Kind]int
	return []struct {
		name  string
		count map[Outcome]int
		kinds map[knowledge.Kind]int
	}{
		{"assistant-files", n{Created: 76, Skipped: 20}, k{
			knowledge.KindRule: 38, knowledge.KindPractice: 21,
			knowledge.KindTemplate: 8, knowledge.KindCategory: 9,
		}},
		{"awesome-copilot", n{Created: 279, Skipped: 2}, k{
			knowledge.KindRule: 124, knowledge.KindPractice: 152,
			knowledge.KindCategory: 3,
		}},
		{"awesome-cursorrules", n{Created: 184, Skipped: 2}, k{knowledge.KindRule: 183, knowledge.KindCategory: 1}},
		{
			"engineering-playbook",
			n{Created: 182, Skipped: 2},
			k{knowledge.KindPractice: 164, knowledge.KindCategory: 18},
		},
		{"eslint-rule-docs", n{Created: 222, Skipped: 2}, k{knowledge.KindRule: 221, knowledge.KindCategory: 1}},
		// Ten prompts hold several files, with control characters between them.
		{"prompts-chat", n{Created: 1036, Skipped: 2}, k{knowledge.KindTemplate: 1035, knowledge.KindCategory: 1}},
		// 265 of the files hold the examples of the rule beside them.
		{"trivy-checks", n{Created: 394, Skipped: 267}, k{knowledge.KindRule: 391, knowledge.KindCategory: 3}},
	}
}

func TestRealArchivesImport(t *testing.T) {
	for _, a := range archives() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			path := dataFile(t, a.name)
			m := newMemory()
			p := m.run(t, path, ReadOptions{}, PlanOptions{KeepGoing: true, Imported: m.imported, Prune: true})
			if diff := cmp.Diff(a.count, p.Count()); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s\n%s", diff, strings.Join(refusals(p), "\n"))
			}
			kinds := map[knowledge.Kind]int{}
			for k := range m.docs {
				kinds[k.Kind]++
			}
			if diff := cmp.Diff(a.kinds, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
			for _, st := range p.Steps() {
				if (st.Outcome == Refused || st.Outcome == Skipped) && st.Reason == "" {
					t.Errorf("%s is %s without a reason", st.where(), st.Outcome)
				}
			}
			checkAgain(t, m, path)
			checkMarkdown(t, m)
			checkHistory(t, m)
		})
	}
}

// checkAgain imports a second time: nothing changes.
func checkAgain(t *testing.T, m *memory, path string) {
	t.Helper()
	p := m.plan(t, path, ReadOptions{}, PlanOptions{KeepGoing: true, Imported: m.imported, Prune: true})
	if n := p.Count(); n[Created]+n[Changed]+n[Pruned] > 0 || n[Unchanged] == 0 {
		t.Errorf("the second import comes to %v, want nothing but unchanged", n)
	}
	if n := p.Writes(); n != 0 {
		t.Errorf("the second import would write %d documents", n)
	}
}

// checkMarkdown writes every document as Markdown and reads it again: nothing changes, and the same bytes come again.
func checkMarkdown(t *testing.T, m *memory) {
	t.Helper()
	dir := named(t, "exported")
	files := map[string]string{}
	for _, r := range m.docs {
		d, err := r.Document()
		if err != nil {
			t.Fatal(err)
		}
		f, err := Markdown(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Markdown(d)
		if err != nil || !bytes.Equal(f.Data, again.Data) {
			t.Fatalf("%s is written in two ways", f.Path)
		}
		files[f.Path] = string(f.Data)
	}
	write(t, dir, files)
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
	if diff := cmp.Diff(map[Outcome]int{Unchanged: len(m.docs)}, p.Count()); diff != "" {
		t.Errorf("an export as Markdown comes back as (-want +got):\n%s\n%s", diff, strings.Join(refusals(p), "\n"))
	}
}

// checkHistory exports the log and reads it into an empty store: both are the same.
func checkHistory(t *testing.T, m *memory) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.jsonl")
	if err := os.WriteFile(path, exportHistory(t, m), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newMemory()
	p := other.run(t, path, ReadOptions{}, PlanOptions{})
	if n := p.Count(); len(n) != 1 || n[Created] != len(m.docs) {
		t.Errorf("the export comes to %v, want %d created: %v", n, len(m.docs), refusals(p))
	}
	sameLog(t, m, other)
}

// sameLog checks that two logs are the same to the last hash.
func sameLog(t *testing.T, want, got *memory) {
	t.Helper()
	a, b := string(exportHistory(t, want)), string(exportHistory(t, got))
	if len(want.log) != len(got.log) {
		t.Fatalf("the log has %d changes, want %d", len(got.log), len(want.log))
	}
	if a == b {
		return
	}
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range la {
		if la[i] != lb[i] && i > 0 && !strings.HasPrefix(la[i], `{"end"`) { // the first line tells when, the last sums up
			t.Fatalf("line %d of the log (-want +got):\n%s", i, cmp.Diff(la[i], lb[i]))
		}
	}
}

func exportHistory(t *testing.T, m *memory) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{ExportedAt: m.clock, History: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.log {
		if err := w.Change(&m.log[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every placeholder of the real prompts renders to what stood there, and every default fits its variable.
func TestRealPromptsRender(t *testing.T) {
	s, err := Open(dataFile(t, "prompts-chat"), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	vars := 0
	for it := range s.Items() {
		for _, e := range it.Entries {
			d, ok := e.Doc.(*knowledge.Template)
			if !ok {
				continue
			}
			values := map[string]any{}
			for _, v := range d.Variables {
				values[v.Name] = "${" + v.Title + "}"
				vars++
			}
			text, err := d.Render(values)
			if err != nil {
				t.Errorf("%s: %v", e.Key, err)
				continue
			}
			again, _, _ := variables(text)
			if again != d.TemplateContent {
				t.Errorf("%s: rendered with its own names it gives another template", e.Key)
			}
		}
	}
	if vars < 800 {
		t.Errorf("%d variables in all the prompts, want more than 800", vars)
	}
}
