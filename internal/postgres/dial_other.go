//go:build !linux

package postgres

import "syscall"

// limitSilence does nothing here: keepalives and deadlines have to do.
func limitSilence(string, string, syscall.RawConn) error { return nil }
