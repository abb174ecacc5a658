package interchange

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tenet/internal/needs"
)

func skippedIn(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, it := range readItems(t, files) {
		if it.Skipped != "" {
			out[path] = it.Skipped
		}
	}
	return out
}

func TestWhatIsNotTheTeamsOwnIsPassedOver(t *testing.T) {
	files := map[string]string{
		".gitignore": "# ours\n/notes/\n*.tmp.md\n!keep.tmp.md\nweb/out.md\n", "CLAUDE.md": "# Team\n\nx\n",
		"CLAUDE.local.md": "# Mine\n\nx\n",
		"AGENTS.local.md": "# Mine\n\nx\n", ".cursor/rules/mine.local.mdc": "x\n", "notes/a.md": "# A\n\nx\n",
		"b.tmp.md":    "# B\n\nx\n",
		"keep.tmp.md": "# Keep\n\nx\n", "web/.gitignore": "gen.md\n", "web/gen.md": "# G\n\nx\n",
		"gen.md": "# G\n\nx\n", "web/out.md": "# O\n\nx\n",
		"vendor/dep/AGENTS.md": "x\n", "pkg/third_party/x/CLAUDE.md": "x\n", "node_modules/a/README.md": "x\n",
		"web/dist/AGENTS.md":     "x\n",
		"pkg/testdata/AGENTS.md": "x\n", "web/__fixtures__/CLAUDE.md": "x\n", "tests/how.md": "# How\n\nx\n",
		".venv/README.md": "x\n", "web/package.json": "{}", "web/build/AGENTS.md": "x\n",
		"handbook/build/how.md": "# How\n\nx\n",
		".gitattributes":        "api/** linguist-generated\nlib/x.md linguist-vendored=true\n",
		"api/ref.md":            "# Ref\n\nx\n",
		"lib/x.md":              "# X\n\nx\n",
		".worktrees/b/.git":     "gitdir: /team/.git/worktrees/b\n", ".worktrees/b/CLAUDE.md": "# Team\n\nx\n",
		".git/HEAD": "ref: refs/heads/main\n", "sub/.git/HEAD": "ref: refs/heads/main\n", "sub/AGENTS.md": "x\n",
	}
	skipped := skippedIn(t, files)
	for _, path := range []string{
		"CLAUDE.local.md", "AGENTS.local.md", ".cursor/rules/mine.local.mdc", "notes/", "b.tmp.md", "web/gen.md",
		"web/out.md", "vendor/",
		"pkg/third_party/", "node_modules/", "web/dist/", ".venv/", "web/build/", "api/ref.md", "lib/x.md",
		".worktrees/b/", "sub/", "pkg/testdata/", "web/__fixtures__/",
	} {
		if skipped[path] == "" {
			t.Errorf("%s is read, want it passed over with a reason", path)
		}
		delete(skipped, path)
	}
	for _, path := range []string{"CLAUDE.md", "keep.tmp.md", "gen.md", "handbook/build/how.md", "tests/how.md"} {
		if why := skipped[path]; why != "" {
			t.Errorf("%s is passed over: %s", path, why)
		}
	}
	// The same from an archive of the working copy.
	dir := named(t, "team")
	write(t, dir, files)
	packed := filepath.Join(t.TempDir(), "team.tar")
	if out, err := exec.Command("tar", "cf", packed, "-C", filepath.Dir(dir), "team").CombinedOutput(); err != nil {
		needs.Missing(t, "no tar: %v %s", err, out)
	}
	s, err := Open(packed, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var read []string
	for it := range s.Items() {
		if len(it.Entries) > 0 {
			read = append(read, it.Path)
		}
	}
	if want := []string{"CLAUDE.md", "gen.md", "handbook/build/how.md", "keep.tmp.md", "tests/how.md"}; !slices.Equal(read, want) {
		t.Errorf("the archive gives %v, want %v", read, want)
	}
}

func TestAFileThatIsNamedIsRead(t *testing.T) {
	dir := named(t, "team")
	write(t, dir, map[string]string{
		".gitignore": "*.md\n", "CLAUDE.local.md": "# Mine\n\nx\n",
		"vendor/dep/AGENTS.md": "# Dep\n\nx\n",
	})
	for _, path := range []string{"CLAUDE.local.md", "vendor/dep/AGENTS.md"} {
		s, err := Open(filepath.Join(dir, path), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for it := range s.Items() {
			if it.Err != nil || it.Skipped != "" {
				t.Errorf("%s is refused (%v) or passed over (%q)", path, it.Err, it.Skipped)
			}
		}
		_ = s.Close()
	}
}

func TestAPartOfAWorkTreePassesOverWhatItsTopNames(t *testing.T) {
	dir := named(t, "team")
	write(t, dir, map[string]string{
		".git/info/exclude": "secret.md\n", ".gitignore": "web/docs/old.md\n",
		"web/docs/old.md": "x\n", "web/docs/new.md": "x\n", "web/docs/secret.md": "x\n",
	})
	s, err := Open(filepath.Join(dir, "web", "docs"), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var read []string
	for it := range s.Items() {
		if it.Skipped == "" {
			read = append(read, filepath.Base(it.Path))
		}
	}
	if !slices.Equal(read, []string{"new.md"}) {
		t.Errorf("read are %v, want new.md alone", read)
	}
}

// starsStandAlone reports whether two stars in a row have slashes around them. Elsewhere git's documents say that they
// are as one, and some versions of git read them otherwise now and then.
func starsStandAlone(line string) bool {
	for i := 0; i+1 < len(line); i++ {
		if line[i:i+2] != "**" {
			continue
		}
		if i > 0 && line[i-1] != '/' || i+2 < len(line) && line[i+2] != '/' {
			return false
		}
	}
	return true
}

// git itself says which paths a pattern names.
func TestPatternsAreReadAsGitReadsThem(t *testing.T) {
	needs.Program(t, "git", "Debian: apt-get install git")
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v %s", err, out)
	}
	paths := []string{
		"a", "ab", "b.md", "a.md", "d/a.md", "d/b.md", "d/e/a.md", "d/e/f/b.md", "x/d/a.md", "x/a",
		"!a.md", "#a.md", "a b.md", "a]", "[x", `a\b`,
	}
	if err := os.WriteFile(filepath.Join(dir, "paths"), []byte(strings.Join(paths, "\x00")+"\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	part := rapid.SampledFrom([]string{
		"a", "b", "d", "e", "*", "**", "?", "/", ".md", "[ab]", "[!a]", "!", "#", " ", "\\", "x", "**/", "/**", "f",
		"[", "]", "[a-c]", "\\!", "[]x]",
	})
	rapid.Check(t, func(rt *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
			return strings.Join(rapid.SliceOfN(part, 0, 5).Draw(rt, "parts"), "")
		}).Filter(starsStandAlone), 1, 4).Draw(rt, "lines")
		text := strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(text), 0o600); err != nil {
			rt.Fatal(err)
		}
		in, err := os.Open(filepath.Join(dir, "paths"))
		if err != nil {
			rt.Fatal(err)
		}
		defer in.Close()
		cmd := exec.Command("git", "-C", dir, "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z",
			"--stdin")
		cmd.Stdin = in
		var out bytes.Buffer
		cmd.Stdout = &out
		_ = cmd.Run() // its status says whether there were any
		theirs := map[string]bool{}
		for p := range strings.SplitSeq(out.String(), "\x00") {
			theirs[p] = true
		}
		g := newIgnorer()
		g.add("", ".gitignore", []byte(text))
		for _, p := range paths {
			if ours := ignoredWhole(g, p); ours != theirs[p] {
				rt.Fatalf("%q names %q: ours %v, git's %v", text, p, ours, theirs[p])
			}
		}
	})
}

// ignoredWhole asks for the folders above a file first, as a walk does.
func ignoredWhole(g *ignorer, p string) bool {
	for i, c := range p {
		if c == '/' && g.reason(p[:i], true) != "" {
			return true
		}
	}
	return g.reason(p, false) != ""
}

func FuzzIgnoreFiles(f *testing.F) {
	f.Add("a/\n!b\n**/c[!x]\\ \n", "d/c")
	f.Fuzz(func(t *testing.T, text, p string) {
		g := newIgnorer()
		g.add("", ".gitignore", []byte(text))
		g.add("d", ".gitattributes", []byte(text))
		_ = g.reason(p, true)
		_ = g.reason(p, false)
	})
}
