package tenet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestEveryOptionIsSetByTheProgram reads each struct that is called Options: the user sets a field with the tag name,
// and the program must set the others. One that tests alone set stays out of what is exported.
func TestEveryOptionIsSetByTheProgram(t *testing.T) {
	exempt := map[string]string{
		"internal/client.Attempts": "tests of other packages ask a server once",
		"internal/sqlite.Frozen":   "tests of other packages open copies of one file",
	}
	untagged := map[string][]*ast.Field{} // fields without the tag name, by package
	groups := map[string]bool{}           // types with a field that has it
	set := map[string]bool{}              // names that a file of the program gives a value
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{
			"storetest", "bench", "pgtest", "npmtest", "browsertest",
			"testdata", "tools",
		}, d.Name()) {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				s, ok := n.Type.(*ast.StructType)
				if ok && n.Name.Name == "Options" {
					untagged[path.Dir(name)] = append(untagged[path.Dir(name)], fieldsWithoutName(s)...)
				}
				if ok && slices.ContainsFunc(s.Fields.List, hasName) {
					groups[n.Name.Name] = true
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					set[key.Name] = true
				}
			case *ast.AssignStmt:
				for _, to := range n.Lhs {
					if s, ok := to.(*ast.SelectorExpr); ok {
						set[s.Sel.Name] = true
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(untagged) < 5 {
		t.Fatalf("only %d packages have options: the test looks in the wrong places", len(untagged))
	}
	for pkg, fields := range untagged {
		for _, f := range fields {
			for _, id := range f.Names {
				_, known := exempt[pkg+"."+id.Name]
				if id.IsExported() && set[id.Name] == known && !groups[typeName(f.Type)] {
					t.Errorf("%s.Options.%s is set by the program: %t. One that is not is left out, or kept unexported "+
						"for tests; one that is exempt must not be", pkg, id.Name, set[id.Name])
				}
			}
		}
	}
}

// fieldsWithoutName returns the fields that no user sets.
func fieldsWithoutName(s *ast.StructType) []*ast.Field {
	return slices.DeleteFunc(slices.Clone(s.Fields.List), hasName)
}

// hasName reports whether a field is a setting.
func hasName(f *ast.Field) bool { return f.Tag != nil && strings.Contains(f.Tag.Value, `name:"`) }

// typeName returns the name of a type, without its package.
func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.SelectorExpr:
		return t.Sel.Name
	}
	return ""
}
