package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/pgtest"
)

// answer is what a client sees within a deadline.
func answer(t *testing.T, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	conn, err := pgconn.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.Exec(ctx, "SELECT 1").Close()
}

func TestAServerKeepsItsDataAndItsPortThroughEveryWayToStop(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "17"}})
	address := s.URL("postgres")
	if got := pgtest.Value(t, address, "SHOW max_connections"); got != "17" {
		t.Errorf("max_connections: got %s, want the 17 of the settings", got)
	}
	s.Exec("CREATE TABLE steps (name text)")
	steps := []struct {
		name string
		do   func()
	}{
		{"smart", func() { s.Stop(pgtest.Smart) }},
		{"fast", func() { s.Stop(pgtest.Fast) }},
		{"immediate", func() { s.Stop(pgtest.Immediate) }},
		{"kill", s.Kill},
	}
	for i, step := range steps {
		s.Exec("INSERT INTO steps VALUES ($1)", step.name)
		step.do()
		if s.Running() {
			t.Errorf("after %s: the server runs", step.name)
		}
		if err := answer(t, address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after %s: got %v, want connection refused", step.name, err)
		}
		s.Start()
		if got := pgtest.Value(t, address, "SELECT count(*) FROM steps"); got != strconv.Itoa(i+1) {
			t.Errorf("after %s and start: %s of %d committed rows are there", step.name, got, i+1)
		}
	}
	s.Restart()
	if got := pgtest.Value(t, s.SocketURL("postgres"), "SELECT count(*) FROM steps"); got != "4" {
		t.Errorf("by the socket after a restart: got %s rows, want 4", got)
	}
	if !strings.Contains(s.Log(), "automatic recovery") && !strings.Contains(s.Log(), "redo done") {
		t.Error("the log tells nothing of the recovery after the kill")
	}
}

func TestAPausedServerIsSilentUntilItIsContinued(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	s.Pause()
	if err := answer(t, s.URL("postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused: got %v, want nothing before the deadline", err)
	}
	s.Continue()
	s.WaitReady()
	s.Pause() // the end of the test must cope
}

func TestAKilledBackendTakesAllSessionsWithItAndTheServerRecovers(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	conn := pgtest.Connect(t, s.URL("postgres"))
	var postmaster string
	sql := "SELECT pg_read_file('postmaster.pid', 0, 5)"
	if err := conn.QueryRow(t.Context(), sql).Scan(&postmaster); err != nil {
		t.Fatal(err)
	}
	s.KillBackend()
	for conn.Ping(t.Context()) == nil { // ends when the server has ended the session
	}
	s.WaitReady()
	if got := pgtest.Value(t, s.URL("postgres"), sql); got != postmaster {
		t.Errorf("first process: got %s, want still %s", got, postmaster)
	}
}

func TestASmartShutdownWaitsForItsClients(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	conn := pgtest.Connect(t, s.URL("postgres"))
	s.Shutdown(pgtest.Smart)
	for answer(t, s.URL("postgres")) == nil { // ends when the server refuses the next client
	}
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("a session that was there before: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.WaitStopped()
}

func TestADurableServerWritesThrough(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{Durable: true})
	if got := pgtest.Value(t, s.URL("postgres"), "SHOW fsync"); got != "on" {
		t.Errorf("fsync: got %s, want on", got)
	}
	if got := pgtest.Value(t, s.NewDatabase(), "SELECT 1"); got != "1" {
		t.Errorf("in a new database: got %s, want 1", got)
	}
}

func TestAStandbyFollowsAndTakesOverWhenPromoted(t *testing.T) {
	primary := pgtest.Start(t, pgtest.Options{})
	standby := primary.Standby(pgtest.Options{})
	primary.Exec("CREATE TABLE rules (id text)")
	primary.Exec("INSERT INTO rules VALUES ('SEC-001')")
	primary.CatchUp(standby)
	if got := pgtest.Value(t, standby.URL("postgres"), "SELECT id FROM rules"); got != "SEC-001" {
		t.Errorf("on the standby: got %q, want SEC-001", got)
	}
	primary.Kill()
	standby.Promote()
	standby.Exec("INSERT INTO rules VALUES ('SEC-002')")
	second := standby.Standby(pgtest.Options{})
	if got := pgtest.Value(t, second.URL("postgres"), "SELECT count(*) FROM rules"); got != "2" {
		t.Errorf("on a standby of the promoted server: got %s rows, want 2", got)
	}
}

func TestAFullDiskForTheLogEndsTheServer(t *testing.T) {
	disk := pgtest.SmallDisk(t, 40<<20)
	s := pgtest.Start(t, pgtest.Options{WALDir: filepath.Join(disk, "wal")})
	s.Exec("CREATE TABLE filler (text text)")
	// The session ends with the server, so it reports no code of its own.
	conn := pgtest.Connect(t, s.URL("postgres"))
	_, err := conn.Exec(t.Context(), "INSERT INTO filler SELECT repeat(md5(n::text), 30) FROM generate_series(1, "+
		"100000) n")
	if err == nil {
		t.Error("100 MB of log fitted on a disk of 40")
	}
	s.WaitStopped()
}

func TestAFullTablespaceIsAnErrorAndTheServerGoesOn(t *testing.T) {
	disk := pgtest.SmallDisk(t, 1<<20)
	s := pgtest.Start(t, pgtest.Options{})
	s.Tablespace("small", disk)
	s.Exec("CREATE TABLE filler (text text) TABLESPACE small")
	conn := pgtest.Connect(t, s.URL("postgres"))
	_, err := conn.Exec(t.Context(), "INSERT INTO filler SELECT repeat(md5(n::text), 30) FROM generate_series(1, "+
		"10000) n")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "53100" {
		t.Errorf("got %v, want SQLSTATE 53100", err)
	}
	if got := pgtest.Value(t, s.URL("postgres"), "SELECT 1"); got != "1" {
		t.Errorf("after the error: got %s, want 1", got)
	}
}

// victimVariable makes TestVictim do its part; its value says in which state the victim dies.
const victimVariable = "PGTEST_VICTIM"

// TestVictim is not a test: another one runs it in a process of its own and kills that.
func TestVictim(t *testing.T) {
	state := os.Getenv(victimVariable)
	if state == "" {
		return
	}
	s := pgtest.Start(t, pgtest.Options{})
	first := pgtest.Value(t, s.URL("postgres"), "SELECT pg_read_file('postmaster.pid')")
	if state == "paused" {
		s.Pause()
	}
	pid, _, _ := strings.Cut(first, "\n")
	_, _ = fmt.Printf("victim %s %s\n", pid, s.DataDir())
	select {}
}

func TestAServerEndsWithATestProcessThatIsKilled(t *testing.T) {
	for _, state := range []string{"running", "paused"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
			cmd.Env = append(os.Environ(), victimVariable+"="+state)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid int
			var data string
			for lines := bufio.NewScanner(out); data == "" && lines.Scan(); {
				_, _ = fmt.Sscanf(lines.Text(), "victim %d %s", &pid, &data)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if data == "" {
				t.Fatal("the victim did not start a server")
			}
			pgtest.Await(t, "the server to end", func() bool {
				state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				return syscall.Kill(pid, 0) != nil || (err == nil && strings.Contains(string(state), ") Z "))
			})
			pgtest.Await(t, "its directory to be removed", func() bool {
				_, err := os.Stat(filepath.Dir(data))
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}
