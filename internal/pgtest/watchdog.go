package pgtest

import (
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// watchdogScript ends a server and removes its directory as soon as its standard input ends.
//
//go:embed watchdog.sh
var watchdogScript string

// A watchdog is a shell process that outlives the test process, however that ends, to end a server and to remove its
// directory. It does so in the ordinary case too, so that there is one way and it is always used.
type watchdog struct {
	cmd *exec.Cmd

	mu   sync.Mutex // guards pipe
	pipe io.WriteCloser
}

// newWatchdog starts a watchdog over the directory root, which holds the data directory data.
func newWatchdog(root, data string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "pgtest-watchdog", root, data)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends the test's process group must not end it
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Its output goes nowhere: go test would wait for whoever holds the test's own.
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// watch tells which process to end; 0 is none.
func (w *watchdog) watch(pid int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pipe == nil {
		return nil
	}
	_, err := fmt.Fprintln(w.pipe, pid)
	return err
}

// end lets the watchdog do its work and waits for it.
func (w *watchdog) end() error {
	w.mu.Lock()
	pipe := w.pipe
	w.pipe = nil
	w.mu.Unlock()
	if pipe == nil {
		return nil
	}
	_ = pipe.Close()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("end the server and remove its directory: %w", err)
	}
	return nil
}
