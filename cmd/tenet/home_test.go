//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tenet/internal/sqlite"
)

// TestWhatIsNoFileInTheDataDirectoryIsRefused puts a pipe in the place of each file of a data directory: a server and
// a command end with its name, where they would wait for ever.
func TestWhatIsNoFileInTheDataDirectoryIsRefused(t *testing.T) {
	for _, name := range []string{
		"admin.token", "owner.json", "tenet.db", "journal.db", "erasures.ledger", "tenet.lock",
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "tenet.db" {
			put(t, filepath.Join(dir, "tenet.db"), "")
		}
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"list", "rules"}} {
			// In a process of its own, which ends with the test if it waits.
			out, err := exec.CommandContext(t.Context(), "timeout", append([]string{"-s", "KILL", "60", "tenet"},
				append(args, "--data-dir", dir)...)...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), name+" is no ") {
				t.Errorf("%s as a pipe, tenet %s: %v\n%s", name, args[0], err, out)
			}
		}
	}
}

// TestAServerWaitsForACommandThatHasTheDataDirectory starts a server while another process uses the directory, as a
// command does. The server says that it waits, and serves once the other one is done.
func TestAServerWaitsForACommandThatHasTheDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	other, err := sqlite.Own(dir, sqlite.Ownership{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tenet", "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "the server waits until it is done") {
			if err := other.Release(); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(lines.Text(), "tenet started") {
			break
		}
	}
	if !strings.Contains(said.String(), "waits until it is done") || !strings.Contains(said.String(), "tenet started") {
		t.Errorf("beside a command that ends, serve says\n%s", said.String())
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = bufio.NewReader(out).WriteTo(os.Stderr) }()
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ends with %v", err)
	}
}
