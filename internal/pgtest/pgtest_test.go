package pgtest_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"tenet/internal/pgtest"
)

func TestMain(m *testing.M) {
	pgtest.Main(m)
}

func TestEachTestHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	var gone string
	for range 2 {
		t.Run("test", func(t *testing.T) {
			gone = pgtest.URL(t)
			pgtest.Exec(t, gone, "CREATE TABLE rules (id text); INSERT INTO rules VALUES ('SEC-001')")
			if got := pgtest.Value(t, gone, "SELECT count(*) FROM rules"); got != "1" {
				t.Errorf("rules in the test's database: got %s, want 1", got)
			}
		})
	}
	if name := databaseOf(t, gone); name == databaseOf(t, pgtest.URL(t)) {
		t.Errorf("two tests had the database %s", name)
	}
}

func TestADatabaseIsDroppedUnderAnOpenConnection(t *testing.T) {
	var address string
	t.Run("test", func(inner *testing.T) {
		address = pgtest.URL(inner)
		pgtest.Connect(t, address) // as long as the outer test, like a pool that was forgotten
	})
	name := databaseOf(t, address)
	if got := pgtest.Value(t, pgtest.URL(t), "SELECT count(*) FROM pg_database WHERE datname = $1", name); got != "0" {
		t.Errorf("the database %s is still there after its test", name)
	}
}

func TestATemplateIsFilledOnceAndCopiedForEachTest(t *testing.T) {
	var setups atomic.Int32
	setup := func(address string) error {
		setups.Add(1)
		pgtest.Connect(t, address) // left open, as a pool would be
		pgtest.Exec(t, address, "CREATE TABLE categories (id text); INSERT INTO categories VALUES ('security')")
		return nil
	}
	t.Run("tests", func(t *testing.T) {
		for _, name := range []string{"one", "two", "three"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				address := pgtest.Template(t, "categories", setup)
				pgtest.Exec(t, address, "INSERT INTO categories VALUES ($1)", name)
				if got := pgtest.Value(t, address, "SELECT count(*) FROM categories"); got != "2" {
					t.Errorf("categories in the test's copy: got %s, want 2", got)
				}
			})
		}
	})
	if got := setups.Load(); got != 1 {
		t.Errorf("setup ran %d times, want once", got)
	}
}

func TestTheServerSortsTextAndTellsTimeUnlikeGo(t *testing.T) {
	address := pgtest.URL(t)
	if got := pgtest.Value(t, address, "SHOW timezone"); got == "UTC" {
		t.Error("the session's time zone is UTC, which hides a time that was not converted")
	}
	major := pgtest.Value(t, address, "SELECT current_setting('server_version_num')::int / 10000 >= 15")
	if os.Getenv("TENET_TEST_DATABASE_URL") != "" || major != "t" {
		t.Skip("the server is somebody else's, or older than the setting")
	}
	if got := pgtest.Value(t, address, "SELECT 'a' < 'B'"); got != "t" {
		t.Error("text sorts byte by byte, which hides a comparison that relies on it")
	}
}

func TestAStatementThatFailsIsNotSilent(t *testing.T) {
	address := pgtest.URL(t)
	fake := &recorder{TB: t}
	fake.run(func() { pgtest.Exec(fake, address, "SELECT 1/0") })
	if !strings.Contains(fake.failure, "22012") {
		t.Errorf("got failure %q, want one with SQLSTATE 22012", fake.failure)
	}
	fake = &recorder{TB: t}
	fake.run(func() {
		pgtest.Template(fake, "broken", func(string) error { return errors.New("no such migration") })
	})
	if !strings.Contains(fake.failure, "no such migration") {
		t.Errorf("got failure %q, want the setup's error", fake.failure)
	}
}

// databaseOf returns the name of the database in an address.
func databaseOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// A recorder is a test that may fail without failing the test around it.
type recorder struct {
	testing.TB
	failure string
}

// Fatalf records the failure and ends run.
func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	panic(r)
}

func (r *recorder) run(f func()) {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	f()
}
