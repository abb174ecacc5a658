// Package pgtest gives tests real PostgreSQL servers, started from the binaries that are installed.
//
// Most tests need only a database: [URL] and [Template] make one on a server that all tests of the process share. A
// test that stops, kills or pauses its server starts one of its own with [Start].
//
// The servers are set up to be unlike a developer's machine where that finds faults: text sorts by ICU's rules for
// English where the binaries have ICU, so a comparison that should go byte by byte and doesn't say so fails; the
// session's time zone is Asia/Kathmandu, so a time that was not turned into UTC shows. They trust every connection from
// this machine, and write without fsync unless [Options] asks for it, which is safe for everything short of the machine
// itself going down.
//
// They are in memory where there is room, and copies of a cluster that initdb has made once, which stays in the user's
// folder of caches.
//
// Whatever becomes of the test process, also kill -9, its servers end and their directories are removed: a small
// shell process waits for that.
//
// The environment says where to look:
//
//   - TENET_TEST_PG_BIN names the directory with postgres and initdb. Without it the newest of
//     /usr/lib/postgresql/*/bin is taken, and then the one on PATH.
//   - TENET_TEST_DATABASE_URL names a running server on which [URL] and [Template] make their databases.
//   - CI makes a test fail that would otherwise be skipped because there is no PostgreSQL.
package pgtest

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"tenet/internal/needs"
)

// common is the server that the tests of this process share.
//
//nolint:gochecknoglobals // one server for the whole test process, started by whichever test asks first
var common shared

// URL returns the address of a new, empty database for this test, on the server that the tests of the process share.
// It is dropped when the test ends. Without PostgreSQL the test is skipped, or fails where the environment has CI set.
func URL(t testing.TB) string {
	t.Helper()
	return common.database(t, "template0")
}

// Template returns the address of a new database for this test that is a copy of one which setup has filled. setup runs
// once in the process for each name, so that migrations are paid for once; a copy takes some 50 milliseconds.
// setup must not be called with different functions under one name. It may leave connections open; they are ended.
func Template(t testing.TB, name string, setup func(url string) error) string {
	t.Helper()
	if !common.keepsTemplates(t) {
		address := common.database(t, "template0")
		if err := setup(address); err != nil {
			t.Fatalf("set up a database as template %q: %v", name, err)
		}
		return address
	}
	template, err := common.template(name, setup)
	if err != nil {
		t.Fatalf("set up the template database %q: %v", name, err)
	}
	return common.database(t, template)
}

// Main runs the tests of a package and then stops the server that they shared, and returns the exit code. Call it from
// TestMain, which need not pass the code on when m is a *testing.M. A package without it loses little: the
// server ends soon after the process, but on a server from TENET_TEST_DATABASE_URL every [Template] runs its setup.
func Main(m interface{ Run() int }) int {
	common.mu.Lock()
	common.main = true
	common.mu.Unlock()
	code := m.Run()
	if err := common.close(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		return max(code, 1)
	}
	return code
}

// A shared is a server for many tests: one that was started for them, or one that was running before.
type shared struct {
	mu sync.Mutex // guards the fields below
	// opened says that address, server and err are known.
	opened  bool
	address string  // of a database from which others can be made
	server  *Server // nil when somebody else's server is used
	err     error
	// main says that close will be called, so that what outlives a test is dropped then.
	main      bool
	templates map[string]func() (string, error)
	dropLater []string
}

// open finds or starts the server, once.
func (s *shared) open() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return s.address, s.err
	}
	s.opened = true
	if s.address = os.Getenv("TENET_TEST_DATABASE_URL"); s.address != "" {
		if u, err := url.Parse(s.address); err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
			s.err = fmt.Errorf("TENET_TEST_DATABASE_URL must look like postgres://user:password@host:5432/postgres")
		}
		return s.address, s.err
	}
	if s.server, s.err = newServer(nil, Options{}); s.err != nil {
		return "", s.err
	}
	if s.err = initialize(s.server); s.err == nil {
		s.err = start(s.server)
	}
	if s.err != nil {
		_ = s.server.close()
		return "", s.err
	}
	s.address = s.server.URL("postgres")
	return s.address, nil
}

// database makes a database from the template for the test, and drops it when the test ends.
func (s *shared) database(t testing.TB, template string) string {
	t.Helper()
	address, err := s.open()
	if err != nil {
		giveUp(t, err)
	}
	name := newName()
	if err := run(address, s.server.create(name, template)); err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := run(address, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return withDatabase(address, name)
}

// keepsTemplates says whether a template database would be removed in the end: together with our own server, or by
// Main.
func (s *shared) keepsTemplates(t testing.TB) bool {
	t.Helper()
	if _, err := s.open(); err != nil {
		giveUp(t, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server != nil || s.main
}

// template returns the name of the database that setup filled, which is made by the first caller; the others wait.
func (s *shared) template(name string, setup func(url string) error) (string, error) {
	s.mu.Lock()
	if s.templates == nil {
		s.templates = make(map[string]func() (string, error))
	}
	once, ok := s.templates[name]
	if !ok {
		once = sync.OnceValues(func() (string, error) { return s.makeTemplate(setup) })
		s.templates[name] = once
	}
	s.mu.Unlock()
	return once()
}

// makeTemplate makes and fills a database, and then shuts everybody out of it: PostgreSQL copies only a database that
// nobody, its own autovacuum included, is connected to.
func (s *shared) makeTemplate(setup func(url string) error) (string, error) {
	name := newName()
	if err := run(s.address, s.server.create(name, "template0")); err != nil {
		return "", err
	}
	s.mu.Lock()
	s.dropLater = append(s.dropLater, name)
	s.mu.Unlock()
	if err := setup(withDatabase(s.address, name)); err != nil {
		return "", err
	}
	if err := run(s.address, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false"); err != nil {
		return "", err
	}
	return name, run(s.address, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
}

// close stops the server if it is ours, and otherwise drops what was left on it.
func (s *shared) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		server := s.server
		s.server, s.opened, s.templates, s.dropLater = nil, false, nil, nil
		return server.close()
	}
	for _, name := range s.dropLater {
		if err := run(s.address, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop the template database %s: %w", name, err)
		}
	}
	s.opened, s.templates, s.dropLater = false, nil, nil
	return nil
}

// giveUp ends a test that cannot have a server: a laptop may lack PostgreSQL, a CI machine may not.
func giveUp(t testing.TB, err error) {
	t.Helper()
	if isMissing(err) {
		needs.Missing(t, "there is no PostgreSQL: %v", err)
	}
	t.Fatalf("a PostgreSQL server for the test: %v", err)
}

// newName returns a database name that no other process of the machine makes.
func newName() string {
	return "pgtest_" + strings.ToLower(rand.Text()[:16])
}

// withDatabase returns the address with another database in it.
func withDatabase(address, name string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // open has parsed it
	}
	u.Path = "/" + name
	return u.String()
}
