package interchange

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// inUse returns the active documents of a source, each with the file that it is noted to be in.
func (m *memory) inUse(t *testing.T, source string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for rec, err := range m.imported(SourceTag(source)) {
		if err != nil {
			t.Fatal(err)
		}
		d := m.doc(t, rec.Key.String())
		if o, _ := originOf(d); d.Active() {
			out[rec.Key.String()] = o.path
		}
	}
	return out
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARuleThatIsMovedStaysTheDocumentThatItWas(t *testing.T) {
	const one, two = "- {id: A-1, title: One, description: First, severity: high}\n",
		"- {id: A-2, title: Two, description: Second, severity: low}\n"
	tests := map[string]struct {
		before, after map[string]string
		gone          []string
		edit          func(*testing.T, *memory) // made in tenet in between
		want          map[string]string
		check         func(*testing.T, *memory)
	}{
		"its file has another name": {
			before: map[string]string{".claude/rules/a.md": "# A\n\nText.\n"},
			after:  map[string]string{".claude/rules/b.md": "# A\n\nText.\n"}, gone: []string{".claude/rules/a.md"},
			want: map[string]string{"rule/team-claude-rules-a": ".claude/rules/b.md"},
		},
		"a file of several has another name, and one was edited there": {
			before: map[string]string{"x.yaml": one + two},
			after:  map[string]string{"y.yaml": one + strings.Replace(two, "Second", "Other", 1)},
			gone:   []string{"x.yaml"},
			want:   map[string]string{"rule/team-x-a-1": "y.yaml", "rule/team-x-a-2": "y.yaml"},
		},
		"an entry stands in another file, and was edited there": {
			before: map[string]string{"x.yaml": one + two},
			after:  map[string]string{"x.yaml": one, "y.yaml": strings.Replace(two, "Second", "Other", 1)},
			want:   map[string]string{"rule/team-x-a-1": "x.yaml", "rule/team-x-a-2": "y.yaml"},
		},
		"an entry with the same text stands in another file": {
			before: map[string]string{"x.yaml": one + two}, after: map[string]string{"x.yaml": one, "y.yaml": two},
			want: map[string]string{"rule/team-x-a-1": "x.yaml", "rule/team-x-a-2": "y.yaml"},
		},
		"it was edited in tenet": {
			before: map[string]string{".claude/rules/a.md": "# A\n\nText.\n"},
			after:  map[string]string{".claude/rules/b.md": "# A\n\nText.\n"}, gone: []string{".claude/rules/a.md"},
			edit: func(t *testing.T, m *memory) {
				d := m.doc(t, "rule/team-claude-rules-a").(*knowledge.Rule)
				d.Priority = 7
				m.put(t, d, "bo")
			},
			want: map[string]string{"rule/team-claude-rules-a": ".claude/rules/b.md"},
			check: func(t *testing.T, m *memory) {
				if d := m.doc(t, "rule/team-claude-rules-a").(*knowledge.Rule); d.Priority != 7 {
					t.Errorf("the edit is lost: priority %d, want 7", d.Priority)
				}
			},
		},
		"a person retired it": {
			before: map[string]string{"x.yaml": one + two},
			after:  map[string]string{"y.yaml": one + strings.Replace(two, "Second", "Other", 1)},
			gone:   []string{"x.yaml"},
			edit: func(t *testing.T, m *memory) {
				for _, key := range []string{"rule/team-x-a-1", "rule/team-x-a-2"} {
					d := m.doc(t, key)
					d.SetActive(false)
					m.put(t, d, "bo")
				}
			},
			want: map[string]string{},
		},
		"its file has another name, and was edited at once": {
			before: map[string]string{"a.md": "# A\n\nOne.\nTwo.\nThree.\n", "b.md": "# B\n\nFour.\nFive.\nSix.\n"},
			after:  map[string]string{"c.md": "# B\n\nFour.\nFive.\nSeven.\n", "d.md": "# A\n\nOne.\nTwo.\nThree!\n"},
			gone:   []string{"a.md", "b.md"},
			want:   map[string]string{"practice/team-a": "d.md", "practice/team-b": "c.md"},
			check: func(t *testing.T, m *memory) {
				if d := m.doc(t, "practice/team-b").(*knowledge.Practice); !strings.Contains(d.ImplementationGuide, "Seven.") {
					t.Errorf("the edit is lost: %q", d.ImplementationGuide)
				}
			},
		},
		"another file is new that has little of its text": {
			before: map[string]string{"a.md": "# A\n\nOne.\nTwo.\nThree.\nFour.\n"},
			after:  map[string]string{"b.md": "# B\n\nOne.\nEight is another number.\nNine is, too.\n"},
			gone:   []string{"a.md"},
			want:   map[string]string{"practice/team-b": "b.md"},
		},
		"its copy is new and it is still there": {
			before: map[string]string{".claude/rules/b.md": "# A\n\nText.\n"},
			after:  map[string]string{".claude/rules/a.md": "# A\n\nText.\n"},
			want:   map[string]string{"rule/team-claude-rules-b": ".claude/rules/b.md"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir, m := named(t, "team"), newMemory()
			o := PlanOptions{Imported: m.imported, All: m.all, Recognize: true, Prune: true}
			write(t, dir, tt.before)
			m.run(t, dir, ReadOptions{}, o)
			if tt.edit != nil {
				tt.edit(t, m)
			}
			remove(t, dir, tt.gone...)
			write(t, dir, tt.after)
			m.run(t, dir, ReadOptions{}, o)
			if diff := cmp.Diff(tt.want, m.inUse(t, "team")); diff != "" {
				t.Errorf("documents in use, with their files (-want +got):\n%s", diff)
			}
			if tt.check != nil {
				tt.check(t, m)
			}
			if p := m.run(t, dir, ReadOptions{}, o); p.Writes() != 0 {
				t.Errorf("the same import again writes %d, want nothing", p.Writes())
			}
		})
	}
}

// A name that several have says nothing about which of them was moved.
func TestTwoRulesOfOneNameAreNotTakenForAMove(t *testing.T) {
	dir, m := named(t, "team"), newMemory()
	o := PlanOptions{Imported: m.imported, All: m.all, Recognize: true, Prune: true, Status: knowledge.StatusDraft}
	write(t, dir, map[string]string{"x.yaml": "- {id: A-1, title: One, description: First, severity: high}\n"})
	m.run(t, dir, ReadOptions{}, o)
	remove(t, dir, "x.yaml")
	write(t, dir, map[string]string{
		"y.yaml": "- {id: A-1, title: Why, description: Other, severity: high}\n",
		"z.yaml": "- {id: A-1, title: Zed, description: Another, severity: high}\n",
	})
	p := m.run(t, dir, ReadOptions{}, o)
	want := map[string]string{"rule/team-y-a-1": "y.yaml", "rule/team-z-a-1": "z.yaml"}
	if diff := cmp.Diff(want, m.inUse(t, "team")); diff != "" || p.Count()[Pruned] != 1 {
		t.Errorf("documents in use (-want +got):\n%s\nand %v", diff, p.Count())
	}
	for _, st := range p.Steps() {
		if slices.ContainsFunc(st.Notes, func(n string) bool { return strings.Contains(n, "before") }) {
			t.Errorf("%s says that it was moved: %q", st.Key, st.Notes)
		}
	}
}

// The status that the first import was told holds, and what the second is told is for rules that it creates.
func TestAMovedRuleKeepsItsStatus(t *testing.T) {
	dir, m := named(t, "team"), newMemory()
	o := PlanOptions{Imported: m.imported, All: m.all, Recognize: true}
	write(t, dir, map[string]string{"x.yaml": "- {id: A-1, title: One, description: First, severity: high}\n"})
	m.run(t, dir, ReadOptions{}, o)
	remove(t, dir, "x.yaml")
	write(t, dir, map[string]string{"y.yaml": "- {id: A-1, title: One, description: Other, severity: high}\n"})
	o.Status = knowledge.StatusDraft
	m.run(t, dir, ReadOptions{}, o)
	if d := m.doc(t, "rule/team-x-a-1").(*knowledge.Rule); d.Status != "ACTIVE" || d.Description != "Other" {
		t.Errorf("status %s, description %q: want ACTIVE, Other", d.Status, d.Description)
	}
}

// all lists every document of the kinds that are listed.
func (m *memory) all() iter.Seq2[*knowledge.Record, error] {
	return func(yield func(*knowledge.Record, error) bool) {
		for _, k := range slices.SortedFunc(keysOf(m.docs), compareKeys) {
			if listed(k.Kind) && !yield(m.docs[k], nil) {
				return
			}
		}
	}
}

// Of very many files that are new, and as many that are gone, not all are compared, and those are named.
func TestWhatIsNotComparedIsNamed(t *testing.T) {
	dir, m := named(t, "team"), newMemory()
	o := PlanOptions{Imported: m.imported, All: m.all, Recognize: true}
	const many = 120 // and 120 times 120 pairs
	before, after := map[string]string{}, map[string]string{}
	var gone []string
	for i := range many {
		text := func(of string) string { return fmt.Sprintf("# %s %d\n\nThe %s text of %d.\n", of, i, of, i) }
		before[fmt.Sprintf("a%d.md", i)], after[fmt.Sprintf("b%d.md", i)] = text("Old"), text("New")
		gone = append(gone, fmt.Sprintf("a%d.md", i))
	}
	write(t, dir, before)
	m.run(t, dir, ReadOptions{}, o)
	remove(t, dir, gone...)
	write(t, dir, after)
	noted := 0
	for _, st := range m.run(t, dir, ReadOptions{}, o).Steps() {
		if slices.Contains(st.Notes, tooManyMoved) {
			noted++
		}
	}
	if noted == 0 || noted > many {
		t.Errorf("%d of %d documents say that they were not compared with all that are gone", noted, many)
	}
}
