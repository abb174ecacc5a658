package failover_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

var (
	_ failover.Primary = (*postgres.Store)(nil)
	_ failover.Mirror  = (*sqlite.Store)(nil)
	_ failover.Journal = (*journal.Journal)(nil)
)

// openEngine returns a fresh engine to be a primary.
func openEngine(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "primary.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// localFile returns the path of a file of an instance. Where there is none yet it is a copy of one that fill has made
// once.
func localFile(t testing.TB, dir, name string, fill func(path string) error) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(storetest.File(t, name, fill), path); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// openInstance opens an instance over a primary, with its local files in dir. The returned function ends it.
func openInstance(t testing.TB, dir string, p *faulty, change ...func(*failover.Options)) (*failover.Store, func()) {
	t.Helper()
	mirror, err := sqlite.Open(t.Context(), localFile(t, dir, "mirror.db", func(path string) error {
		m, err := sqlite.Open(context.Background(), path, sqlite.Options{Mirror: true})
		if err != nil {
			return err
		}
		return m.Close()
	}), sqlite.Options{Mirror: true})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := journal.Open(t.Context(), localFile(t, dir, "journal.db", func(path string) error {
		j, err := journal.Open(context.Background(), path, journal.Options{})
		if err != nil {
			return err
		}
		return j.Close()
	}), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := failover.Options{
		Connect: func(ctx context.Context) (failover.Primary, error) { return p, p.Ping(ctx) },
		Mirror:  mirror, Journal: journal,
		Recovery: 20 * time.Millisecond,
	}
	o.Wait(failover.Waits{
		ReadWait: 200 * time.Millisecond, ReadTimeout: 150 * time.Millisecond, WriteTimeout: 150 * time.Millisecond,
		ConnectTimeout: 150 * time.Millisecond, PollFloor: 10 * time.Millisecond,
	})
	for _, c := range change {
		c(&o)
	}
	s, err := failover.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		s.Close()
		mirror.Close()
		journal.Close()
	}
	t.Cleanup(end)
	return s, end
}

func TestStoreKeepsTheContractInNormalMode(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store {
		// No patience is tested here: a laggard of the test machine must not turn into an outage.
		s, _ := openInstance(t, t.TempDir(), &faulty{Store: openEngine(t), system: "one"}, patient)
		run(t, s)
		waitMode(t, s, "normal")
		waitMirror(t, s)
		return s
	})
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}
