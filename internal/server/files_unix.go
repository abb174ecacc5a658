//go:build unix

package server

import "syscall"

// openFiles returns how many files the process may have open; 0 when that is not known.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<30 {
		return 0
	}
	return int(l.Cur) // bounded above; the type differs between systems
}
