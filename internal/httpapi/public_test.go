package httpapi

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTheListOfPublicPathsIsTheRouteTable compares what SECURITY.md says answers without a token with the routes that
// do.
func TestTheListOfPublicPathsIsTheRouteTable(t *testing.T) {
	const file, begin, end = "../../SECURITY.md", "<!-- from the route table: begin -->\n",
		"<!-- from the route table: end -->"
	var list []string
	for _, rt := range described().routes {
		if rt.public {
			list = append(list, "- `"+rt.method+" "+rt.path+"`")
		}
	}
	slices.Sort(list)
	want := begin + strings.Join(slices.Compact(list), "\n") + "\n" + end
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	is, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the list between %q and %q", file, begin, end)
	}
	switch {
	case begin+is+end == want:
	case *update:
		if err := os.WriteFile(file, []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the list in %s is not the routes that are public: run make docs; want\n%s", file, want)
	}
}
