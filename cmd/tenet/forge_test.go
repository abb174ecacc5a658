package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql" //nolint:depguard // a forger writes past the engine
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

// command runs the command line and returns its exit code and all that it printed.
func command(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), append(args, "--data-dir", dir), strings.NewReader(""), &out, &out,
		func(string) (string, bool) { return "", false }, nil)
	return code, out.String()
}

// filledDirectory returns a data directory whose log has six categories.
func filledDirectory(t *testing.T) string {
	t.Helper()
	dir, l := emptyDirectory(t)
	defer l.Close()
	if err := sixCategories(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return dir
}

// emptyDirectory returns a new data directory and its open, empty database.
func emptyDirectory(t *testing.T) (string, *server.Local) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := server.OpenLocal(t.Context(), server.Options{DataDir: dir, NoSeed: true})
	if err != nil {
		t.Fatal(err)
	}
	return dir, l
}

// sixCategories writes c-1 to c-6, each as a batch of its own; the last has further ops.
func sixCategories(ctx context.Context, s store.Store, further ...knowledge.Op) error {
	for i := range 6 {
		c := &knowledge.Category{ID: fmt.Sprint("c-", i+1), Name: fmt.Sprint("Name ", i+1)}
		c.Normalize()
		ops := []knowledge.Op{knowledge.Put(c, knowledge.NoVersion)}
		if i == 5 {
			ops = append(ops, further...)
		}
		if _, err := s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "ann", Ops: ops}); err != nil {
			return err
		}
	}
	return nil
}

// TestAForgerIsFoundByTheCommandLine writes into the database past tenet, and asks `tenet doctor changes`.
func TestAForgerIsFoundByTheCommandLine(t *testing.T) {
	relink := func(t *testing.T, db *sql.DB) { // a forger who knows how the chain is made
		rows, err := db.Query("SELECT seq, kind, id, version, verb, batch_id, document_hash FROM changes ORDER BY seq")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all []knowledge.Change
		for rows.Next() {
			var c knowledge.Change
			var batch, hash []byte
			if err := rows.Scan(&c.Seq, &c.Key.Kind, &c.Key.ID, &c.Version, &c.Verb, &batch, &hash); err != nil {
				t.Fatal(err)
			}
			copy(c.Batch[:], batch)
			copy(c.Hash[:], hash)
			all = append(all, c)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		var prev [32]byte
		for _, c := range all {
			prev = knowledge.NextChain(prev, &c)
			if _, err := db.Exec("UPDATE changes SET chain = ? WHERE seq = ?", prev[:], int64(c.Seq)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const putIn = `INSERT INTO categories (category_id, rank, document)
		SELECT 'c-7', rank, json_set(document, '$.category_id', 'c-7') FROM categories LIMIT 1`
	for name, is := range map[string]struct {
		forge string
		also  func(*testing.T, *sql.DB)
		head  bool // only a head that was noted before shows it
		says  string
	}{
		"nothing":                 {"SELECT 1", nil, false, ""},
		"nothing, against a head": {"SELECT 1", nil, true, ""},
		"the text": {"UPDATE changes SET document = replace(document, 'Name 3', 'Forged') WHERE " +
			"seq = 3", nil, false, "change 3"},
		"the actor":      {"UPDATE changes SET actor = 'mallory' WHERE seq = 3", nil, false, "mallory"},
		"the time":       {"UPDATE changes SET at = at - 1000000 WHERE seq = 3", nil, false, "change 3"},
		"who entered it": {"UPDATE changes SET entered_by = 'mallory' WHERE seq = 4", nil, false, "change 4"},
		"that it was entered": {
			"UPDATE changes SET entered_by = NULL, entered_at = NULL WHERE seq = 4", nil,
			false, "change 4",
		},
		"the order": {"UPDATE changes SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, " +
			"3); UPDATE changes SET seq = -seq WHERE seq < 0", nil, false, "change 2"},
		"the first row taken out": {"DELETE FROM changes WHERE seq = 1", nil, true, "change"},
		"a middle row taken out":  {"DELETE FROM changes WHERE seq = 3", nil, false, "4 follows 2"},
		"the last row taken out":  {"DELETE FROM changes WHERE seq = 6", nil, false, "category/c-6 was never written"},
		"and its document with it": {"DELETE FROM changes WHERE seq = 6; DELETE FROM categories WHERE category_id " +
			"= 'c-6'", nil, true, "cut off"},
		"a document put in": {putIn, nil, false, "category/c-7 was never written"},
		"a document put in behind a shortened log": {
			`DELETE FROM batches WHERE id = (SELECT batch_id FROM changes WHERE seq = 1); DELETE FROM changes
				WHERE seq = 1; DELETE FROM categories WHERE category_id = 'c-1';
			INSERT INTO categories (category_id, rank, document)
			SELECT 'c-7', rank, json_set(document, '$.category_id', 'c-7', '$.updated_at',
			'2099-01-31T12:00:00.000000Z') FROM categories LIMIT 1`,
			nil, false, "category/c-7 was never written",
		},
		"a trigger put in": {
			"CREATE TRIGGER forged AFTER INSERT ON audit BEGIN DELETE FROM audit; END", nil,
			false, "trigger forged",
		},
		"a document taken out": {
			"DELETE FROM categories WHERE category_id = 'c-5'", nil, false,
			"category/c-5 is missing",
		},
		"a text, hash and a chain": {
			"SELECT 1", func(t *testing.T, db *sql.DB) { rehash(t, db); relink(t, db) }, true,
			"written anew",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filledDirectory(t)
			_, said := command(t, dir, "doctor", "changes")
			_, head, _ := strings.Cut(said, "head ")
			head, _, _ = strings.Cut(head, ":")
			db, err := sql.Open("sqlite", filepath.Join(dir, "tenet.db"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(is.forge); err != nil {
				t.Fatal(err)
			}
			if is.also != nil {
				is.also(t, db)
			}
			db.Close()
			args := []string{"doctor", "changes"}
			if is.head {
				args = append(args, "--head", head)
			}
			code, said := command(t, dir, args...)
			if want := map[bool]int{true: exitOK, false: exitFailed}[is.says == ""]; code != want ||
				!strings.Contains(said, is.says) {
				t.Errorf("the code is %d, want %d and %q:\n%s", code, want, is.says, said)
			}
		})
	}
}

// rehash forges a text with its hash, in the log and where it is read.
func rehash(t *testing.T, db *sql.DB) {
	t.Helper()
	var doc string
	if err := db.QueryRow("SELECT document FROM changes WHERE seq = 3").Scan(&doc); err != nil {
		t.Fatal(err)
	}
	doc = strings.ReplaceAll(doc, "Name 3", "Forged")
	sum := sha256.Sum256([]byte(doc))
	if _, err := db.Exec("UPDATE changes SET document = ?, document_hash = ? WHERE seq = 3", doc, sum[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE categories SET document = ? WHERE category_id = 'c-3'", doc); err != nil {
		t.Fatal(err)
	}
}

// TestAForgedExportIsRefused changes an export with an editor, and imports it.
func TestAForgedExportIsRefused(t *testing.T) {
	dir := t.TempDir()
	from, file := filepath.Join(dir, "from"), filepath.Join(dir, "e.jsonl")
	if code, said := command(t, from, "seed"); code != exitOK {
		t.Fatal(said)
	}
	if code, said := command(t, from, "patch", "rule/SEC-001", "--set", "priority=3"); code != exitOK {
		t.Fatal(said)
	}
	if code, said := command(t, from, "export", file); code != exitOK {
		t.Fatal(said)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range forgedExports() {
		t.Run(name, func(t *testing.T) {
			lines := is.forge(strings.Split(strings.TrimSpace(string(whole)), "\n"))
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			into := filepath.Join(t.TempDir(), "into")
			code, said := command(t, into, "import", file)
			if (code != exitFailed) != is.taken || !strings.Contains(said, is.says) {
				t.Errorf("%d, want %q:\n%s", code, is.says, said)
			}
			if code, said := command(t, into, "list", "rules"); strings.Contains(said, "SEC-001") != is.taken {
				t.Errorf("after the import: %d\n%s", code, said)
			}
		})
	}
}

// A forgedExport is what an editor makes of the lines of an export, and what an import says of it.
type forgedExport struct {
	forge func([]string) []string
	says  string
	taken bool // the export can't prove that anything was changed: then it is said
}

func forgedExports() map[string]forgedExport {
	replace := func(was, is string) func([]string) []string {
		return func(lines []string) []string {
			return strings.Split(strings.Replace(strings.Join(lines, "\n"), was, is, 1), "\n")
		}
	}
	without := func(at int, counted bool) func([]string) []string {
		return func(lines []string) []string {
			n := len(lines) - 2
			lines = slices.Delete(lines, at, at+1)
			if counted {
				end := &lines[len(lines)-1]
				*end = strings.Replace(*end, fmt.Sprint(n), fmt.Sprint(n-1), 1)
			}
			return lines
		}
	}
	bare := func(lines []string) []string { // as an older program wrote it
		end := &lines[len(lines)-1]
		*end, _, _ = strings.Cut(*end, `,"sum"`)
		*end += "}"
		return lines
	}
	return map[string]forgedExport{
		"nothing":             {func(l []string) []string { return l }, "", true},
		"a text":              {replace(`"priority":3`, `"priority":4`), "is another one than was exported", false},
		"an actor":            {replace(`"actor":"local:`, `"actor":"global:`), "is another one than was exported", false},
		"a line":              {without(40, false), "some were lost or put in", false},
		"a line, and counted": {without(40, true), "line 41: changes before it are missing", false},
		"a first line":        {without(1, true), "something was changed, lost or put in", false},
		"the time of the file": {
			replace(`"exported_at":"2`, `"exported_at":"1`), "something was changed, lost or put in", false,
		},
		"the sum of the lines": {bare, "warning: the last line of the export has no sum", true},
	}
}

// TestHalfAScrubbedCopyIsNotLeft scrubs a database whose log can't be read to its end.
func TestHalfAScrubbedCopyIsNotLeft(t *testing.T) {
	dir := filledDirectory(t)
	db, err := sql.Open("sqlite", filepath.Join(dir, "tenet.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("UPDATE changes SET document = '{' WHERE seq = 4")
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	beside := t.TempDir()
	if code, said := command(t, dir, "scrub", "--to", filepath.Join(beside, "new", "copy")); code == 0 {
		t.Fatalf("the scrub ends with 0:\n%s", said)
	}
	if left, err := os.ReadDir(filepath.Join(beside, "new")); err != nil || len(left) > 0 {
		t.Errorf("the scrub leaves %v, %v", left, err)
	}
}
