package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/awaittest"
)

// patience is how long a server may take for any one step. It is long, as test machines are slow; nothing waits for it
// but a failing test.
const patience = 60 * time.Second

// Options say how a server of one test differs from the usual. The zero value is the usual.
type Options struct {
	// Durable makes the server write with fsync and full pages, as in production. Default: it does not, which is as
	// safe against kill -9 and much faster.
	Durable bool
	// Settings go into postgresql.conf, where ALTER SYSTEM can still override them.
	Settings map[string]string
	// Dir is the directory in which the server's own directory is made, such as a [SmallDisk]. Default: [InMemory] for
	// a server that is not durable, since making and removing databases costs a disk's file system most of the time.
	Dir string
	// WALDir is an empty or missing directory for pg_wal. Default: inside the data directory.
	WALDir string
	// Network is where the server is, instead of this machine's loopback. The program under test must be told to trust
	// it.
	Network *Network
}

// A Server is a PostgreSQL server of one test. Its methods fail the test when they do not succeed; the test must have
// outlasted every goroutine that calls them. It listens on one port for all its life.
type Server struct {
	t            testing.TB // nil: the server is shared and its methods' inner forms are used
	installation installation
	options      Options
	root         string // all that is ours; removed in the end
	data         string
	port         int
	watchdog     *watchdog

	mu     sync.Mutex // guards the fields below
	pid    int        // of the first process, the postmaster; 0: none runs
	exited chan struct{}
	closed bool
}

// Start makes a new server for the test and waits until it answers. It is stopped and removed when the test ends,
// whatever state it is in then. Without PostgreSQL's binaries the test is skipped, or fails where the environment has
// CI set.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	s := adopt(t, options)
	s.must("make a PostgreSQL server", initialize(s))
	s.Start()
	return s
}

// adopt makes a server without data and sees to its end.
func adopt(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := newServer(t, options)
	if err != nil {
		giveUp(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of the server on port %d:\n%s", s.port, s.logTail())
		}
		if err := s.close(); err != nil {
			t.Errorf("remove the server on port %d: %v", s.port, err)
		}
	})
	return s
}

// newServer makes the directory and the watchdog.
func newServer(t testing.TB, options Options) (*Server, error) {
	installation, err := findInstallation()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if options.Dir == "" && !options.Durable {
		options.Dir = InMemory()
	}
	root, err := os.MkdirTemp(options.Dir, "pgtest-") //nolint:usetesting // the server's account may not enter t.TempDir
	if err != nil {
		return nil, err
	}
	s := &Server{
		t: t, installation: installation, options: options,
		root: root, data: filepath.Join(root, "data"), port: port,
	}
	if err = installation.give(root); err == nil {
		s.watchdog, err = newWatchdog(root, s.data)
	}
	if err != nil {
		_ = os.RemoveAll(root)
		return nil, err
	}
	return s, nil
}

// initialize makes the data directory.
func initialize(s *Server) error {
	args := []string{"-D", s.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8"}
	if !s.options.Durable {
		args = append(args, "--no-sync")
	}
	dir, err := prepareWALDir(s)
	if err != nil {
		return err
	}
	if dir != "" {
		args = append(args, "--waldir="+dir)
	}
	if err := makeCluster(s, args); err != nil {
		return err
	}
	settings := map[string]string{
		"timezone": "Asia/Kathmandu",
		// files in the data directory, so that a killed server leaves nothing elsewhere
		"dynamic_shared_memory_type": "mmap",
	}
	if !s.options.Durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
		settings["max_wal_size"] = "256MB" // it may be in memory
	}
	if err := s.configure(settings); err != nil {
		return err
	}
	if err := s.appendTo("pg_hba.conf", "host all all 198.18.0.0/15 trust\n"); err != nil { // where a Network is
		return err
	}
	return s.configure(s.options.Settings)
}

// makeCluster makes the data directory as initdb does, and keeps a copy for the next server.
func makeCluster(s *Server, args []string) error {
	kept := keep(s, args)
	if kept != "" && copyTree(kept, s.data) == nil {
		return nil
	}
	if err := os.RemoveAll(s.data); err != nil { // half of a copy
		return err
	}
	// ICU came to initdb with 15, and can be left out when PostgreSQL is built.
	icu := append(slices.Clone(args), "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
	if s.installation.major < 15 || s.program("initdb", icu...) != nil {
		if err := s.program("initdb", append(args, "--locale=C")...); err != nil {
			return err
		}
	}
	if kept != "" {
		save(s.data, kept)
	}
	return nil
}

// prepareWALDir makes the directory for pg_wal, if one is wanted, and hands it to the server's account.
func prepareWALDir(s *Server) (string, error) {
	if s.options.WALDir == "" {
		return "", nil
	}
	if err := os.MkdirAll(s.options.WALDir, 0o700); err != nil {
		return "", err
	}
	return s.options.WALDir, s.installation.give(s.options.WALDir)
}

// program runs one of PostgreSQL's programs to its end; the error has what it printed.
func (s *Server) program(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := s.installation.command(ctx, s.root, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// configure appends to postgresql.conf, where a later line wins.
func (s *Server) configure(settings map[string]string) error {
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return s.appendTo("postgresql.conf", lines.String())
}

func (s *Server) appendTo(name, text string) error {
	file, err := os.OpenFile(filepath.Join(s.data, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// URL returns the address of a database of the server. A new server has "postgres" alone.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Host: s.Addr(), Path: "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// SocketURL returns the address of a database by way of the server's Unix socket.
func (s *Server) SocketURL(database string) string {
	query := url.Values{"host": {s.root}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// Addr returns the address that the server listens on, as host:port, for a proxy before it.
func (s *Server) Addr() string {
	return net.JoinHostPort(s.options.Network.host(), strconv.Itoa(s.port))
}

// DataDir returns the data directory.
func (s *Server) DataDir() string { return s.data }

// MakeDir returns a new directory of a server's account, for what its programs write. It goes with the server.
func MakeDir(s *Server, name string) string {
	s.t.Helper()
	dir := filepath.Join(s.root, name)
	s.must("make a directory", os.Mkdir(dir, 0o700))
	s.must("make a directory", s.installation.give(dir))
	return dir
}

// LinkDir makes a directory with the same files as another one of a server's account. A file that is to be changed in
// one of them has to be replaced.
func LinkDir(s *Server, from, to string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "cp", "-al", from, to)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.must("link "+from, fmt.Errorf("%w: %s", err, out))
	}
}

// WriteFile writes a file that a server's account may read.
func WriteFile(s *Server, path, text string) {
	s.t.Helper()
	s.must("write "+path, errors.Join(os.WriteFile(path, []byte(text), 0o600), s.installation.give(path)))
}

// Log returns what the server has logged so far.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.logFile())
	s.must("read the log", err)
	return string(log)
}

func (s *Server) logFile() string { return filepath.Join(s.root, "log") }

// logTail returns the end of the log, for messages.
func (s *Server) logTail() string {
	const most = 4000
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	if len(log) > most {
		log = log[len(log)-most:]
		log = log[bytes.IndexByte(log, '\n')+1:]
	}
	return string(log)
}

// must fails the test that owns the server when a step has failed.
func (s *Server) must(step string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s (server on port %d): %v", step, s.port, err)
	}
}

// Await asks again and again until the condition holds, and fails the test when that takes more than a minute.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if err := until(what, func(context.Context) (bool, error) { return condition(), nil }); err != nil {
		t.Fatal(err)
	}
}

// until asks again and again until the condition holds, fails, or patience ends.
func until(what string, condition func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var failure error
	if !awaittest.Until(patience, func() bool {
		ok, err := condition(ctx)
		failure = err
		return ok || err != nil
	}) {
		return fmt.Errorf("waited %v in vain for %s", patience, what)
	}
	return failure
}

// answers tells whether the server takes connections and runs statements.
func (s *Server) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.Ping(ctx) == nil
}
