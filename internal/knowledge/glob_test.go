package knowledge

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// naiveMatch reads a glob by the published words alone: braces are written out, and what is left becomes a regular
// expression. It shares nothing with the program but the tidying of ParseGlob's input, which it does not use.
func naiveMatch(glob, p string) bool {
	glob = strings.TrimPrefix(glob, "!")
	for _, alternative := range naiveBraces(glob) {
		for strings.Contains(alternative, "//") { // an alternative of nothing between two folders
			alternative = strings.ReplaceAll(alternative, "//", "/")
		}
		for strings.HasPrefix(alternative, "./") || strings.HasPrefix(alternative, "/") {
			alternative = strings.TrimPrefix(strings.TrimPrefix(alternative, "."), "/")
		}
		if alternative == "" {
			continue
		}
		if strings.HasSuffix(alternative, "/") {
			alternative += "**"
		}
		if regexp.MustCompile("^(?s:" + naiveRegexp(strings.Split(alternative, "/")) + ")$").MatchString(p) {
			return true
		}
	}
	return false
}

func naiveBraces(p string) []string {
	open := strings.Index(p, "{")
	if open < 0 {
		return []string{p}
	}
	depth, start := 0, open+1
	var parts []string
	for i := open; i < len(p); i++ {
		switch {
		case p[i] == '{':
			depth++
		case p[i] == ',' && depth == 1:
			parts, start = append(parts, p[start:i]), i+1
		case p[i] == '}' && depth == 1:
			var all []string
			for _, part := range append(parts, p[start:i]) {
				all = append(all, naiveBraces(p[:open]+part+p[i+1:])...)
			}
			return all
		case p[i] == '}':
			depth--
		}
	}
	return nil
}

func naiveRegexp(parts []string) string {
	var b strings.Builder
	for n, part := range parts {
		last := n == len(parts)-1
		switch {
		case part == "**" && last:
			b.WriteString("(?:[^/]+/)*[^/]+")
			continue
		case part == "**":
			b.WriteString("(?:[^/]+/)*")
			continue
		}
		for i := 0; i < len(part); i++ {
			switch c := part[i]; c {
			case '*':
				b.WriteString("[^/]*")
			case '?':
				b.WriteString("[^/]")
			case '[':
				end := i + 2 + strings.Index(part[i+2:], "]")
				body := part[i+1 : end]
				if body[0] == '!' {
					body = "^/" + body[1:]
				}
				b.WriteString("[" + body + "]")
				i = end
			default:
				b.WriteString(regexp.QuoteMeta(string(c)))
			}
		}
		if !last {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// globText makes globs that hold every sign of the dialect but the backslash.
func globText() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"a", "b", "go", "x.go", "*", "**", "?", "[ab]", "[!a]", "[a-c]", "{a,b}", "{a,*.go}", "{x,{y,z}}.ts", "{,a}",
		"test_*", "*_test.go", ".env", "*.md",
	})
	part := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 1, 2).Draw(t, "part"), "")
	})
	return rapid.Custom(func(t *rapid.T) string {
		g := strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
		g = rapid.SampledFrom([]string{"", "", "", "./", "/", "**/"}).Draw(t, "lead") + g
		return g + rapid.SampledFrom([]string{"", "", "", "/", "/**"}).Draw(t, "end")
	})
}

func pathText() *rapid.Generator[string] {
	name := rapid.SampledFrom([]string{
		"a", "b", "c", "go", "x.go", "a.go", ".env", "x_test.go", "test_a", "y.ts",
		"README.md", "aa", "Ä",
	})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(name, 1, 5).Draw(t, "names"), "/")
	})
}

func TestGlobsMatchWhatTheirWordsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := globText().Draw(t, "glob")
		g, err := ParseGlob(text)
		if err != nil {
			if strings.Trim(text, "./{},") == "" {
				t.Skip("nothing in it")
			}
			t.Fatalf("%s: %v", text, err)
		}
		p := pathText().Draw(t, "path")
		if got, want := g.Match(p), naiveMatch(text, p); got != want {
			t.Errorf("%s on %s: %v, and by its words %v (%q)", text, p, got, want, g.Patterns)
		}
	})
}

func TestGlobsOfTheDialect(t *testing.T) {
	for _, c := range []struct{ glob, yes, no string }{
		{"*.go", "main.go .go", "cmd/main.go main.GO"},
		{"**/*.go", "main.go a/b/c.go", "main.ts"},
		{"src/**", "src/a src/b/.env", "src lib/src/a"},
		{"src/", "src/a src/b/c", "src"},
		{"./src/*.ts", "src/a.ts", "a.ts src/b/a.ts"},
		{"/src/*.ts", "src/a.ts", "x/src/a.ts"},
		{"**/*.{ts,tsx}", "a.ts b/c.tsx", "a.t a.js"},
		{"{src,lib}/**/*.{go,{c,h}}", "src/a.go lib/x/y.h", "src/a.d"},
		{"[a-c]*.md", "b.md", "d.md"},
		{"[!a-c]*.md", "d.md", "b.md x/d.md"},
		{"a?c", "abc aäc", "ac a/c"},
		{"**.go", "x.go", "a/x.go"},
		{"a/**/b", "a/b a/x/y/b", "a/xb"},
		{"**/.github/**", ".github/a x/.github/b/c", ".github"},
		{`\[x\]\*`, "[x]*", "x [x]a"},
		{`a\{b,c\}`, "a{b,c}", "ab"},
		{"**", "a a/b .x", ""},
		{"a//b/./c", "a/b/c", "a//b"},
		{"{a,}/x", "a/x x", "b/x"},
	} {
		g, err := ParseGlob(c.glob)
		if err != nil {
			t.Errorf("%s: %v", c.glob, err)
			continue
		}
		for p := range strings.FieldsSeq(c.yes) {
			if !g.Match(p) {
				t.Errorf("%s should match %s; it stands for %q", c.glob, p, g.Patterns)
			}
		}
		for p := range strings.FieldsSeq(c.no) {
			if g.Match(p) {
				t.Errorf("%s should not match %s; it stands for %q", c.glob, p, g.Patterns)
			}
		}
	}
}

func TestFaultyGlobsAreNamedWithTheirPlace(t *testing.T) {
	for glob, want := range map[string]string{
		"":                           "empty",
		"!":                          "empty",
		"./":                         "empty",
		"src/[a-":                    "character 5: [ is never closed",
		"src/{a,b":                   "character 5: { is never closed",
		"a}":                         "character 2: } closes no {",
		"ä[]x":                       "character 2: [] holds nothing",
		"[a/b]":                      "can't hold a /",
		`a\`:                         "backslash with nothing behind it",
		"../x":                       "leads out of the repository",
		strings.Repeat("{a,b}", 9):   "more than 256 patterns",
		strings.Repeat("{a}", 300):   "",
		strings.Repeat("{a,b", 200):  "never closed",
		strings.Repeat("a", MaxGlob): "",
		strings.Repeat("a", 1025):    "at most 1024",
	} {
		_, err := ParseGlob(glob)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.20s: %v", glob, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.20s: %v, want %q", glob, err, want)
		}
	}
	r := &Rule{RuleID: "A", Category: "c", Title: "t", Description: "d", IsActive: true}
	r.Scope.Globs = []string{"ok/**", "bad/[a"}
	r.Normalize()
	want := &InvalidError{Faults: []Fault{{
		"/scope/globs/1",
		`"bad/[a": character 5: [ is never closed; write \[ for a bracket itself`,
	}}}
	if diff := cmp.Diff(want, r.Validate()); diff != "" {
		t.Errorf("a document with a faulty glob (-want +got):\n%s", diff)
	}
}

func TestPathsAreCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"cmd/main.go": "cmd/main.go", "./a": "a", "/a/b": "a/b", "a//b": "a/b", "a/../b": "b", ".env": ".env",
		"a b/ü": "a b/ü",
		"":      "!", ".": "!", "/": "!", "a/": "!", "../a": "!", "a/../..": "!", "a\x00": "!", "a\xff": "!",
		strings.Repeat("a", MaxPath+1): "!",
	} {
		got, err := CleanPath(text)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%.20q is %.20q (%v), want %q", text, got, err, want)
		}
	}
}

func TestAnEscapedPathMatchesItselfAlone(t *testing.T) {
	for _, p := range []string{"app/[id]/page.tsx", "a*b?", "{x,y}", "!a", "!", "plain/x.go"} {
		g, err := ParseGlob(EscapeGlob(p))
		if err != nil || g.Exclude || !g.Match(p) || len(g.Patterns) != 1 {
			t.Errorf("%s is escaped as %s, which stands for %q, excluding %v (%v)", p, EscapeGlob(p), g.Patterns,
				g.Exclude, err)
		}
		if g.Match("app/i/page.tsx") || g.Match("axby") || g.Match("x") || g.Match("a") {
			t.Errorf("%s, which %s is escaped as, matches more", EscapeGlob(p), p)
		}
	}
}

func FuzzGlobs(f *testing.F) {
	for _, s := range []string{
		"**/*.go", "{a,b}/[!c]*", `\{x\}`, "!a/", "a/**/**/b", "[]]", "{{{",
		strings.Repeat("**/", 40) + "x",
	} {
		f.Add(s, "cmd/main.go")
	}
	f.Fuzz(func(t *testing.T, text, p string) {
		g, err := ParseGlob(text)
		if err != nil {
			return
		}
		clean, err := CleanPath(p)
		if err != nil {
			return
		}
		got := g.Match(clean)
		again, err := ParseGlob(text)
		if err != nil || again.Match(clean) != got {
			t.Errorf("%q on %q: two answers (%v)", text, clean, err)
		}
		// what is stored is the glob's own form: it reads the same when it is read again
		for _, pattern := range g.Patterns {
			once, err := ParseGlob("./" + pattern)
			if err != nil || once.Match(clean) != MatchPattern(pattern, clean) {
				t.Errorf("%q became %q, which matches %q otherwise (%v)", text, pattern, clean, err)
			}
		}
	})
}
