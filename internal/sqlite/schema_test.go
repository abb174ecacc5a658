package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func migrateTo(t testing.TB, path string, to int64) {
	t.Helper()
	s, err := Migrate(t.Context(), path, to)
	if err != nil {
		t.Fatalf("migrate to %d: %v", to, err)
	}
	if to >= 0 && s.Version != to {
		t.Fatalf("the schema is %d, want %d", s.Version, to)
	}
}

func TestMigrationsGoUpDownAndUpAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	migrateTo(t, path, -1)
	up := objects(t, path)
	newest, err := ReadSchema(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for v := newest.Version - 1; v >= 0; v-- {
		migrateTo(t, path, v)
	}
	if left := objects(t, path); strings.TrimSpace(left) != "goose_db_version" {
		t.Errorf("left after all the way down: %s", left)
	}
	migrateTo(t, path, -1)
	if again := objects(t, path); again != up {
		t.Errorf("up again gives\n%s\nwant\n%s", again, up)
	}
}

// objects lists what the schema of a file holds.
func objects(t testing.TB, path string) string {
	t.Helper()
	db, err := handle{path: path, conns: 1}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var list string
	err = db.QueryRowContext(t.Context(), "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema "+
		"WHERE name NOT LIKE 'sqlite_%' ORDER BY name)").Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDocumentsSurviveDownAndUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := openAt(t, path, Options{})
	world(t, s)
	want := everything(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	migrateTo(t, path, 1)
	if _, err := Open(t.Context(), path, Options{Frozen: true}); !errors.Is(err, store.ErrUnavailable) ||
		!strings.Contains(err.Error(), "migrate up") {
		t.Errorf("Open without the lists of search, of a file that may not be migrated: %v", err)
	}
	equal(t, "documents at the newest schema", want, everything(t, openAt(t, path, Options{})))
}

func TestForeignSchemasAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if _, err := Open(t.Context(), path, Options{Frozen: true}); !errors.Is(err, store.ErrUnavailable) ||
		!strings.Contains(err.Error(), "migrate up") {
		t.Errorf("Open of an empty file that may not be migrated: %v", err)
	}
	migrateTo(t, path, -1)
	db, err := handle{path: path, conns: 1}.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(),
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	var u *store.UnavailableError
	if _, err = Open(t.Context(), path, Options{}); !errors.As(err, &u) || !u.Halt ||
		!strings.Contains(u.Reason, "newer program") {
		t.Errorf("Open of a newer schema: %v, want a refusal that says so", err)
	}
	if _, err := Migrate(t.Context(), path, -1); !errors.As(err, &u) {
		t.Errorf("Migrate of a newer schema: %v, want a refusal", err)
	}
	s, err := ReadSchema(t.Context(), filepath.Join(t.TempDir(), "none.db"))
	if err != nil || s.Version != 0 || !s.Pending() {
		t.Errorf("ReadSchema of no file: %+v, %v", s, err)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 400)), 0o600); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, "torn.db")
	s := openAt(t, torn, Options{})
	docs := []knowledge.Document{general()}
	for range 300 {
		docs = append(docs, storetest.Rule())
	}
	put(t, s, docs...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(torn)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 3; i < 2*len(data)/3; i++ {
		data[i] ^= 0x5a
	}
	if err := os.WriteFile(torn, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, torn} {
		s, err := Open(t.Context(), path, Options{})
		if err == nil {
			_ = s.Close()
		}
		var u *store.UnavailableError
		if !errors.As(err, &u) || !u.Halt || !Damaged(err) {
			t.Errorf("Open of damaged %s: %v, want a refusal that says so", filepath.Base(path), err)
		}
		aside, err := SetAside(path)
		if err != nil {
			t.Fatalf("SetAside: %v", err)
		}
		if _, err := os.Stat(aside); err != nil {
			t.Errorf("the damaged file is not where it was set aside: %v", err)
		}
		openAt(t, path, Options{})
	}
}
