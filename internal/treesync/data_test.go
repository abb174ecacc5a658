package treesync

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tenet/internal/guidance"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/worktree"
)

// imported reads the rules and practices of an archive of third-party texts; the test is skipped where they are not
// installed.
func imported(t *testing.T, name string) []knowledge.Document {
	t.Helper()
	dir := os.Getenv("TENET_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	src, err := interchange.Open(filepath.Join(dir, name+".tar.gz"), interchange.ReadOptions{})
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no third-party texts in %s: set TENET_TEST_DATA to the folder that holds them", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	docs := map[string]knowledge.Document{}
	for item := range src.Items() {
		for _, e := range item.Entries {
			switch d := e.Doc.(type) {
			case *knowledge.Rule, *knowledge.Practice:
				d.SetActive(true)
				d.Normalize()
				docs[strings.ToLower(d.Key().String())] = d
			}
		}
	}
	if len(docs) == 0 {
		t.Fatal("nothing was read")
	}
	var list []knowledge.Document
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		list = append(list, docs[name])
	}
	return list
}

// TestRealTextsAreWrittenAndReadAgain writes what people wrote for their assistants for every assistant, and reads it
// back: the body is whole, and it holds where it did; what a form can't say is left out, with the reason.
func TestRealTextsAreWrittenAndReadAgain(t *testing.T) {
	for _, name := range []string{"assistant-files", "awesome-copilot", "awesome-cursorrules"} {
		t.Run(name, func(t *testing.T) {
			docs := imported(t, name)
			for _, target := range Targets() {
				x, err := Expect(docs, []string{target}, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				written := againFor(t, target, x, docs)
				for _, o := range x.LeftOut {
					if o.Why == "" || written[o.Document] {
						t.Errorf("%s: %s is left out and written, or left out without a word: %q", target, o.Document,
							o.Why)
					}
					written[o.Document] = true
				}
				for _, d := range docs {
					text, ok := new(Expected).textOf(d)
					meant := ok && (len(text.Scope.Targets) == 0 || slices.Contains(text.Scope.Targets, target))
					if meant && !written[d.Key().String()] {
						t.Errorf("%s: %s is neither written nor left out", target, d.Key())
					}
				}
			}
		})
	}
}

// anonymous returns a text that sync writes without its mark: an import passes over what tenet wrote, and other
// programs read it.
func anonymous(text string) string { return strings.Replace(text, beginMark, "<!-- somebody ", 1) }

// againFor writes what is expected of one assistant and reads it back. It returns what was written.
func againFor(t *testing.T, target string, x *Expected, docs []knowledge.Document) map[string]bool {
	t.Helper()
	byKey := map[string]knowledge.Document{}
	for _, d := range docs {
		byKey[d.Key().String()] = d
	}
	tree, err := worktree.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	written, at := map[string]bool{}, map[string]knowledge.Document{}
	for _, p := range x.Parts {
		for _, id := range p.Documents {
			key, _, _ := strings.Cut(id, "@")
			written[key] = true
			if body := strings.TrimSpace(guidance.Text(byKey[key])); !strings.Contains(p.text, body) {
				t.Errorf("%s: %s does not hold the whole of %s", target, p.Path, key)
			}
			if p.Mode == modeBlock {
				if scope := scopeOf(byKey[key]); scope.Activation != "always" {
					t.Errorf("%s: %s always holds, and %s does not", target, p.Path, key)
				}
				continue
			}
			at[p.Path] = byKey[key]
		}
		if p.Mode == modeOwn {
			if err := tree.Write(p.Path, []byte(anonymous(p.text)), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(at) == 0 {
		return written
	}
	src, err := interchange.Open(tree.Dir(), interchange.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for item := range src.Items() {
		d := at[item.Path]
		if d == nil || len(item.Entries) != 1 || item.Entries[0].Doc == nil {
			t.Errorf("%s: %s can't be read: %v %v", target, item.Path, item.Err, item.Skipped)
			continue
		}
		delete(at, item.Path)
		got, want := scopeOf(item.Entries[0].Doc), scopeOf(d)
		switch {
		case strings.HasSuffix(item.Path, "SKILL.md"): // the model decides, which is narrower
		// the same in other words
		case want.Activation == "always" && got.Activation == "glob" && slices.Equal(got.Globs, []string{"**"}):
		// its globs are what the form can say
		case len(want.Globs) > 0 && want.Activation == "model" && got.Activation == "glob":
		case got.Activation != want.Activation:
			t.Errorf("%s: %s is %s, and %s %s", target, item.Path, got.Activation, d.Key(), want.Activation)
		}
		for _, probe := range probes(want.Globs) {
			if want.Activation != "always" && len(got.Globs) > 0 && len(want.Globs) > 0 && holds(got.Globs, probe) &&
				!holds(want.Globs, probe) {
				t.Errorf("%s: %s holds for %s by %v, and %s by %v does not", target, item.Path, probe, got.Globs,
					d.Key(), want.Globs)
			}
			if got.Activation == "glob" && want.Activation == "glob" && len(want.Globs) > 0 &&
				holds(got.Globs, probe) != holds(want.Globs, probe) {
				t.Errorf("%s: %s says %v of %s, and %s otherwise: %v and %v", target, item.Path,
					holds(got.Globs, probe), probe, d.Key(), got.Globs, want.Globs)
			}
		}
	}
	for path := range at {
		t.Errorf("%s: %s was not read", target, path)
	}
	return written
}

// probes are paths that tell patterns apart: of their own kind at several depths, and of others.
func probes(globs []string) []string {
	list := []string{"a.go", "x/a.ts", "README.md", "src/deep/er/a.test.tsx", "docs/a.md"}
	for _, g := range globs {
		plain := strings.NewReplacer("!", "", "**", "x/y", "*", "a", "{", "", "}", "").Replace(g)
		for part := range strings.SplitSeq(plain, ",") {
			if part = strings.Trim(part, "/"); part != "" {
				list = append(list, part, "deep/"+part)
			}
		}
	}
	return list
}
