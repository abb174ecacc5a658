package interchange

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"tenet/internal/knowledge"
)

func rule(id, text string) *knowledge.Rule {
	d := &knowledge.Rule{RuleID: id, Category: "c", Title: "Rule " + id, Description: text, IsActive: true}
	d.Normalize()
	return d
}

func category(id string) *knowledge.Category {
	d := &knowledge.Category{ID: id, IsActive: true}
	d.Normalize()
	return d
}

// lived returns a store with a history: several actors, a batch of many ops, a retired and restored document.
func lived(t *testing.T) *memory {
	t.Helper()
	m := newMemory()
	m.put(t, category("c"), "ann")
	first := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "bo", Ops: []knowledge.Op{
		knowledge.Put(rule("A", "One."), knowledge.NoVersion), knowledge.Put(rule("B", "One."), knowledge.NoVersion),
		knowledge.Put(&knowledge.Template{
			TemplateID: "T", Category: "c", Name: "T", TemplateContent: "Hi {{x}}", IsActive: true,
			Variables: []knowledge.Variable{{
				Name: "x", Title: "X", Type: "number", Default: json.Number("7"),
				Options: []string{},
			}},
			Common: knowledge.Common{Scope: knowledge.Scope{Activation: "model"}},
		}, knowledge.NoVersion),
	}}
	if err := m.apply(first); err != nil {
		t.Fatal(err)
	}
	m.put(t, rule("A", "Two."), "cy")
	for _, v := range []knowledge.Verb{knowledge.VerbRetire, knowledge.VerbRestore} {
		op := knowledge.Op{Verb: v, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "B"}}
		if err := m.apply(knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "di",
			Ops: []knowledge.Op{op},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func exportFile(t *testing.T, m *memory, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	data := exportHistory(t, m)
	switch filepath.Ext(name) {
	case ".gz":
		data = gzipped(t, data)
	case ".zst":
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		data = w.EncodeAll(data, nil)
		w.Close()
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnExportWithHistoryComesBackWhole(t *testing.T) {
	for _, name := range []string{"e.jsonl", "e.jsonl.gz", "e.jsonl.zst"} {
		m := lived(t)
		path := exportFile(t, m, name)
		other := newMemory()
		p := other.run(t, path, ReadOptions{}, PlanOptions{})
		if p.Writes() != len(m.log) {
			t.Errorf("%s: %d writes are announced, want %d", name, p.Writes(), len(m.log))
		}
		sameLog(t, m, other)
		p = other.run(t, path, ReadOptions{}, PlanOptions{})
		if n := p.Count(); p.Writes() != 0 || n[Unchanged] != 4 || len(n) != 1 {
			t.Errorf("%s again: %v and %d writes, want 4 unchanged", name, n, p.Writes())
		}
	}
}

func TestAnExportCatchesAStoreUp(t *testing.T) {
	m := lived(t)
	behind := newMemory()
	behind.run(t, exportFile(t, m, "old.jsonl"), ReadOptions{}, PlanOptions{})
	// What follows, one batch of it on a document that the other store has meanwhile changed in the same way.
	both := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "ed", Ops: []knowledge.Op{
		knowledge.Put(rule("A", "Three."), 2), knowledge.Put(rule("N", "New."), knowledge.NoVersion),
	}}
	if err := m.apply(both); err != nil {
		t.Fatal(err)
	}
	behind.put(t, rule("A", "Three."), "ann")
	p := behind.plan(t, exportFile(t, m, "new.jsonl"), ReadOptions{}, PlanOptions{})
	if diff := cmp.Diff(map[Outcome]int{Unchanged: 4, Created: 1}, p.Count()); diff != "" {
		t.Fatalf("outcomes (-want +got):\n%s\n%v", diff, refusals(p))
	}
	var ids []knowledge.BatchID
	for range 2 {
		for b, err := range p.Batches("ann", 0) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, b.ID)
			if b.Actor != "ed" || len(b.Ops) != 1 || b.Ops[0].Key.ID != "N" {
				t.Errorf("batch by %s with %v, want the one op that is missing, by ed", b.Actor, b.Ops)
			}
		}
	}
	if len(ids) != 2 || ids[0] != ids[1] || ids[0] == both.ID || ids[0] == uuid.Nil {
		t.Errorf("ids %v: want one that is the same in every run, and not that of the whole batch %s", ids, both.ID)
	}
}

func TestAStoreThatHasPartedIsNotOverwritten(t *testing.T) {
	m := lived(t)
	other := newMemory()
	other.run(t, exportFile(t, m, "e.jsonl"), ReadOptions{}, PlanOptions{})
	other.put(t, rule("B", "Theirs."), "ann") // ahead of the export
	d := rule("A", "Ours.")
	m.put(t, d, "bo")
	other.put(t, rule("A", "Theirs."), "ann") // another version of the same number
	p := other.plan(t, exportFile(t, m, "f.jsonl"), ReadOptions{}, PlanOptions{})
	r := refusals(p)
	if len(r) != 2 || !strings.Contains(r[0], "another version 3") || !strings.Contains(r[1], "the store is ahead") {
		t.Errorf("refusals %q, want A parted and B ahead", r)
	}
	if !p.Blocked() {
		t.Error("the plan is not blocked")
	}
}

func TestWhatWasPurgedStaysGone(t *testing.T) {
	m := lived(t)
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "A"}
	purge := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "admin",
		Ops: []knowledge.Op{{Verb: knowledge.VerbPurge, Key: key}},
	}
	if err := m.apply(purge); err != nil {
		t.Fatal(err)
	}
	other := newMemory()
	p := other.run(t, exportFile(t, m, "e.jsonl"), ReadOptions{}, PlanOptions{})
	if other.docs[key] != nil || len(other.docs) != 3 {
		t.Errorf("the store has %d documents, want the 3 that were not purged", len(other.docs))
	}
	if n := p.Count(); n[Created] != 3 || n[Unchanged] != 1 {
		t.Errorf("outcomes %v", n)
	}
	// Made again: versions are counted anew, and a second import of the same still changes nothing.
	m.put(t, rule("A", "Again."), "bo")
	m.put(t, rule("A", "And again."), "bo")
	for range 2 {
		p = other.run(t, exportFile(t, m, "g.jsonl"), ReadOptions{}, PlanOptions{})
		if len(refusals(p)) > 0 {
			t.Fatalf("refused: %v", refusals(p))
		}
	}
	if p.Writes() != 0 || other.docs[key].Version != 2 {
		t.Errorf("after the second time: version %d, %d writes, want 2 and none", other.docs[key].Version, p.Writes())
	}
}

func TestALongTransactionIsSplitWithoutUsingItsIDTwice(t *testing.T) {
	m := newMemory()
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "ann",
		Ops: []knowledge.Op{knowledge.Put(category("c"), knowledge.NoVersion)},
	}
	for i := range 9 {
		b.Ops = append(b.Ops, knowledge.Put(rule(strings.Repeat("r", i+1), "Text."), knowledge.NoVersion))
	}
	if err := m.apply(b); err != nil {
		t.Fatal(err)
	}
	other := newMemory()
	p := other.plan(t, exportFile(t, m, "e.jsonl"), ReadOptions{}, PlanOptions{})
	ids := map[knowledge.BatchID]bool{}
	n := 0
	for got, err := range p.Batches("ann", 4) {
		if err != nil {
			t.Fatal(err)
		}
		if ids[got.ID] || got.ID == b.ID || len(got.Ops) > 4 {
			t.Errorf("batch %s with %d ops", got.ID, len(got.Ops))
		}
		ids[got.ID] = true
		n += len(got.Ops)
		if err := other.apply(got); err != nil {
			t.Fatal(err)
		}
	}
	if n != 10 || len(ids) != 3 {
		t.Errorf("%d ops in %d batches, want 10 in 3", n, len(ids))
	}
}

// forged returns an export with texts replaced in one of its lines, whose sum is made anew where resum says so.
func forged(t *testing.T, whole string, line int, resum bool, replace ...string) string {
	t.Helper()
	lines := strings.SplitAfter(whole, "\n")
	was := lines[line]
	lines[line] = strings.NewReplacer(replace...).Replace(was)
	if lines[line] == was {
		t.Fatalf("line %d does not hold %q: %s", line+1, replace, was)
	}
	if resum {
		var raw rawChange
		if err := json.Unmarshal([]byte(lines[line]), &raw); err != nil {
			t.Fatal(err)
		}
		lines[line] = `{"change":` + string(raw.Change) + `,"sum":"` + sumOf(raw.Change) + `"}` + "\n"
	}
	return strings.Join(lines, "")
}

func TestAPurgeTravels(t *testing.T) {
	m := lived(t)
	other := newMemory()
	other.run(t, exportFile(t, m, "e.jsonl"), ReadOptions{}, PlanOptions{})
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "A"}
	if err := m.apply(knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "admin",
		Ops: []knowledge.Op{{Verb: knowledge.VerbPurge, Key: key}},
	}); err != nil {
		t.Fatal(err)
	}
	p := other.run(t, exportFile(t, m, "f.jsonl"), ReadOptions{}, PlanOptions{})
	if other.docs[key] != nil || p.Writes() != 1 {
		t.Errorf("after the import of a purge: %v, %d writes", other.docs[key], p.Writes())
	}
	// Another document of the same id is not the one that was purged.
	third := newMemory()
	third.put(t, category("c"), "zoe")
	third.put(t, rule("A", "Mine."), "zoe")
	third.put(t, rule("A", "Mine still."), "zoe")
	if r := refusals(third.plan(t, exportFile(t, m, "g.jsonl"), ReadOptions{}, PlanOptions{})); len(r) == 0 {
		t.Error("a purge of another's document is taken for one of this")
	}
}

func TestAnExportThatWasDamagedIsRefused(t *testing.T) {
	m := lived(t)
	whole := string(exportHistory(t, m))
	lines := strings.SplitAfter(whole, "\n")
	for name, tc := range map[string]struct{ text, want string }{
		"cut off":       {strings.Join(lines[:4], ""), "cut off"},
		"cut in a line": {whole[:len(whole)/2], "line "},
		"a line lost": {
			strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""),
			"some were lost",
		},
		"out of order": {lines[0] + lines[1] + lines[5] + lines[2] + lines[3] + lines[4] +
			strings.Join(lines[6:], ""), "out of order"},
		"text behind":  {whole + "{}\n", "behind the last line"},
		"a newer form": {strings.Replace(whole, `"tenet":1`, `"tenet":2`, 1), "form 2"},
		"no change":    {lines[0] + `{"kind":"rule"}` + "\n" + `{"end":true,"lines":1}`, "no change"},
		"another key":  {strings.Replace(whole, `"id":"A"`, `"id":"Z"`, 1), "its document is rule/A"},
		"another title": {
			forged(t, whole, 2, false, "Rule A", "Rule Z"),
			"line 3: the change 2 of rule/A is another one than was exported",
		},
		"another title with its sum": {
			forged(t, whole, 2, true, "Rule A", "Rule Z"),
			"line 3: the document of change 2 of rule/A",
		},
		"another actor with its sum": {
			forged(t, whole, 2, true, `"actor":"bo"`, `"actor":"mo"`),
			"line 3: the change 2 of rule/A says version 1 by mo",
		},
		"another verb with its sum": {
			forged(t, whole, 2, true, `"verb":"put"`, `"verb":"retire"`),
			"line 3: the change 2 of rule/A is not what its chain",
		},
		"a line taken out, and told": {strings.Replace(strings.Join(append(append([]string{}, lines[:3]...),
			lines[4:]...), ""), `"lines":7`, `"lines":6`, 1), "line 4: changes before it are missing"},
		"a line without its sum": {strings.Replace(whole, `,"sum":"`, `,"sun":"`, 1), "no sum"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "e.jsonl")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := newMemory().plan(t, path, ReadOptions{}, PlanOptions{})
			if r := refusals(p); len(r) != 1 || !strings.Contains(r[0], tc.want) {
				t.Errorf("refusals %q, want one with %q", r, tc.want)
			}
			for b, err := range p.Batches("ann", 0) {
				if err == nil {
					t.Errorf("batch %v from a damaged export", b.ID)
				}
			}
		})
	}
}

func TestAnExportWithoutHistoryHoldsTheDocuments(t *testing.T) {
	m := lived(t)
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{ExportedAt: m.clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range knowledge.Kinds() {
		for k, r := range m.docs {
			if k.Kind != kind {
				continue
			}
			if err := w.Document(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Change(&m.log[0]); err == nil {
		t.Error("an export without history takes a change")
	}
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "docs.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newMemory()
	if p := other.run(t, path, ReadOptions{}, PlanOptions{}); p.Count()[Created] != 4 {
		t.Errorf("outcomes %v, want 4 created; refused: %v", p.Count(), refusals(p))
	}
	for k, r := range m.docs {
		a, err := r.Document()
		if err != nil {
			t.Fatal(err)
		}
		c, err := other.docs[k].Document()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := sameContent(a, c); err != nil || !same {
			t.Errorf("%s came back otherwise (%v)", k, err)
		}
	}
	if p := m.plan(t, path, ReadOptions{}, PlanOptions{}); p.Count()[Unchanged] != 4 {
		t.Errorf("into the store it came from: %v, want 4 unchanged", p.Count())
	}
}
