package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// A process is a line of the machine's process table.
type process struct {
	pid, parent int
	state       byte // Z is dead and not yet collected by its parent; T is stopped
}

// processes reads the process table: from /proc where there is one, as slim containers have no ps.
func processes() ([]process, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return processesFromPS()
	}
	table := make([]process, 0, len(stats))
	for _, path := range stats {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// The name stands in parentheses and may hold anything, parentheses and spaces included.
		_, rest, ok := bytes.Cut(line[max(0, bytes.LastIndexByte(line, ')')):], []byte(") "))
		if !ok {
			continue
		}
		p := process{}
		p.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if _, err := fmt.Sscanf(string(rest), "%c %d", &p.state, &p.parent); err == nil {
			table = append(table, p)
		}
	}
	return table, nil
}

func processesFromPS() ([]process, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "state=").Output()
	if err != nil {
		return nil, fmt.Errorf("read the process table with ps: %w", err)
	}
	var table []process
	for line := range bytes.Lines(out) {
		p := process{}
		if _, err := fmt.Sscanf(string(line), "%d %d %c", &p.pid, &p.parent, &p.state); err == nil {
			table = append(table, p)
		}
	}
	return table, nil
}

// family returns the live processes of a server: pid and its children. All of PostgreSQL's are direct children of the
// first.
func family(pid int) ([]int, error) {
	table, err := processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range table {
		if (p.pid == pid || p.parent == pid) && p.state != 'Z' {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}

// anyAlive tells whether one of the processes still runs. A dead one whose parent does not collect it doesn't count:
// nobody may be there to do so in a container.
func anyAlive(pids map[int]bool) (bool, error) {
	table, err := processes()
	if err != nil {
		return false, err
	}
	for _, p := range table {
		if pids[p.pid] && p.state != 'Z' {
			return true, nil
		}
	}
	return false, nil
}

// freeze stops the server's first process, which then cannot make others, and after it all the others, and returns
// them.
func freeze(pid int) (map[int]bool, error) {
	frozen := make(map[int]bool)
	for {
		if err := send(pid, syscall.SIGSTOP); err != nil {
			return frozen, err
		}
		pids, err := family(pid)
		if err != nil {
			return frozen, err
		}
		fresh := 0
		for _, pid := range pids {
			if !frozen[pid] {
				fresh++
				frozen[pid] = true
				if err := send(pid, syscall.SIGSTOP); err != nil {
					return frozen, err
				}
			}
		}
		// A child that was being born while the first process was told to stop is seen in the next round.
		if fresh == 0 {
			return frozen, nil
		}
	}
}

// send signals a process; one that has ended needs no signal.
func send(pid int, signal syscall.Signal) error {
	err := syscall.Kill(pid, signal)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to process %d: %w", signal, pid, err)
	}
	return nil
}
