package main

import (
	"database/sql" //nolint:depguard // a forger writes past the engine
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// untold are the columns of the log that say nothing of what was done: the words of a writer, which
// docs/operations/run.md names, and what an engine keeps for itself.
func untold() map[string]bool {
	return map[string]bool{"message": true, "more": true, "txid": true, "rank": true}
}

// forgery returns the statement that changes one column of the third change.
func forgery(column, typ string, blob func(bytes int) string) string {
	value := map[string]string{
		"verb": "'restore'", "kind": "'rule'", "seq": "99", "batch_id": blob(16), "document_hash": blob(32),
		"chain":    blob(32),
		"document": "(SELECT document FROM changes WHERE seq = 4)", "active": "1 - active",
		"entered_by": "'mallory', entered_at = at", "entered_at": "at, entered_by = 'mallory'",
	}[column]
	switch {
	case value != "":
	case strings.Contains(typ, "time"):
		value = column + " + interval '1 microsecond'"
	case strings.HasPrefix(strings.ToLower(typ), "text"):
		value = "'forged'"
	default:
		value = column + " + 1"
	}
	return fmt.Sprintf("UPDATE changes SET %s = %s WHERE seq = 3", column, value)
}

// foundOrUntold forges a column and asks the command line.
func foundOrUntold(t *testing.T, column string, forge func(), dir string, args ...string) {
	t.Helper()
	args = append([]string{"doctor", "changes"}, args...)
	if code, said := command(t, dir, args...); code != exitOK {
		t.Fatalf("of an honest log: %d\n%s", code, said)
	}
	forge()
	if code, said := command(t, dir, args...); (code == exitOK) != untold()[column] {
		t.Errorf("with another %s in a change the code is %d:\n%s", column, code, said)
	}
}

// TestNoColumnOfTheLogIsForgedUnseen changes every column of the log that there is, so that a new one can't be
// forgotten.
func TestNoColumnOfTheLogIsForgedUnseen(t *testing.T) {
	dir := filledDirectory(t)
	db, err := sql.Open("sqlite", filepath.Join(dir, "tenet.db"))
	if err != nil {
		t.Fatal(err)
	}
	columns, err := db.Query("SELECT name, type FROM pragma_table_info('changes')")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	defer columns.Close()
	n := 0
	for columns.Next() {
		var name, typ string
		if err := columns.Scan(&name, &typ); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(forged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			foundOrUntold(t, name, func() {
				db, err := sql.Open("sqlite", filepath.Join(forged, "tenet.db"))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				sql := forgery(name, typ, func(n int) string { return fmt.Sprintf("zeroblob(%d)", n) })
				if _, err := db.Exec(sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}, forged)
		})
	}
	if err := columns.Err(); err != nil || n < 15 {
		t.Errorf("%d columns, %v", n, err)
	}
}

func TestNoColumnOfTheLogOfAPostgreSQLIsForgedUnseen(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	columns := pgtest.Value(t, filled(t), "SELECT string_agg(column_name || ':' || data_type, ',') FROM "+
		"information_schema.columns WHERE table_name = 'changes' AND table_schema = 'public'")
	for column := range strings.SplitSeq(columns, ",") {
		name, typ, _ := strings.Cut(column, ":")
		t.Run(name, func(t *testing.T) {
			url := filled(t)
			sql := forgery(name, typ, func(n int) string {
				if n == 16 {
					return "'01890a5d-ac96-774b-bcce-b302099a8057'"
				}
				return "decode(repeat('00', 32), 'hex')"
			})
			foundOrUntold(t, name, func() { pgtest.Exec(t, url, sql) }, filepath.Join(t.TempDir(), "data"),
				"--database-url", url)
		})
	}
}
