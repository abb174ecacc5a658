package journal

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// openSQL opens the file past the journal.
func openSQL(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMigrationsGoUpDownAndUpAgain(t *testing.T) {
	db := openSQL(t, filepath.Join(t.TempDir(), "a.db"))
	p, err := goose.NewProvider(goose.DialectSQLite3, db, tables().Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	objects := func() (list string) {
		err := db.QueryRowContext(t.Context(), "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema "+
			"WHERE name NOT LIKE 'sqlite_%' ORDER BY name)").Scan(&list)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	up := func() string {
		if _, err := p.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		return objects()
	}
	before := up()
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := objects(); strings.TrimSpace(left) != "goose_db_version" {
		t.Errorf("left after all the way down: %s", left)
	}
	if again := up(); again != before {
		t.Errorf("up again gives\n%s\nwant\n%s", again, before)
	}
}
