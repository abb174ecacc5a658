package postgres_test

import (
	"testing"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrated returns the address of a fresh database with the newest schema.
func migrated(t testing.TB) string {
	return pgtest.Template(t, "newest", func(url string) error {
		_, err := postgres.Migrate(t.Context(), url, -1)
		return err
	})
}

// open returns a store on a fresh database.
func open(t testing.TB) *postgres.Store {
	t.Helper()
	return openAt(t, migrated(t))
}

func openAt(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t) })
}
