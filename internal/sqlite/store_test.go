package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestStoreKeepsTheLaws(t *testing.T) {
	storetest.RunEngine(t, func(t testing.TB) store.Store { return openTest(t, Options{}) })
}

func TestStoreKeepsTheLawsWithOneReader(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return openTest(t, Options{Readers: 1}) })
}

func TestEffectBookKeepsItsLaws(t *testing.T) {
	storetest.EffectBook(t, NewEffectBook(openTest(t, Options{})))
}

func TestFleetBookKeepsItsLaws(t *testing.T) {
	storetest.FleetBook(t, NewFleetBook(openTest(t, Options{})))
}

func TestRunBookKeepsItsLaws(t *testing.T) { storetest.RunBook(t, openTest(t, Options{}).RunBook()) }

// openTest opens a store in a directory of the test's own and closes it at the end.
func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	return openAt(t, newFile(t, o.Mirror), o)
}

// newFile returns the path of an empty database with its schema, which is made once: making it takes half of the time
// of most laws.
func newFile(t testing.TB, mirror bool) string {
	t.Helper()
	name := "tenet.db"
	if mirror {
		name = "mirror.db"
	}
	return storetest.File(t, name, func(path string) error {
		s, err := Open(context.Background(), path, Options{Mirror: mirror})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

// openAt opens a store and closes it at the end of the test.
func openAt(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTimesOfADocumentNeverGoBack(t *testing.T) {
	s := openTest(t, Options{})
	rule := storetest.Rule()
	first := put(t, s, general(), rule).Records[1]
	s.now = func() time.Time { return first.Updated.Add(-time.Hour) }
	second := put(t, s, rule).Records[0]
	if second.Updated != first.Updated {
		t.Errorf("with the clock an hour back the rule was updated at %v, want %v", second.Updated, first.Updated)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.path, s.path + "-wal", backup} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", filepath.Base(path), info.Mode(), err)
		}
	}
}
