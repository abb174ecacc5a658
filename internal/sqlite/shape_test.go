package sqlite

import (
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//nolint:gochecknoglobals // a flag of the test
var updateShape = flag.Bool("update", false, "write shape.txt anew")

// TestTheShapeIsWhatTheMigrationsMake compares what Drift compares with.
func TestTheShapeIsWhatTheMigrationsMake(t *testing.T) {
	lines, err := shapeOf(t.Context(), openTest(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines, "\n") + "\n"
	if *updateShape {
		if err := os.WriteFile("shape.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != shapeText {
		t.Error("shape.txt is not what the migrations make: run make docs")
	}
}

func TestDriftNamesWhatDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	migrateTo(t, path, -1)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DROP INDEX changes_by_batch; CREATE INDEX mine ON rules (title); "+
		"ALTER TABLE rules ADD COLUMN note TEXT"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	drift, err := Drift(t.Context(), s)
	want := "there is no index changes_by_batch|table rules is another one than the migrations make|index mine is " +
		"not of the migrations"
	if got := strings.Join(drift, "|"); err != nil || got != want {
		t.Errorf("drift %q, %v; want %q", got, err, want)
	}
}
