//go:build !linux

package postgres

import "syscall"

// limitSilence has no like here: keepalives and deadlines must do.
func limitSilence(string, string, syscall.RawConn) error { return nil }
