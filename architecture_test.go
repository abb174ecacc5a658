package tenet_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "tenet"

// A room is a row of the table in ARCHITECTURE.md.
type room struct {
	floor      int // 0: for tests alone
	mayImport  map[string]bool
	everything bool // on lower floors
}

// TestImportsGoDownAsTheTableSays reads the files itself: go test would not see what a child process, such as go list,
// has read, and call a cached result good.
func TestImportsGoDownAsTheTableSays(t *testing.T) {
	for _, fault := range faults(os.DirFS(".")) {
		t.Error(fault)
	}
}

// TestOneFunctionReadsTheAddressOfAPostgreSQL keeps passwords from servers that could be anybody: the rule about
// certificates stands in that function.
func TestOneFunctionReadsTheAddressOfAPostgreSQL(t *testing.T) {
	const allowed = "internal/postgres/config.go"
	ways := []string{
		"pgxpool.ParseConfig(", "pgx.ParseConfig(", "pgconn.ParseConfig(", "pgx.Connect(",
		"pgconn.Connect(", "pgxpool.New(", "sql.Open(\"pgx",
	}
	found := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			strings.HasPrefix(name, "internal/pgtest/") || strings.HasPrefix(name, "internal/bench/") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, way := range ways {
			if !strings.Contains(string(text), way) {
				continue
			}
			if found++; name != allowed {
				t.Errorf("%s has %s...): make the configuration with config of %s", name, way, allowed)
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("looked through the program: %v, found %d ways to reach a PostgreSQL", err, found)
	}
}

func TestEachKindOfForbiddenImportIsFound(t *testing.T) {
	table := "| 3 | `cmd/tenet` | | everything below |\n" +
		"| 2 | `internal/cache` | | `knowledge` |\n" +
		"| 2 | `internal/sqlite` | | `knowledge` |\n" +
		"| 1 | `internal/knowledge` | | nothing of ours |\n" +
		"| - | `internal/pgtest` | | nothing of ours |\n"
	cases := []struct{ name, file, imports, row, want string }{
		{"down", "internal/cache/new.go", "tenet/internal/knowledge", "", ""},
		{"everything below", "cmd/tenet/new.go", "tenet/internal/cache", "", ""},
		{"not ours", "internal/cache/new.go", "tenetic/internal", "", ""},
		{
			"up", "internal/knowledge/new.go", "tenet/internal/cache", "",
			"knowledge/new.go imports tenet/internal/cache",
		},
		{
			"sideways", "internal/cache/new.go", "tenet/internal/sqlite", "",
			"cache/new.go imports tenet/internal/sqlite",
		},
		{"sideways in a test", "internal/cache/new_test.go", "tenet/internal/sqlite", "", ""},
		{
			"up in a test", "internal/cache/new_test.go", "tenet/cmd/tenet", "",
			"cache/new_test.go imports tenet/cmd/tenet",
		},
		{"test support in a test", "internal/knowledge/new_test.go", "tenet/internal/pgtest", "", ""},
		{
			"test support in the program", "cmd/tenet/new.go", "tenet/internal/pgtest", "",
			"new.go imports tenet/internal/pgtest",
		},
		{"the program in test support", "internal/pgtest/new.go", "tenet/internal/cache", "", "pgtest/new.go imports"},
		{
			"no such package", "internal/cache/new.go", "tenet/internal/util", "",
			"tenet/internal/util, which has no row",
		},
		{"no row", "internal/util/new.go", "fmt", "", "internal/util has no row"},
		{
			"no package", "internal/cache/new.go", "fmt", "| 1 | `internal/gone` | | nothing of ours |\n",
			"internal/gone has a row",
		},
		{
			"a row that allows up", "internal/cache/new.go", "fmt", "| 1 | `internal/low` | | `cache` |\n",
			"internal/low may import cache",
		},
		{
			"a row that allows nobody", "internal/cache/new.go", "fmt", "| 1 | `internal/low` | | `nobody` |\n",
			"nobody, which has no row",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{"ARCHITECTURE.md": {Data: []byte(table + c.row)}}
			for _, dir := range []string{
				"cmd/tenet", "internal/cache", "internal/sqlite", "internal/knowledge",
				"internal/pgtest", "internal/low",
			} {
				if dir != "internal/low" || strings.Contains(c.row, "low") {
					tree[dir+"/old.go"] = &fstest.MapFile{Data: []byte("package old")}
				}
			}
			tree[c.file] = &fstest.MapFile{Data: []byte("package old\nimport _ " + strconv.Quote(c.imports))}
			got := strings.Join(faults(tree), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got faults %q, want one with %q", got, c.want)
			}
		})
	}
}

// faults returns every disagreement between the table and the tree.
func faults(tree fs.FS) []string {
	rooms, found := readTable(tree)
	present := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, nested := fs.Stat(tree, path.Join(name, "go.mod"))
			if name != "." && (nested == nil || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		// The root has no package of its own, only tests such as this one.
		if dir := path.Dir(name); path.Ext(name) == ".go" && dir != "." {
			present[dir] = true
			if rooms[dir] != nil {
				found = append(found, faultsOf(tree, name, rooms)...)
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err.Error())
	}
	for _, dir := range slices.Sorted(maps.Keys(present)) {
		if rooms[dir] == nil {
			found = append(found, fmt.Sprintf("%s has no row in the table of ARCHITECTURE.md", dir))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		if !present[dir] {
			found = append(found, fmt.Sprintf("%s has a row in ARCHITECTURE.md and no Go files", dir))
		}
	}
	return found
}

// faultsOf returns the forbidden imports of one file.
func faultsOf(tree fs.FS, name string, rooms map[string]*room) (found []string) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return []string{err.Error()}
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return []string{err.Error()}
	}
	from := path.Dir(name)
	for _, line := range file.Imports {
		imported, err := strconv.Unquote(line.Path.Value)
		to, ours := strings.CutPrefix(imported, module+"/")
		switch {
		case err != nil || !ours || to == from:
		case rooms[to] == nil:
			found = append(found, fmt.Sprintf("%s imports %s, which has no row in ARCHITECTURE.md", name, imported))
		case !allowed(rooms[from], rooms[to], to, strings.HasSuffix(name, "_test.go")):
			found = append(found, fmt.Sprintf("%s imports %s, which its row in ARCHITECTURE.md does not allow", name,
				imported))
		}
	}
	return found
}

func allowed(from, to *room, dir string, test bool) bool {
	switch {
	case from.mayImport[dir]:
		return true
	case to.floor == 0:
		return test
	case test && from.floor > 0:
		return to.floor <= from.floor
	default:
		return from.everything && to.floor < from.floor
	}
}

// readTable returns the rooms by their directory, and what is wrong with the table itself.
func readTable(tree fs.FS) (map[string]*room, []string) {
	text, err := fs.ReadFile(tree, "ARCHITECTURE.md")
	if err != nil {
		return nil, []string{err.Error()}
	}
	rooms, allows, found := map[string]*room{}, map[string][]string{}, []string(nil)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.Contains(cells[2], "`") {
			continue
		}
		dir, may := strings.Trim(cells[2], " `"), strings.TrimSpace(cells[4])
		r := &room{mayImport: map[string]bool{}, everything: may == "everything below"}
		if floor := strings.TrimSpace(cells[1]); floor != "-" {
			if r.floor, err = strconv.Atoi(floor); err != nil {
				found = append(found, fmt.Sprintf("%s: floor %q is no number", dir, floor))
			}
		}
		rooms[dir] = r
		if !r.everything && may != "nothing of ours" {
			allows[dir] = strings.Fields(strings.ReplaceAll(may, "`", ""))
		}
	}
	// A row names other rooms by the last part of their path.
	byName := map[string]string{}
	for dir := range rooms {
		byName[path.Base(dir)] = dir
	}
	for _, dir := range slices.Sorted(maps.Keys(allows)) {
		for _, name := range allows[dir] {
			to, ok := byName[name]
			if !ok {
				found = append(found, fmt.Sprintf("%s may import %s, which has no row in ARCHITECTURE.md", dir, name))
				continue
			}
			if rooms[dir].floor > 0 && rooms[to].floor >= rooms[dir].floor {
				found = append(found, fmt.Sprintf("%s may import %s, which does not lie below it", dir, name))
			}
			rooms[dir].mayImport[to] = true
		}
	}
	return rooms, found
}
