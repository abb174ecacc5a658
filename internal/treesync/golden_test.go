package treesync

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of the test binary

// TestEachAssistantsFilesAreAsItsGoldenFileSays writes documents of every kind of scope for each assistant, and
// compares every byte.
func TestEachAssistantsFilesAreAsItsGoldenFileSays(t *testing.T) {
	docs := append(some(), rule("STRICT-1", "mandatory", knowledge.Scope{
		Activation: "glob", Globs: []string{"api/**"},
		Languages: []string{"go"},
	}),
		&knowledge.Practice{
			PracticeID: "small-steps", Category: "c", Title: "Small steps",
			Description: "Change one thing, with \"quotes\" and: a colon.", IsActive: true,
			Common: knowledge.Common{Scope: knowledge.Scope{Activation: "model"}},
		})
	docs[0].(*knowledge.Rule).Extra = map[string]any{"description": "Its author's word for\nwhen it matters"}
	for _, d := range docs {
		d.Normalize()
	}
	dir := filepath.Join("testdata", "golden")
	names := map[string]bool{}
	for _, target := range Targets() {
		tree := treeAt(t)
		if err := sync(t, tree, bundleOf(t, docs...), Options{}, target); err != nil {
			t.Fatal(err)
		}
		written := files(t, tree.Dir())
		var got strings.Builder
		for _, name := range slices.Sorted(maps.Keys(written)) {
			got.WriteString("-- " + name + " --\n" + written[name])
		}
		name := filepath.Join(dir, target+".txt")
		names[target+".txt"] = true
		if *update {
			if err := os.WriteFile(name, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got; -update rewrites):\n%s", target, diff)
		}
	}
	kept, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range kept {
		if !names[f.Name()] {
			t.Errorf("%s is of no assistant", f.Name())
		}
	}
}
