package cache_test

import (
	"context"
	"testing"

	"tenet/internal/cache"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestStoreKeepsTheLaws(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"hot and warm": {Hot: 64 << 20, Warm: cache.MinWarm},
		"hot alone":    {Hot: 64 << 20},
		"too small":    {Hot: 1 << 10, Warm: cache.MinWarm},
		"off":          {},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) store.Store { return openOver(t, openSQLite(t), o) })
		})
	}
}

// openSQLite opens an empty database; the cache over it closes it.
func openSQLite(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated), sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// openOver opens a cache and runs it until the end of the test.
func openOver(t testing.TB, next store.Store, o cache.Options) *cache.Store {
	t.Helper()
	s, err := cache.Open(t.Context(), next, o)
	if err != nil {
		t.Fatalf("open the cache: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = s.Close()
	})
	return s
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}
