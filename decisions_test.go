package tenet_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mostDecisions is how many entries docs/decisions.md may have: one that a maintainer would not look for belongs into
// the code, a DESIGN.md or nowhere.
const mostDecisions = 25

func decisions(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("docs/decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchor returns the name by which a heading is linked to.
func anchor(title string) string {
	kept := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// TestDecisionsAreListed compares the list at the top of docs/decisions.md with the headings below it.
func TestDecisionsAreListed(t *testing.T) {
	list, entries, found := strings.Cut(decisions(t), "\n## ")
	if !found {
		t.Fatal("docs/decisions.md has no sections")
	}
	var want []string
	for _, heading := range regexp.MustCompile(`(?m)^#?## .*$`).FindAllString("## "+entries, -1) {
		title := strings.TrimLeft(heading, "# ")
		want = append(want, "["+title+"](#"+anchor(title)+")")
	}
	got := regexp.MustCompile(`\[[^\]]*\]\(#[^)]*\)`).FindAllString(list, -1)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Fatalf("the list has %s, which is no heading", got[i])
		case i >= len(got) || got[i] != want[i]:
			t.Fatalf("the list lacks %s in its place", want[i])
		}
	}
}

// TestADecisionSaysWhatWasRejected looks at the form of each entry, and counts them.
func TestADecisionSaysWhatWasRejected(t *testing.T) {
	entries := strings.Split(regexp.MustCompile(`(?s)\n## What is used.*`).ReplaceAllString(decisions(t), ""), "\n### ")[1:]
	if len(entries) == 0 || len(entries) > mostDecisions {
		t.Errorf("docs/decisions.md has %d entries, and may have %d: merge some", len(entries), mostDecisions)
	}
	for _, entry := range entries {
		title, text, _ := strings.Cut(entry, "\n")
		for _, part := range []string{"\n- **Chosen:** ", "\n- **Rejected:** ", "\n- **Revisit when** "} {
			if !strings.Contains(text, part) {
				t.Errorf("%q has no line that begins with %q", title, strings.TrimSpace(part))
			}
		}
	}
}

// TestEveryModuleIsNamedWithItsUse compares what go.mod asks for itself with the table of docs/decisions.md.
func TestEveryModuleIsNamedWithItsUse(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(decisions(t), "\n## What is used")
	var used []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		used = append(used, m[1])
	}
	if len(used) == 0 {
		t.Fatal("go.mod asks for no modules")
	}
	for _, name := range used {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/decisions.md does not say what %s is used for", name)
		}
	}
	for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z]+/[^`]+)`").FindAllStringSubmatch(table, -1) {
		if !slices.Contains(used, m[1]) {
			t.Errorf("docs/decisions.md says what %s is for, which go.mod does not ask for", m[1])
		}
	}
}

// TestLinksOfDocumentsLeadSomewhere follows the links within the tree of every document, to a file and to a heading.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	tree := os.DirFS(".")
	links, headings := regexp.MustCompile(`\]\(([^)\s:]+)\)`), regexp.MustCompile(`(?m)^#+ (.*)$`)
	followed := 0
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "data") {
			return skipUnless(err)
		}
		if d.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		for _, m := range links.FindAllStringSubmatch(string(text), -1) {
			followed++
			file, heading, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			there, err := fs.Stat(tree, target)
			if err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if heading == "" || there.IsDir() {
				continue
			}
			found, err := fs.ReadFile(tree, target)
			if err != nil {
				return err
			}
			named := func(h []string) bool { return anchor(h[1]) == heading }
			if !slices.ContainsFunc(headings.FindAllStringSubmatch(string(found), -1), named) {
				t.Errorf("%s links to %s, and there is no such heading", name, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if followed < 50 {
		t.Fatalf("only %d links were found", followed)
	}
}

// skipUnless leaves a folder out, unless walking has failed.
func skipUnless(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}
