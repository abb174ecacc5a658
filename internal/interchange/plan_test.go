package interchange

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// team is a small folder of rules, and the keys that they get.
func team() map[string]string {
	return map[string]string{
		"rules/one.mdc":  "---\ndescription: One\n---\n# One\n\nFirst.\n",
		"rules/two.mdc":  "---\ndescription: Two\n---\n# Two\n\nSecond.\n",
		"guide/talk.md":  "# Talk\n\nTalk first.\n",
		"prompts/p.csv":  "act,prompt\nA,Do ${x}\nB,Do this\nA,Do that\n",
		"guide/mess.png": "not a text",
	}
}

func importTeam(t *testing.T) (*memory, string) {
	t.Helper()
	dir := named(t, "team")
	write(t, dir, team())
	m := newMemory()
	p := m.run(t, dir, ReadOptions{}, PlanOptions{})
	want := map[Outcome]int{Created: 8, Skipped: 1}
	if diff := cmp.Diff(want, p.Count()); diff != "" {
		t.Fatalf("first import (-want +got):\n%s", diff)
	}
	return m, dir
}

func TestAnEditedFileMakesOneNewVersion(t *testing.T) {
	m, dir := importTeam(t)
	write(t, dir, map[string]string{"rules/two.mdc": "---\ndescription: Two\n---\n# Two\n\nOtherwise.\n"})
	before := len(m.log)
	p := m.run(t, dir, ReadOptions{}, PlanOptions{})
	if diff := cmp.Diff(map[Outcome]int{Changed: 1, Unchanged: 5, Skipped: 1}, p.Count()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := len(m.log) - before; n != 1 {
		t.Errorf("%d changes in the log, want 1", n)
	}
	if d := m.doc(t, "rule/team-rules-two"); d.Stamps().Version != 2 ||
		!strings.Contains(d.(*knowledge.Rule).Description, "Otherwise") {
		t.Errorf("version %d, %q", d.Stamps().Version, d.(*knowledge.Rule).Description)
	}
}

func TestARowPutBetweenChangesNoOtherRow(t *testing.T) {
	m, dir := importTeam(t)
	write(t, dir, map[string]string{"prompts/p.csv": "act,prompt\nNew,Text\nA,Do ${x}\nB,Do this\nA,Do that " +
		"otherwise\n"})
	p := m.run(t, dir, ReadOptions{}, PlanOptions{})
	got := map[string]Outcome{}
	for _, st := range p.Steps() {
		if st.Path == "prompts/p.csv" {
			got[st.Key.String()] = st.Outcome
		}
	}
	want := map[string]Outcome{
		"template/team-prompts-p-new": Created, "template/team-prompts-p-a": Unchanged,
		"template/team-prompts-p-b": Unchanged, "template/team-prompts-p-a-2": Changed,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestNothingIsHalfImported(t *testing.T) {
	dir := named(t, "team")
	write(t, dir, team())
	write(t, dir, map[string]string{"rules/bad.mdc": "hid\u202eden\n", "rules/worse.md": "\xff\n"})
	m := newMemory()
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{})
	if !p.Blocked() || p.Count()[Refused] != 2 {
		t.Fatalf("blocked is %v with %v", p.Blocked(), p.Count())
	}
	for b, err := range p.Batches("ann", 0) {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("a blocked plan gives %v, %v", b, err)
		}
	}
	m.run(t, dir, ReadOptions{}, PlanOptions{KeepGoing: true})
	if len(m.docs) != 8 {
		t.Errorf("%d documents with keep-going, want the 8 good ones", len(m.docs))
	}
}

func TestPruneRetiresOnlyWhatThisSourceImported(t *testing.T) {
	m, dir := importTeam(t)
	other := named(t, "other")
	write(t, other, map[string]string{"rules/one.mdc": "Other.\n"})
	m.run(t, other, ReadOptions{}, PlanOptions{})
	m.put(t, &knowledge.Rule{
		RuleID: "own", Category: "imported", Title: "Own", Description: "Ours.", IsActive: true, Severity: "INFO",
		Enforcement: "optional", Status: "ACTIVE", Common: knowledge.Common{
			Tags: []string{SourceTag("team")}, Scope: knowledge.Scope{Activation: "model"},
		},
	}, "bo")
	for _, f := range []string{"rules/two.mdc", "guide/talk.md"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	// A part of the source says nothing about the rest of it.
	p := m.plan(t, filepath.Join(dir, "rules"), ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
	if n := p.Count(); n[Pruned] != 1 {
		t.Errorf("the folder of rules alone prunes %d, want 1", n[Pruned])
	}
	p = m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
	if diff := cmp.Diff(map[Outcome]int{Pruned: 2, Unchanged: 4, Skipped: 1}, p.Count()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for key, active := range map[string]bool{
		"rule/team-rules-two": false, "practice/team-guide-talk": false, "rule/team-rules-one": true,
		"rule/other-rules-one": true, "rule/own": true,
	} {
		if m.doc(t, key).Active() != active {
			t.Errorf("%s: in use is %v, want %v", key, !active, active)
		}
	}
	if v := m.log[len(m.log)-1].Verb; v != knowledge.VerbRetire {
		t.Errorf("the log says %s, want retire", v)
	}
	if p = m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true}); p.Writes() != 0 {
		t.Errorf("pruning twice writes %d", p.Writes())
	}
	// What comes back is restored.
	write(t, dir, team())
	p = m.run(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true})
	if n := p.Count(); n[Changed] != 2 || !m.doc(t, "rule/team-rules-two").Active() {
		t.Errorf("after the files came back: %v", n)
	}
}

func TestPruneLeavesAloneWhatCouldNotBeRead(t *testing.T) {
	m, dir := importTeam(t)
	write(t, dir, map[string]string{"prompts/p.csv": "act,prompt\n\"A,Do\n"})
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{Imported: m.imported, Prune: true, KeepGoing: true})
	if n := p.Count(); n[Pruned] != 0 || n[Refused] != 1 {
		t.Errorf("a broken table: %v, want 1 refused and nothing pruned", n)
	}
	write(t, dir, team())
	p = m.plan(t, dir, ReadOptions{Format: FormatCSV}, PlanOptions{Imported: m.imported, Prune: true})
	if n := p.Count(); n[Pruned] != 0 || n[Refused] != 0 {
		t.Errorf("with one format only: %v, want nothing pruned", n)
	}
}

func TestEditsInTenetAreNotLost(t *testing.T) {
	m, dir := importTeam(t)
	d := m.doc(t, "rule/team-rules-one").(*knowledge.Rule)
	d.Severity = knowledge.SeverityCritical
	m.put(t, d, "bo")
	p := m.run(t, dir, ReadOptions{}, PlanOptions{})
	if n := p.Count(); n[Unchanged] != 6 || len(m.log) != 9 {
		t.Errorf("the file as it was: %v, want all unchanged", n)
	}
	write(t, dir, map[string]string{"rules/one.mdc": "---\ndescription: One\n---\n# One\n\nAnew.\n"})
	p = m.plan(t, dir, ReadOptions{}, PlanOptions{})
	if r := refusals(p); len(r) != 1 || !strings.Contains(r[0], "edited in tenet") {
		t.Errorf("both edited: refusals %q, want one", r)
	}
	p = m.run(t, dir, ReadOptions{}, PlanOptions{Overwrite: true})
	if n := p.Count(); n[Changed] != 1 ||
		m.doc(t, "rule/team-rules-one").(*knowledge.Rule).Severity != knowledge.SeverityWarning {
		t.Errorf("overwritten: %v", n)
	}
}

func TestWhatAPersonRetiredStaysRetired(t *testing.T) {
	m, dir := importTeam(t)
	d := m.doc(t, "rule/team-rules-one")
	d.SetActive(false)
	m.put(t, d, "bo")
	p := m.run(t, dir, ReadOptions{}, PlanOptions{})
	if n := p.Count(); n[Unchanged] != 6 {
		t.Errorf("the file as it was: %v, want all unchanged", n)
	}
	write(t, dir, map[string]string{"rules/one.mdc": "# One\n\nAnew.\n"})
	p = m.run(t, dir, ReadOptions{}, PlanOptions{})
	got := m.doc(t, "rule/team-rules-one").(*knowledge.Rule)
	if n := p.Count(); n[Changed] != 1 || got.IsActive || !strings.Contains(got.Description, "Anew") {
		t.Errorf("the file edited: %v, active %v, %q", n, got.IsActive, got.Description)
	}
}

func TestAnIDOfAnotherOriginIsNotTakenOver(t *testing.T) {
	m, dir := importTeam(t)
	elsewhere := filepath.Join(t.TempDir(), "team")
	write(t, elsewhere, map[string]string{"rules/one.mdc": "Mine.\n"})
	// The same source name means the same source; an id that somebody else holds is refused.
	m.put(t, &knowledge.Rule{
		RuleID: "team-rules-three", Category: "imported", Title: "Three", Description: "By hand.", IsActive: true,
		Severity:    "INFO",
		Enforcement: "optional", Status: "ACTIVE",
		Common: knowledge.Common{Scope: knowledge.Scope{Activation: "model"}},
	}, "bo")
	write(t, dir, map[string]string{"rules/three.mdc": "Three.\n"})
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{})
	if r := refusals(p); len(r) != 1 || !strings.Contains(r[0], "did not come from this source") {
		t.Errorf("refusals %q, want one", r)
	}
	if p = m.plan(t, dir, ReadOptions{Source: "elsewhere"}, PlanOptions{}); p.Count()[Created] != 7 {
		t.Errorf("under another name: %v, want 7 created", p.Count())
	}
}

func TestBatchesAreBoundedAndInOrder(t *testing.T) {
	m := newMemory()
	dir := named(t, "many")
	var rows strings.Builder
	rows.WriteString("act,prompt,category\n")
	for i := range 25 {
		rows.WriteString(strings.Repeat("x", i+1) + ",Text,c" + string(rune('a'+i%5)) + "\n")
	}
	write(t, dir, map[string]string{"p.csv": rows.String()})
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{})
	seen, sizes := map[string]bool{}, []int{}
	for b, err := range p.Batches("ann", 10) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(b.Ops))
		for _, op := range b.Ops {
			if op.IfVersion != knowledge.NoVersion {
				t.Errorf("%s is written over version %d, want none", op.Key, op.IfVersion)
			}
			if c := op.Doc.CategoryID(); c != "" && !seen[c] {
				t.Errorf("%s comes before its category %s", op.Key, c)
			}
			seen[op.Key.ID] = true
		}
	}
	if diff := cmp.Diff([]int{10, 10, 10}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if p.Writes() != 30 {
		t.Errorf("%d writes are announced, want 30", p.Writes())
	}
}

func TestOneDocumentFromTwoPlaces(t *testing.T) {
	m := newMemory()
	dir := named(t, "twice")
	const doc = "---\nrule_id: X-1\ncategory: c\ntitle: X\n---\n\nText.\n"
	write(t, dir, map[string]string{"a.md": doc, "b.md": doc, "c.md": strings.Replace(doc, "Text", "Other", 1)})
	p := m.plan(t, dir, ReadOptions{}, PlanOptions{})
	if diff := cmp.Diff(map[Outcome]int{Created: 2, Unchanged: 1, Refused: 1}, p.Count()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if r := refusals(p); !strings.Contains(r[0], "was read before, from a.md") {
		t.Errorf("refusal %q", r[0])
	}
}

func TestACategoryThatIsImportedItselfIsNotMadeUp(t *testing.T) {
	m := newMemory()
	dir := named(t, "own")
	write(t, dir, map[string]string{
		"rules/X-1.md":     "---\nrule_id: X-1\ncategory: c\ntitle: X\n---\n\nText.\n",
		"zcategories/c.md": "---\ncategory_id: c\nname: See\n---\n\nAll of it.\n",
	})
	m.run(t, dir, ReadOptions{}, PlanOptions{})
	if got := m.doc(t, "category/c").(*knowledge.Category); got.Name != "See" || got.Description != "All of it." {
		t.Errorf("category is %q: %q", got.Name, got.Description)
	}
	m = newMemory()
	first, second := filepath.Join(dir, "rules"), filepath.Join(dir, "zcategories")
	p := NewPlan(PlanOptions{Current: m.current})
	for _, path := range []string{first, second} {
		s, err := Open(path, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := p.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	m.carryOut(t, p)
	if got := m.doc(t, "category/c").(*knowledge.Category); got.Name != "See" || got.Stamps().Version != 1 {
		t.Errorf("over two sources: category is %q, version %d", got.Name, got.Stamps().Version)
	}
}

func TestSourcesAreNamedAfterWhoseTheyAre(t *testing.T) {
	for abs, want := range map[string][2]string{
		"/home/ann/payments":               {"payments", ""},
		"/home/ann/payments/.cursor/rules": {"payments", ".cursor/rules/"},
		"/home/ann/payments/docs":          {"payments", "docs/"},
		"/rules":                           {"rules", ""},
		"/":                                {"root", ""},
	} {
		source, root := anchor(abs)
		if source != want[0] || root != want[1] {
			t.Errorf("%s is source %q at %q, want %q at %q", abs, source, root, want[0], want[1])
		}
	}
}

func TestAPartOfASourceHasTheIDsOfTheWhole(t *testing.T) {
	m, dir := importTeam(t)
	for _, path := range []string{"rules", "prompts", "rules/one.mdc", "prompts/p.csv"} {
		p := m.plan(t, filepath.Join(dir, filepath.FromSlash(path)), ReadOptions{}, PlanOptions{
			Imported: m.imported,
			Prune:    true,
		})
		if n := p.Count(); len(n) != 1 || n[Unchanged] == 0 {
			t.Errorf("%s by itself: %v, want all unchanged", path, n)
		}
	}
}
