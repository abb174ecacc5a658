package tenet_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An arrow runs from a file to another one of its package that defines what it uses.
type arrow struct{ from, to string }

// mostArrowsUp bounds, for the two largest rooms, the arrows that run back up when their files stand in the best order
// that is found. A reader who starts at the top then meets nearly everything in the order in which it is used.
func mostArrowsUp() map[string]int {
	return map[string]int{"internal/failover": 5, "internal/httpapi": 20}
}

func TestTheFilesOfALargeRoomReadDownward(t *testing.T) {
	for room, most := range mostArrowsUp() {
		set := token.NewFileSet()
		files := parsed(t, set, room)
		arrows := arrowsOf(room, set, files)
		if len(arrows) < len(files) {
			t.Fatalf("%s: %d files with %d arrows: they can't be read", room, len(files), len(arrows))
		}
		up := upward(arrows)
		t.Logf("%s: %d files, %d arrows, %d of them run back up", room, len(files), len(arrows), len(up))
		if len(up) > most {
			t.Errorf("%s: %d arrows run back up, and %d may: move what is used to the file of those who use it:\n%v",
				room, len(up), most, up)
		}
	}
}

// parsed returns the files of a package, without its tests.
func parsed(t *testing.T, set *token.FileSet, dir string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[filepath.Base(name)], err = parser.ParseFile(set, name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// none imports nothing: which file of a package defines a name is known without the packages that it imports.
type none struct{}

func (none) Import(string) (*types.Package, error) { return nil, errors.New("nothing is imported") }

// arrowsOf returns the arrows between the files of a package. The fields of a type are not followed.
func arrowsOf(room string, set *token.FileSet, files map[string]*ast.File) map[arrow]bool {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: none{}, Error: func(error) {}}
	list := slices.Collect(maps.Values(files))
	pkg, _ := config.Check(room, set, list, info) // the faults are those of imports
	home := func(p token.Pos) string {
		for name, f := range files {
			if f.FileStart <= p && p < f.FileEnd {
				return name
			}
		}
		return ""
	}
	arrows := map[arrow]bool{}
	for id, o := range info.Uses {
		if v, ok := o.(*types.Var); ok && v.IsField() || o.Pkg() != pkg || !o.Pos().IsValid() {
			continue
		}
		if a := (arrow{home(id.Pos()), home(o.Pos())}); a.from != a.to {
			arrows[a] = true
		}
	}
	return arrows
}

// upward puts files into an order in which few arrows run up, and returns those: a file that nothing needs any more
// goes to the top, one that needs nothing to the bottom, and else the one with the most arrows down to the top (Eades,
// Lin, Smyth: A fast and effective heuristic for the feedback arc set problem, 1993).
func upward(arrows map[arrow]bool) []arrow {
	left := map[string]bool{}
	for a := range arrows {
		left[a.from], left[a.to] = true, true
	}
	place := map[string]int{}
	top, bottom := 0, len(left)
	for len(left) > 0 {
		var best string
		most, last := -len(arrows)-1, false
		for _, name := range slices.Sorted(maps.Keys(left)) {
			in, out := 0, 0
			for a := range arrows {
				if a.from == name && left[a.to] {
					out++
				}
				if a.to == name && left[a.from] {
					in++
				}
			}
			if out == 0 || in == 0 {
				best, last = name, out == 0
				break
			}
			if out-in > most {
				most, best = out-in, name
			}
		}
		if delete(left, best); last {
			bottom--
			place[best] = bottom
		} else {
			place[best] = top
			top++
		}
	}
	var up []arrow
	for a := range arrows {
		if place[a.from] > place[a.to] {
			up = append(up, a)
		}
	}
	return up
}

func TestTheCounterOfArrowsCounts(t *testing.T) {
	set := token.NewFileSet()
	files := map[string]*ast.File{}
	for name, text := range map[string]string{
		"a.go": "package p\nfunc a() { b(); c() }",
		"b.go": "package p\nimport \"gone\"\nfunc b() { gone.Do(); c() }",
		"c.go": "package p\ntype t struct{}\nfunc (t) again() { a() }\nfunc c() {}",
	} {
		f, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	arrows := arrowsOf("p", set, files)
	want := map[arrow]bool{
		{"a.go", "b.go"}: true, {"a.go", "c.go"}: true, {"b.go", "c.go"}: true,
		{"c.go", "a.go"}: true,
	}
	if !maps.Equal(arrows, want) {
		t.Fatalf("the arrows are %v, want %v", arrows, want)
	}
	if up := upward(arrows); len(up) != 1 {
		t.Errorf("%v run back up, want one", up)
	}
}
