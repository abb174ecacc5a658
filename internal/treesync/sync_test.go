package treesync

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/bundle"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/worktree"
)

func rule(id, enforcement string, scope knowledge.Scope) *knowledge.Rule {
	r := &knowledge.Rule{
		RuleID: id, Category: "c", Title: "Title: of " + id, Description: "What " + id + " asks for.",
		Enforcement: enforcement, IsActive: true,
		Common: knowledge.Common{Scope: scope},
	}
	r.Version = 3
	r.Normalize()
	return r
}

func bundleOf(t testing.TB, docs ...knowledge.Document) *bundle.Bundle {
	t.Helper()
	b := &bundle.Bundle{Format: 1, Seq: 7, Documents: []bundle.Entry{}}
	for _, d := range docs {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		b.Documents = append(b.Documents, bundle.Entry{Kind: d.Key().Kind, Document: text})
	}
	return b
}

func some() []knowledge.Document {
	return []knowledge.Document{
		rule("ALWAYS-1", "mandatory", knowledge.Scope{Activation: "always"}),
		rule("GO-1", "recommended", knowledge.Scope{Activation: "glob", Globs: []string{"**/*.go", "web/{a,b}/**"}}),
		rule("ROOT-1", "recommended", knowledge.Scope{Activation: "glob", Globs: []string{"*.md"}}),
		rule("NOT-1", "recommended", knowledge.Scope{Activation: "glob", Globs: []string{"**/*.ts", "!gen/**"}}),
		rule("MODEL-1", "optional", knowledge.Scope{Activation: "model"}),
		rule("HAND-1", "optional", knowledge.Scope{Activation: "manual"}),
		rule("CLAUDE-1", "optional", knowledge.Scope{Activation: "always", Targets: []string{"claude"}}),
	}
}

func treeAt(t testing.TB) *worktree.Tree {
	t.Helper()
	tree, err := worktree.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func sync(t testing.TB, tree *worktree.Tree, b *bundle.Bundle, o Options, targets ...string) error {
	t.Helper()
	p, err := Make(tree, b, targets, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Apply()
}

// files returns every file of a tree.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWhatIsWrittenMeansWhatTheDocumentsSay reads every file back with the reader of its format: it holds where its
// document does and nowhere else, and what a form can't say is left out with the reason.
func TestWhatIsWrittenMeansWhatTheDocumentsSay(t *testing.T) {
	docs := some()
	byID := map[string]*knowledge.Rule{}
	for _, d := range docs {
		byID[strings.ToLower(d.Key().ID)] = d.(*knowledge.Rule)
	}
	for _, target := range Targets() {
		x, err := Expect(docs, []string{target}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, p := range x.Parts {
			if p.Mode == modeBlock {
				continue
			}
			tree, err := worktree.At(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.Write(p.Path, []byte(anonymous(p.text)), 0); err != nil {
				t.Fatal(err)
			}
		}
		src, err := interchange.Open(dir, interchange.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for item := range src.Items() {
			if len(item.Entries) != 1 || item.Entries[0].Doc == nil {
				t.Errorf("%s: %s can't be read: %v %v %s", target, item.Path, item.Err, item.Entries, item.Skipped)
				continue
			}
			e := item.Entries[0]
			e.Place = item.Path
			read++
			scope := scopeOf(e.Doc)
			id := ""
			for known := range byID {
				if strings.Contains(strings.ToLower(e.Place), "tenet-"+known+".") ||
					strings.Contains(strings.ToLower(e.Place), "tenet-"+known+"/") {
					id = known
				}
			}
			if id == "" {
				t.Errorf("%s: whose is %s?", target, e.Place)
				continue
			}
			want := byID[id].Scope
			switch {
			case strings.HasSuffix(e.Place, "SKILL.md"): // the model decides, which is narrower
			// the same in other words
			case want.Activation == "always" && scope.Activation == "glob" && slices.Equal(scope.Globs, []string{"**"}):
			case scope.Activation != want.Activation:
				t.Errorf("%s: %s is %s, and its document %s", target, e.Place, scope.Activation, want.Activation)
			case want.Activation == "glob":
				for _, probe := range []string{
					"a.go", "x/y.go", "web/a/x", "web/c/x", "a.md", "x/a.md", "gen/a.ts",
					"a.ts",
				} {
					if holds(scope.Globs, probe) != holds(want.Globs, probe) {
						t.Errorf("%s: %s: %v says %v of %s, and its document %v", target, e.Place, scope.Globs,
							holds(scope.Globs, probe), probe, want.Globs)
					}
				}
			}
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		blocks := 0
		for _, p := range x.Parts {
			if p.Mode == modeBlock {
				blocks++
				if len(p.Documents) > 2 {
					t.Errorf("%s: a file that always holds has %v", target, p.Documents)
				}
			}
		}
		if read != len(x.Parts)-blocks {
			t.Errorf("%s: %d of %d files were read", target, read, len(x.Parts))
		}
		for _, o := range x.LeftOut {
			if o.Why == "" {
				t.Errorf("%s: %s is left out without a word", target, o.Document)
			}
		}
	}
}

func scopeOf(d knowledge.Document) knowledge.Scope {
	switch d := d.(type) {
	case *knowledge.Rule:
		return d.Scope
	case *knowledge.Practice:
		return d.Scope
	}
	return knowledge.Scope{}
}

func holds(globs []string, path string) bool {
	in := false
	for _, text := range globs {
		g, err := knowledge.ParseGlob(text)
		if err == nil && g.Match(path) {
			if g.Exclude {
				return false
			}
			in = true
		}
	}
	return in
}

// TestSyncKeepsEverythingElse holds for trees with any hand-written parts: sync changes no byte outside of its own,
// twice is once, it does what the look before has said, and it takes itself out without a trace.
func TestSyncKeepsEverythingElse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "sync-*") //nolint:usetesting // one for each draw, gone after it
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		tree, err := worktree.At(dir)
		if err != nil {
			rt.Fatal(err)
		}
		hand := map[string]string{}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab \n\té#-")), 0, 40, -1)
		for _, name := range []string{
			"AGENTS.md", "README.md", ".cursor/rules/mine.mdc",
			".claude/rules/tenet-mine.md", "GEMINI.md",
		} {
			if rapid.Bool().Draw(rt, name) {
				hand[name] = text.Draw(rt, "text of "+name) +
					strings.Repeat("\n", rapid.IntRange(0, 3).Draw(rt, "blank lines"))
				if rapid.Bool().Draw(rt, "crlf") {
					hand[name] = strings.ReplaceAll(hand[name], "\n", "\r\n")
				}
				if err := tree.Write(name, []byte(hand[name]), 0); err != nil {
					rt.Fatal(err)
				}
			}
		}
		all := Targets()
		targets := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 2, rapid.ID[string]).Draw(rt, "targets")
		docs := some()
		docs = docs[:rapid.IntRange(0, len(docs)).Draw(rt, "documents")]
		b := bundleOf(t, docs...)
		p, err := Make(tree, b, targets, Options{Adopt: true})
		if err != nil {
			rt.Fatal(err)
		}
		said := map[string]bool{}
		for _, s := range p.Drift() {
			said[s.Path] = true
		}
		before := files(t, dir)
		if err := p.Apply(); err != nil {
			rt.Fatal(err)
		}
		after := files(t, dir)
		for name := range after {
			if (before[name] != after[name]) != said[name] {
				rt.Errorf("%s: changed %v, and the look before said %v", name, before[name] != after[name], said[name])
			}
		}
		for name, text := range hand {
			if !strings.HasPrefix(after[name], text) {
				rt.Errorf("%s: %q has become %q", name, text, after[name])
			}
		}
		again, err := Make(tree, b, targets, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		if drift := again.Drift(); len(drift) > 0 {
			rt.Errorf("twice is not once: %+v", drift[0])
		}
		behind := map[string]string{} // what is written behind our block, where there is one
		for name := range hand {
			path := filepath.Join(dir, filepath.FromSlash(name))
			mode := rapid.SampledFrom([]fs.FileMode{0o600, 0o644, 0o755}).Draw(rt, "mode")
			if err := os.Chmod(path, mode); err != nil {
				rt.Fatal(err)
			}
			if strings.Contains(after[name], endMark) && rapid.Bool().Draw(rt, "more in "+name) {
				behind[name] = text.Draw(rt, "more") + "."
				if err := os.WriteFile(path, []byte(after[name]+behind[name]), mode); err != nil {
					rt.Fatal(err)
				}
			}
		}
		modes := modesOf(t, dir, hand)
		docs = some()
		docs = docs[rapid.IntRange(0, len(docs)).Draw(rt, "others"):]
		for _, docs := range [][]knowledge.Document{docs, nil} { // others, and then none at all
			if err := sync(t, tree, bundleOf(t, docs...), Options{Adopt: len(docs) > 0}, targets...); err != nil {
				rt.Fatal(err)
			}
			for name, text := range files(t, dir) {
				if !strings.HasPrefix(text, hand[name]) || !strings.HasSuffix(text, behind[name]) {
					rt.Errorf("%s: %q and %q have become %q", name, hand[name], behind[name], text)
				}
			}
			if diff := cmp.Diff(modes, modesOf(t, dir, hand)); diff != "" {
				rt.Errorf("the modes of hand-written files: %s", diff)
			}
		}
		left := files(t, dir)
		delete(left, LockFile)
		for name, text := range left {
			if !strings.HasPrefix(text, hand[name]) || !strings.HasSuffix(text, behind[name]) ||
				strings.Contains(text, "tenet:") ||
				strings.Trim(strings.TrimSuffix(strings.TrimPrefix(text, hand[name]), behind[name]), "\r\n") != "" ||
				behind[name] == "" && strings.HasSuffix(hand[name], "\n") && text != hand[name] {
				rt.Errorf("%s: %q is left of %q and %q", name, text, hand[name], behind[name])
			}
		}
		for name, text := range hand {
			if _, there := left[name]; text != "" && !there {
				rt.Errorf("%s is gone", name)
			}
		}
	})
}

// modesOf returns the modes of the files that are named.
func modesOf(t testing.TB, dir string, names map[string]string) map[string]fs.FileMode {
	t.Helper()
	modes := map[string]fs.FileMode{}
	for name, text := range names {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil && text != "" {
			t.Fatal(err)
		}
		if err == nil && text != "" { // an empty file goes with our block
			modes[name] = info.Mode()
		}
	}
	return modes
}

func TestWhatSomebodyElseWroteIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		path, text, state string
	}{
		"a file without a block": {"AGENTS.md", "mine\n", Unmanaged},
		"a file of our name":     {".cursor/rules/tenet-ALWAYS-1.mdc", "mine\n", Unmanaged},
		"two blocks": {"AGENTS.md", beginMark + "0 -->\n" + endMark + "\n" + beginMark + "0 -->\n" +
			endMark, Broken},
		"a block without an end":  {"AGENTS.md", beginMark + "0 -->\n", Broken},
		"an end without a block":  {"AGENTS.md", endMark, Broken},
		"an end before its begin": {"AGENTS.md", endMark + beginMark + "0 -->", Broken},
		"a block edited by hand":  {"AGENTS.md", beginMark + "0123456789abcdef x -->\nchanged\n" + endMark, Edited},
	} {
		tree := treeAt(t)
		if err := tree.Write(c.path, []byte(c.text), 0); err != nil {
			t.Fatal(err)
		}
		p, err := Make(tree, bundleOf(t, some()...), []string{"codex", "cursor"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Path == c.path })
		if i < 0 || p.Steps[i].State != c.state {
			t.Errorf("%s: %+v, want %s", name, p.Steps, c.state)
		}
		if err := p.Apply(); err == nil || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v", name, err)
		}
		if got := files(t, tree.Dir()); len(got) != 1 || got[c.path] != c.text {
			t.Errorf("%s: something was written: %v", name, slices.Collect(maps.Keys(got)))
		}
	}
}

func TestALinkIsNotFollowed(t *testing.T) {
	tree, elsewhere := treeAt(t), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(tree.Dir(), ".cursor")); err != nil {
		t.Fatal(err)
	}
	if err := sync(t, tree, bundleOf(t, some()...), Options{Adopt: true, Overwrite: true}, "cursor"); err == nil ||
		!strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("sync: %v", err)
	}
	if left := files(t, elsewhere); len(left) > 0 {
		t.Errorf("written elsewhere: %v", left)
	}
}

// TestARunThatWasKilledIsMended stops a run after each number of writes.
func TestARunThatWasKilledIsMended(t *testing.T) {
	targets := []string{"claude", "codex", "cursor"}
	whole := treeAt(t)
	if err := sync(t, whole, bundleOf(t, some()...), Options{}, targets...); err != nil {
		t.Fatal(err)
	}
	want := files(t, whole.Dir())
	for n := 0; ; n++ {
		tree := treeAt(t)
		if err := sync(t, tree, bundleOf(t, rule("OLD-1", "mandatory", knowledge.Scope{Activation: "always"})),
			Options{}, targets...); err != nil {
			t.Fatal(err)
		}
		p, err := Make(tree, bundleOf(t, some()...), targets, Options{})
		if err != nil {
			t.Fatal(err)
		}
		steps := p.Drift()
		if n > len(steps) {
			break
		}
		slices.SortStableFunc(steps, func(a, b Step) int { // the lock comes last
			return boolInt(a.Path == LockFile) - boolInt(b.Path == LockFile)
		})
		for i := range steps[:n] {
			if err := p.do(&steps[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := sync(t, tree, bundleOf(t, some()...), Options{}, targets...); err != nil {
			t.Fatalf("after %d writes: %v", n, err)
		}
		if diff := cmp.Diff(want, files(t, tree.Dir())); diff != "" {
			t.Fatalf("after %d writes: %s", n, diff)
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestLimitsAreKept(t *testing.T) {
	var docs []knowledge.Document
	for i := range 60 {
		r := rule(fmt.Sprintf("BIG-%d", i), "recommended", knowledge.Scope{Activation: "always"})
		if i == 59 {
			r.Enforcement = "mandatory"
		}
		r.Description = strings.Repeat("word ", 200)
		docs = append(docs, r)
	}
	x, err := Expect(docs, []string{"codex"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range x.Parts {
		if p.Mode == modeBlock && (len(p.text) > 32<<10 || !strings.Contains(p.Documents[0], "BIG-59")) {
			t.Errorf("%d bytes, first %s", len(p.text), p.Documents[0])
		}
	}
}
