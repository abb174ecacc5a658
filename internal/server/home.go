package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A home is a data directory that this process owns.
type home struct {
	dir  string
	lock *os.File
}

// openHome makes the data directory where there is none and takes it. The error is an [*OwnedError] when another process has
// it.
func openHome(dir string) (*home, error) {
	if dir == "" {
		return nil, errors.New("no data directory: name one with --data-dir")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "tenet.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, ownedBy(dir)
	}
	return &home{dir, f}, nil
}

// ownedBy returns who owns a data directory.
func ownedBy(dir string) error {
	a, err := readAddress(dir)
	if err != nil {
		return err
	}
	return &OwnedError{Dir: dir, URL: a.URL, PID: a.PID, Dual: a.Dual}
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// close lets go of the directory.
func (h *home) close() error {
	err := os.Remove(h.path(addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, h.lock.Close())
}

func pid() int { return os.Getpid() }
