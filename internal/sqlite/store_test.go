package sqlite

import (
	"path/filepath"
	"testing"

	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestStoreKeepsTheLaws(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return openTest(t, Options{}) })
}

// openTest opens a store in a directory of the test's own and closes it at the end.
func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "tenet.db"), o)
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
