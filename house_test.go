package tenet_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// What a file, a type and a function may hold; CONTRIBUTING.md says so.
const (
	mostMethods       = 40
	mostFileLines     = 500
	mostFunctionLines = 60
	mostLineLength    = 120
	mostLongLines     = 5 // in a thousand: a field's tag can't be broken
)

// A house is what the counter finds in the program, tests left out but for the length of lines.
type house struct {
	lines, overlong  int            // lines in all, tests too, and those over mostLineLength
	methods          map[string]int // of each type
	files, functions []string       // those that are too long, each with how long it is
	prose            []string       // comments over mostLineLength, each with its place
}

// survey counts what the Go files hold.
func survey(fsys fs.FS) (*house, error) {
	h := &house{methods: map[string]int{}}
	return h, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return h.add(name, string(text))
	})
}

func (h *house) add(name, text string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		width := len([]rune(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")))
		if width > mostLineLength {
			h.overlong++
			if strings.HasPrefix(strings.TrimSpace(line), "// ") {
				h.prose = append(h.prose, fmt.Sprintf("%s:%d", name, n))
			}
		}
	}
	h.lines += n
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	if n > mostFileLines {
		h.files = append(h.files, fmt.Sprintf("%s: %d lines", name, n))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if long := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; long > mostFunctionLines {
			h.functions = append(h.functions, fmt.Sprintf("%s %s: %d lines", name, f.Name.Name, long))
		}
		if owner := receiver(f); owner != "" {
			h.methods[module+"/"+path.Dir(name)+"."+owner]++
		}
	}
	return nil
}

// receiver returns the name of the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	for t := f.Recv.List[0].Type; ; {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// TestTheHouseStaysInOrder prints what the counter finds, for "make house", and fails where a type or a function is too
// large.
func TestTheHouseStaysInOrder(t *testing.T) {
	h, err := survey(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(h.methods)) {
		if n := h.methods[name]; n > mostMethods {
			t.Errorf("%s has %d methods, and may have %d: give some of its work to a type of its own", name, n,
				mostMethods)
		}
	}
	t.Logf("lines over %d characters: %d of %d", mostLineLength, h.overlong, h.lines)
	if 1000*h.overlong > mostLongLines*h.lines {
		t.Errorf("%d of %d lines have over %d characters, and %d in a thousand may: break some of yours", h.overlong,
			h.lines, mostLineLength, mostLongLines)
	}
	for _, place := range h.prose {
		t.Errorf("%s: a comment has over %d characters: break it", place, mostLineLength)
	}
	for _, f := range h.files {
		t.Errorf("%s, and may have %d: move what belongs together into a file of its own", f, mostFileLines)
	}
	for _, f := range h.functions {
		t.Errorf("%s, and may have %d: give a part of it a name of its own", f, mostFunctionLines)
	}
}

func TestTheCounterOfTheHouseCounts(t *testing.T) {
	long := strings.Repeat("\t_ = 1\n", mostFunctionLines)
	h, err := survey(fstest.MapFS{
		"a/a.go": {Data: []byte("package a\n\ntype T[K any] struct{}\n\nfunc (t *T[K]) One() {\n" + long +
			"}\n\nfunc (T[K]) Two() {}\n")},
		"a/b.go": {Data: []byte("package a\n\n// " + strings.Repeat("x", mostLineLength) + "\n")},
		"a/a_test.go": {Data: []byte("package a\n\nfunc (T[K]) Three() {}\n\nvar _ = `" +
			strings.Repeat("x", mostLineLength) + "`\n")},
	})
	if err != nil || h.methods["tenet/a.T"] != 2 || len(h.functions) != 1 || len(h.files) != 0 || h.overlong != 2 ||
		len(h.prose) != 1 {
		t.Errorf("counted %+v, %v", h, err)
	}
}
