//go:build unix

package server

import (
	"fmt"
	"os"
	"syscall"
)

// openFiles returns how many files the process may have open; 0 when that is not known.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<30 {
		return 0
	}
	return int(l.Cur) // bounded above; the type differs between systems
}

// safeDir returns an error where another account may put files into a data directory: a database or a token of its own.
// A directory that is not there yet is made for this account alone.
func safeDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil //nolint:nilerr // who opens it says what is wrong
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everybody on this machine may put files into the data directory %s (mode %04o): chmod "+
			"700 it, or name another with --data-dir",
			dir, info.Mode().Perm())
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if self := os.Geteuid(); ok && self != 0 && owner.Uid != 0 && int(owner.Uid) != self {
		return fmt.Errorf("the data directory %s belongs to another account (uid %d): run as that account, change "+
			"its owner, or name another with --data-dir",
			dir, owner.Uid)
	}
	return nil
}
