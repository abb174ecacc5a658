package treesync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

func always() knowledge.Scope { return knowledge.Scope{Activation: "always"} }

// states returns the files that differ, and how.
func states(p *Plan) []string {
	var list []string
	for _, s := range p.Drift() {
		list = append(list, s.Path+" "+s.State)
	}
	return list
}

// TestADocumentThatQuotesOurMarksIsWrittenOnce has a document about this program: what it quotes is text, and neither
// begins nor ends anything.
func TestADocumentThatQuotesOurMarksIsWrittenOnce(t *testing.T) {
	r := rule("MARKS-1", "mandatory", always())
	r.Title = "What " + beginMark + "means"
	r.Description = "Sync writes `" + beginMark + "0123456789abcdef -->` and\n\n" + endMark + "\n\ninto files."
	tree, b := treeAt(t), bundleOf(t, r)
	if err := tree.Write("AGENTS.md", []byte("# By hand\n"), 0); err != nil {
		t.Fatal(err)
	}
	targets := []string{"codex", "cursor", "claude"}
	if err := sync(t, tree, b, Options{Adopt: true}, targets...); err != nil {
		t.Fatal(err)
	}
	again, err := Make(tree, b, targets, Options{})
	if err != nil || len(again.Drift()) > 0 {
		t.Errorf("%v: %v", err, states(again))
	}
	if p, err := FromLock(tree); err != nil || len(p.Drift()) > 0 {
		t.Errorf("%v: the lock says %v", err, states(p))
	}
	if err := sync(t, tree, bundleOf(t), Options{}, targets...); err != nil {
		t.Fatal(err)
	}
	if left := files(t, tree.Dir()); left["AGENTS.md"] != "# By hand\n" || len(left) != 2 {
		t.Errorf("taken out again, %v is left", left)
	}
}

// TestWhatOthersWroteCountsForTheLimitOfAFile has a shared file that its owner has filled up to the last kilobyte.
func TestWhatOthersWroteCountsForTheLimitOfAFile(t *testing.T) {
	r := rule("BIG-1", "mandatory", always())
	r.Description = strings.Repeat("word ", 400)
	small := rule("SMALL-1", "recommended", always())
	for _, by := range []int{0, 31 << 10} {
		tree := treeAt(t)
		if err := tree.Write("AGENTS.md", []byte(strings.Repeat("x", by)), 0); err != nil {
			t.Fatal(err)
		}
		if err := sync(t, tree, bundleOf(t, r, small), Options{Adopt: true}, "codex"); err != nil {
			t.Fatal(err)
		}
		got := files(t, tree.Dir())
		if n := len(got["AGENTS.md"]); n > 32<<10 {
			t.Errorf("beside %d bytes of others the file has %d", by, n)
		}
		if !strings.Contains(got["AGENTS.md"], "SMALL-1") {
			t.Errorf("beside %d bytes of others what fits is not there", by)
		}
		in := strings.Contains(got["AGENTS.md"], "BIG-1")
		if skill := got[".agents/skills/tenet-big-1/SKILL.md"] != ""; in != (by == 0) || skill == in {
			t.Errorf("beside %d bytes of others: in the file %v, as a skill %v", by, in, skill)
		}
	}
}

func TestWhatReviewsDoNotReadIsSaid(t *testing.T) {
	long, short := rule("LONG-1", "mandatory", always()), rule("SHORT-1", "mandatory", always())
	long.Description = strings.Repeat("word ", 900)
	p, err := Make(treeAt(t), bundleOf(t, long, short), []string{"copilot", "cursor"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Cut) != 1 || p.Cut[0].Document != "rule/LONG-1" || p.Cut[0].Target != "copilot" ||
		!strings.Contains(p.Cut[0].Why, "first 4000 of 4") {
		t.Errorf("%+v", p.Cut)
	}
}

// TestABlockIsFoundWithoutTheLock takes a target away when the lock is lost, as after a merge.
func TestABlockIsFoundWithoutTheLock(t *testing.T) {
	tree := treeAt(t)
	about := "A text about " + beginMark + "\n"
	for name, text := range map[string]string{"AGENTS.md": "# By hand\n", "GEMINI.md": about} {
		if err := tree.Write(name, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	b := bundleOf(t, some()...)
	if err := sync(t, tree, b, Options{Adopt: true}, "codex"); err != nil {
		t.Fatal(err)
	}
	if err := tree.Remove(LockFile); err != nil {
		t.Fatal(err)
	}
	if err := sync(t, tree, b, Options{}, "cursor"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, tree.Dir()); got["AGENTS.md"] != "# By hand\n" || got["GEMINI.md"] != about {
		t.Errorf("AGENTS.md is %q, and GEMINI.md %q", got["AGENTS.md"], got["GEMINI.md"])
	}
}

// TestWhatIsWrittenMeanwhileIsNotOverwritten edits files after sync has looked at them.
func TestWhatIsWrittenMeanwhileIsNotOverwritten(t *testing.T) {
	tree := treeAt(t)
	targets := []string{"codex", "cursor", "zed"}
	if err := sync(t, tree, bundleOf(t, some()...), Options{}, targets...); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AGENTS.md", ".cursor/rules/tenet-ALWAYS-1.mdc", ".cursor/rules/tenet-GO-1.mdc"} {
		changed := rule("ALWAYS-1", "mandatory", always())
		changed.Description = "Something else."
		p, err := Make(tree, bundleOf(t, changed), targets, Options{Overwrite: true})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(tree.Dir(), filepath.FromSlash(name))
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		edited := string(was) + "by hand\n"
		if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(p.Drift(), func(s Step) bool { return s.Path == name }); i < 0 {
			t.Fatalf("%s was to stay as it is", name)
		}
		if err := p.Apply(); err == nil || !strings.Contains(err.Error(), name+" was changed while sync was at work") {
			t.Errorf("%s: %v", name, err)
		}
		if got := files(t, tree.Dir())[name]; got != edited {
			t.Errorf("%s: %q was overwritten by %q", name, edited, got)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sync(t, tree, bundleOf(t, some()...), Options{}, targets...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnotherAddressOfTheServerIsNoDrift has the address that CI knows the server by.
func TestAnotherAddressOfTheServerIsNoDrift(t *testing.T) {
	tree, b := treeAt(t), bundleOf(t, some()...)
	b.Server = "https://tenet.example.org"
	if err := sync(t, tree, b, Options{}, "claude"); err != nil {
		t.Fatal(err)
	}
	before := files(t, tree.Dir())
	b.Server, b.Seq = "http://tenet:8420", 8
	if p, err := Make(tree, b, []string{"claude"}, Options{}); err != nil || len(p.Drift()) > 0 {
		t.Errorf("%v: %v", err, states(p))
	}
	if err := sync(t, tree, b, Options{}, "claude"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, files(t, tree.Dir())); diff != "" {
		t.Errorf("something was written: %s", diff)
	}
}
