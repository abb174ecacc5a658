package guidance

import (
	"flag"
	"os"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

var update = flag.Bool("update", false, "write the examples in docs/scopes.md anew") //nolint:gochecknoglobals // a flag

// An example is a row of docs/scopes.md: what its globs say about some paths.
type example struct {
	globs   string // separated by spaces
	yes, no string
	why     string
}

func dialect() []example {
	return []example{
		{"*.go", "main.go", "cmd/main.go", "a pattern is anchored at the root, and `*` stays within one name"},
		{
			"**/*.go", "main.go cmd/pay/main.go", "main.GO",
			"`**/` is any number of folders, none too; upper and lower case differ",
		},
		{
			"src/**", "src/a.ts src/x/.env", "src lib/src/a.ts",
			"what is below a folder, dotfiles too, and not the folder",
		},
		{"src/", "src/a.ts src/x/b.ts", "src", "a trailing `/` is short for `/**`"},
		{"./src/*.ts /lib/*.ts", "src/a.ts lib/a.ts", "src/x/a.ts", "a leading `./` or `/` says nothing"},
		{"**/*.{ts,tsx}", "a.ts web/b.tsx", "a.js", "`{a,b}` is either; braces may stand in braces"},
		{"[a-c]*.md", "b.md", "d.md", "one of the characters"},
		{"[!a-c]*.md", "d.md", "b.md", "none of the characters; `[^a-c]` is the same"},
		{"v?/*", "v1/x", "v/x v10/x", "`?` is exactly one character"},
		{"**/pay/**", "pay/a.go cmd/pay/a.go", "cmd/pay.go", "a folder anywhere"},
		{
			"**/*_test.go !**/vendor/**", "a_test.go x/b_test.go", "vendor/x/a_test.go",
			"`!` excludes what the others include, wherever it stands",
		},
		{"!docs/**", "", "docs/a.md src/a.go", "excludes alone include nothing"},
		{`app/\[id\]/page.tsx`, "app/[id]/page.tsx", "app/i/page.tsx", "a backslash takes a sign's meaning away"},
		{"**.go", "main.go", "cmd/main.go", "`**` beside other signs is `*`"},
	}
}

func (e *example) holds(clean string) bool {
	var globs []knowledge.Glob
	for text := range strings.FieldsSeq(e.globs) {
		g, err := knowledge.ParseGlob(text)
		if err != nil {
			panic(err)
		}
		globs = append(globs, g)
	}
	return including(globs, clean) >= 0
}

const scopesPage = "../../docs/scopes.md"

// TestTheScopesPageSaysWhatHappens runs the examples of docs/scopes.md, and compares the page with them.
func TestTheScopesPageSaysWhatHappens(t *testing.T) {
	var b strings.Builder
	b.WriteString("| globs | hold for | and not for | because |\n| --- | --- | --- | --- |\n")
	code := func(list string) string {
		if list == "" {
			return "nothing"
		}
		return "`" + strings.ReplaceAll(list, " ", "` `") + "`"
	}
	for _, e := range dialect() {
		for p := range strings.FieldsSeq(e.yes) {
			if !e.holds(p) {
				t.Errorf("%s does not hold for %s", e.globs, p)
			}
		}
		for p := range strings.FieldsSeq(e.no) {
			if e.holds(p) {
				t.Errorf("%s holds for %s", e.globs, p)
			}
		}
		b.WriteString("| " + code(e.globs) + " | " + code(e.yes) + " | " + code(e.no) + " | " + e.why + " |\n")
	}
	const begin, end = "<!-- examples: written and run by the tests -->\n", "<!-- end of the examples -->\n"
	data, err := os.ReadFile(scopesPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has lost its marks", scopesPage)
	}
	if *update {
		if err := os.WriteFile(scopesPage, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != b.String() {
		t.Error("docs/scopes.md is not what the examples say: run make docs")
	}
}
