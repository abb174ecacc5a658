package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// A StopMode is one of PostgreSQL's ways to shut down.
type StopMode string

// The ways to shut down.
const (
	// Smart refuses new connections and waits for the present ones to be closed by their clients.
	Smart StopMode = "smart"
	// Fast ends every session with an error, rolls back what was open, and writes a checkpoint.
	Fast StopMode = "fast"
	// Immediate ends every process at once; the next start recovers from the log.
	Immediate StopMode = "immediate"
)

func (m StopMode) signal() (syscall.Signal, error) {
	switch m {
	case Smart:
		return syscall.SIGTERM, nil
	case Fast:
		return syscall.SIGINT, nil
	case Immediate:
		return syscall.SIGQUIT, nil
	}
	return 0, fmt.Errorf("there is no stop mode %q", string(m))
}

// errNotRunning is what a method says that needs a running server.
var errNotRunning = errors.New("the server does not run")

// Start starts the server again after Stop, Kill or its own end, on the same port, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.must("start", start(s))
}

// Stop shuts the server down and waits for its end. With [Smart] that means until every client has closed its
// connections: see [Server.Shutdown] for a smart stop under way. A paused server must be continued first.
func (s *Server) Stop(mode StopMode) {
	s.t.Helper()
	s.must("stop", shutdown(s, mode))
	s.WaitStopped()
}

// Shutdown tells the server to shut down and does not wait.
func (s *Server) Shutdown(mode StopMode) {
	s.t.Helper()
	s.must("shut down", shutdown(s, mode))
}

// Restart stops the server by [Fast] and starts it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop(Fast)
	s.Start()
}

// Kill sends SIGKILL to all the server's processes at once, as if the machine had lost them, and waits until they are
// gone.
func (s *Server) Kill() {
	s.t.Helper()
	s.must("kill", kill(s))
}

// KillBackend sends SIGKILL to one backend, upon which the server ends all sessions, recovers, and goes on with the
// same first process. It does not wait for that: see [Server.WaitReady].
func (s *Server) KillBackend() {
	s.t.Helper()
	s.must("kill a backend", killBackend(s))
}

// Pause stops all the server's processes with SIGSTOP. Connections are still accepted by the kernel, and nobody
// answers.
func (s *Server) Pause() {
	s.t.Helper()
	s.must("pause", pause(s))
}

// Continue lets the processes that Pause stopped go on.
func (s *Server) Continue() {
	s.t.Helper()
	s.must("continue", resume(s))
}

// Running tells whether the server's first process exists, paused or not.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid != 0
}

// WaitReady waits until the server answers, after KillBackend for instance.
func (s *Server) WaitReady() {
	s.t.Helper()
	s.must("wait for an answer", waitReady(s))
}

// WaitStopped waits until the server has ended: after [Server.Shutdown], or by itself, as it does when pg_wal is full.
func (s *Server) WaitStopped() {
	s.t.Helper()
	s.must("wait for the end", waitStopped(s))
}

// start starts the server. Should somebody have taken the port of a server that has never run, it takes another.
func start(s *Server) error {
	for tries := 0; ; tries++ {
		err := launch(s)
		if err == nil {
			err = waitReady(s)
		}
		if err == nil || tries == 3 || s.Running() || portIsFree(s.port) {
			return err
		}
		if _, started := os.Stat(s.data + "/postmaster.opts"); started == nil {
			return fmt.Errorf("port %d was taken meanwhile: %w", s.port, err)
		}
		if s.port, err = freePort(); err != nil {
			return err
		}
	}
}

// launch starts the first process.
func launch(s *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the server was removed")
	}
	if s.pid != 0 {
		return errors.New("the server runs already")
	}
	log, err := os.OpenFile(s.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := s.installation.command(context.Background(), s.root, "postgres", "-D", s.data,
		"-p", strconv.Itoa(s.port), "-c", "listen_addresses="+s.options.Network.host(), "-c",
		"unix_socket_directories="+s.root)
	cmd.Stdout, cmd.Stderr = log, log
	if err := s.options.Network.enter(cmd.Start); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.pid, s.exited = cmd.Process.Pid, exited
	err = s.watchdog.watch(s.pid)
	go func() {
		_ = cmd.Wait()
		s.mu.Lock()
		s.pid = 0
		s.mu.Unlock()
		_ = s.watchdog.watch(0)
		close(exited)
	}()
	return err
}

func waitReady(s *Server) error {
	return until("the server to answer", func(ctx context.Context) (bool, error) {
		if !s.Running() {
			return false, fmt.Errorf("%w; its log ends:\n%s", errNotRunning, s.logTail())
		}
		return s.answers(ctx), nil
	})
}

func waitStopped(s *Server) error {
	return until("the server to end", func(context.Context) (bool, error) { return !s.Running(), nil })
}

// running returns the first process, or an error if there is none.
func running(s *Server) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 {
		return 0, errNotRunning
	}
	return s.pid, nil
}

func shutdown(s *Server, mode StopMode) error {
	signal, err := mode.signal()
	if err != nil {
		return err
	}
	pid, err := running(s)
	if err != nil {
		return err
	}
	return send(pid, signal)
}

func pause(s *Server) error {
	pid, err := running(s)
	if err != nil {
		return err
	}
	_, err = freeze(pid)
	return err
}

// resume continues the first process last, so that it finds its children as they were.
func resume(s *Server) error {
	pid, err := running(s)
	if err != nil {
		return err
	}
	pids, err := family(pid)
	if err != nil {
		return err
	}
	for _, child := range pids {
		if child != pid {
			if err := send(child, syscall.SIGCONT); err != nil {
				return err
			}
		}
	}
	return send(pid, syscall.SIGCONT)
}

func kill(s *Server) error {
	pid, err := running(s)
	if err != nil {
		return err
	}
	all, err := freeze(pid)
	if err != nil {
		return err
	}
	for pid := range maps.Keys(all) {
		if err := send(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	return until("the killed processes to be gone", func(context.Context) (bool, error) {
		alive, err := anyAlive(all)
		return !alive && !s.Running(), err
	})
}

func killBackend(s *Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return send(int(conn.PgConn().PID()), syscall.SIGKILL)
}

// close ends the server whatever it does and removes its directory.
func (s *Server) close() error {
	forget(s)
	s.mu.Lock()
	s.closed = true
	exited := s.exited
	s.mu.Unlock()
	err := s.watchdog.end()
	if exited != nil {
		<-exited
	}
	return err
}

// freePort returns a port that nobody listens on now. It lies below those that systems give to outgoing connections,
// so that none of these takes it while the server is stopped.
func freePort() (int, error) {
	for range 100 {
		if port := 20000 + rand.IntN(12000); portIsFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("found no free port in a hundred tries between 20000 and 32000")
}

func portIsFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
