package tenet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// maxKindFiles is how many files of the program may name a kind. What more there is to it, its description tells to
// all.
const maxKindFiles = 8

// TestAKindIsDescribedOnce counts the files of the program that name a kind: its constant, its Go type, or its name or
// its table's name as a text of its own, and the migrations with its table. A repository is also where a violation was
// found: that text does not count. Rules, practices and templates are what other tools' files are read as, categories
// are what they stand in, principals are who calls, and packs, repositories, labels and proposals are what the program
// itself reads by and acts on: these name nothing that a further kind would have to.
func TestAKindIsDescribedOnce(t *testing.T) {
	special := []knowledge.Kind{
		knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindCategory,
		knowledge.KindPrincipal,
		knowledge.KindPack, knowledge.KindLabel, knowledge.KindProposal, knowledge.KindRepository,
	}
	for _, d := range knowledge.Described() {
		if slices.Contains(special, d.Kind) {
			continue
		}
		if files := filesNaming(t, d); len(files) > maxKindFiles {
			t.Errorf("%d files name the kind %s, at most %d may: %s", len(files), d.Kind, maxKindFiles,
				strings.Join(files, ", "))
		} else if len(files) < 4 {
			t.Errorf("only %v name the kind %s: the test looks for the wrong names", files, d.Kind)
		}
	}
}

func filesNaming(t *testing.T, d *knowledge.Description) []string {
	t.Helper()
	camel := strings.ToUpper(string(d.Kind[:1])) + string(d.Kind[1:])
	var files []string
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if strings.HasPrefix(entry.Name(), ".") && path != "." ||
				slices.Contains([]string{"storetest", "storegen", "bench", "testdata"}, entry.Name()) {
				return fs.SkipDir
			}
		case strings.HasSuffix(path, ".sql"):
			text, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(text), "CREATE TABLE "+d.Plural+" ") {
				files = append(files, path)
			}
			return err
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err == nil && names(file, d, camel) {
				files = append(files, path)
			}
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// names reports whether a file names a kind.
func names(file *ast.File, d *knowledge.Description, camel string) bool {
	inside, found := file.Name.Name == "knowledge", false
	common := map[knowledge.Kind]bool{knowledge.KindRepository: true}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "knowledge" && (n.Sel.Name == camel || n.Sel.Name == "Kind"+
				camel) {
				found = true
			}
		case *ast.Ident:
			found = found || inside && (n.Name == camel || n.Name == "Kind"+camel || n.Name == "describe"+camel)
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if err == nil && n.Kind == token.STRING && (text == string(d.Kind) && !common[d.Kind] || text == d.Plural) {
				found = true
			}
		}
		return !found
	})
	return found
}
