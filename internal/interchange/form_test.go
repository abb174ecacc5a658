package interchange

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// A dropdown of GitHub says by a number, from 0, which of its options is chosen at first.
func TestTheDefaultOfADropdownIsAnOption(t *testing.T) {
	const path = ".github/ISSUE_TEMPLATE/a.yml"
	const form = "name: Fault\nbody:\n" +
		"  - {type: dropdown, id: os, attributes: {label: System, options: [Linux, macOS], default: 1}}\n" +
		"  - {type: dropdown, id: many, attributes: {label: Several, multiple: true, options: [1.10, b], default: 0}}\n" +
		"  - {type: dropdown, id: none, attributes: {label: None, options: [a], default: 1}}\n" +
		"  - {type: dropdown, id: odd, attributes: {label: Odd, options: [a], default: a}}\n"
	d, ok := readAll(t, map[string]string{path: form})[path].Doc.(*knowledge.Template)
	if !ok {
		t.Fatal("the form is no template")
	}
	got := map[string]any{}
	for _, v := range d.Variables {
		got[v.Name] = v.Default
	}
	want := map[string]any{"os": "macOS", "many": []any{"1.10"}, "none": nil, "odd": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
