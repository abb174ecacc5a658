package bundle_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
)

// anyRule returns a rule that holds for some files or none, with a check of its own files, of the rule's, or none.
func anyRule(r *rand.Rand, id string) *knowledge.Rule {
	globs := [][]string{
		nil, nil,
		{"**/*.go"},
		{"web/**"},
		{"!**/*_test.go"},
		{"{cmd,web}/*.ts", "!web/a.ts"},
		{"**/main.*"},
		{"./web/*"},
		{"/web//deep/*"},
		{"web/deep/"},
		{"web/d[e]ep/*", "x.*"},
	}
	languages := [][]string{nil, nil, {"go"}, {"typescript", "python"}}
	d := rule(id, "Rule "+id, "c")
	d.Scope = knowledge.Scope{
		Activation: knowledge.Activations()[r.IntN(4)], Globs: globs[r.IntN(len(globs))],
		Languages: languages[r.IntN(len(languages))],
	}
	if r.IntN(2) == 0 {
		d.Checks = []knowledge.Check{{
			ID: "c", Kind: knowledge.CheckForbid, Pattern: "x",
			Globs: globs[r.IntN(len(globs))],
		}}
	}
	return d
}

// TestOfAFewFilesAPartSaysWhatTheWholeSays asks a bundle that was kept, and the part of it that can be about some
// files, what they break and what holds for them.
func TestOfAFewFilesAPartSaysWhatTheWholeSays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	s := open(t)
	docs := []knowledge.Document{&knowledge.Category{ID: "c", Name: "C", IsActive: true}}
	for i := range 200 {
		docs = append(docs, anyRule(r, fmt.Sprintf("R-%d", i)))
	}
	put(t, s, docs...)
	fresh, err := bundle.Fetch(t.Context(), s, "", bundle.Want{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.json")
	if err := fresh.Save(path); err != nil {
		t.Fatal(err)
	}
	whole, err := bundle.Load(path)
	if err != nil || whole == nil {
		t.Fatalf("%v, %v", whole, err)
	}
	left := 0
	for _, paths := range [][]string{
		{"main.go"},
		{"cmd/a_test.go", "web/a.ts"},
		{"web/deep/b.css"},
		{"README"},
		{"x.py", "y/main.rs"},
	} {
		part, err := bundle.LoadFor(path, paths)
		if err != nil || part == nil {
			t.Fatalf("%v, %v", part, err)
		}
		left += len(whole.Documents) - len(part.Documents)
		if diff := cmp.Diff(saysOf(t, whole, paths), saysOf(t, part, paths),
			cmpopts.IgnoreUnexported(check.Result{})); diff != "" {
			t.Errorf("seed %d: of %v the whole and the part say (-whole +part)\n%s", seed, paths, diff)
		}
	}
	if left == 0 {
		t.Error("every part is the whole")
	}
}

// said is what a bundle says of files.
type said struct {
	Found *check.Result
	Items []guidance.Item
}

func saysOf(t *testing.T, b *bundle.Bundle, paths []string) said {
	t.Helper()
	rules, err := b.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var files []check.File
	for _, p := range paths {
		files = append(files, check.File{Path: p, Content: []byte("x\n")})
	}
	found := check.NewSet(rules, nil, time.Now()).Run(files)
	found.Rules = 0 // how many there are, and not what they find
	reader, err := b.Reader()
	if err != nil {
		t.Fatal(err)
	}
	x := guidance.New(guidance.Options{Store: reader, Feed: reader})
	if err := x.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := x.Prepare(t.Context(), reader, guidance.Query{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Answer(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	return said{found, a.Items}
}

func TestADamagedBundleIsNone(t *testing.T) {
	s := open(t)
	put(t, s, &knowledge.Category{ID: "c", Name: "C", IsActive: true}, rule("A", "One", "c"), rule("B", "Two", "c"))
	b, err := bundle.Fetch(t.Context(), s, "", bundle.Want{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.json")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	turned := func(at int) []byte {
		damaged := append([]byte{}, text...)
		damaged[at] ^= 1
		return damaged
	}
	for name, damaged := range map[string][]byte{
		"a bit turned in a document":        turned(len(text) - 20),
		"a bit turned before the documents": turned(bytes.Index(text, []byte(`"about"`)) + 3),
		"a bit turned in the first line":    turned(3),
		"cut short":                         text[:len(text)-1],
		"with more":                         append(append([]byte{}, text...), ' '),
		"its first line alone":              text[:len(text)/4], "empty": nil,
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := bundle.Load(path); got != nil || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
