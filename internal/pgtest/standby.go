package pgtest

import (
	"context"
	"fmt"
)

// Standby makes a hot standby of the server for the test, by a base backup, which follows it by streaming replication, and
// waits until it answers. The two are independent from then on: each can be stopped, killed or promoted without the other.
// The settings of options are added to those of the server. A server with tablespaces can't have one, since both would
// need the same directory.
func (s *Server) Standby(options Options) *Server {
	s.t.Helper()
	standby := adopt(s.t, options)
	s.must("make a standby", standby.copyFrom(s))
	standby.Start()
	return standby
}

// copyFrom fills the data directory from a running server.
func (s *Server) copyFrom(primary *Server) error {
	args := []string{
		"-D", s.data, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
		"-d", fmt.Sprintf("%s&application_name=standby_%d", primary.URL(""), s.port),
	}
	dir, err := s.prepareWALDir()
	if err != nil {
		return err
	}
	if dir != "" {
		args = append(args, "--waldir="+dir)
	}
	if err := s.program("pg_basebackup", args...); err != nil {
		return err
	}
	return s.configure(s.options.Settings)
}

// Promote makes a standby a primary and waits until it takes writes.
func (s *Server) Promote() {
	s.t.Helper()
	s.must("promote", run(s.URL("postgres"), "SELECT pg_promote(false)"))
	s.must("promote", until("the end of recovery", func(context.Context) (bool, error) {
		recovering, err := value(s.URL("postgres"), "SELECT pg_is_in_recovery()")
		return recovering == "f", err
	}))
}

// CatchUp waits until the standby has replayed all that the primary had written when it was called.
func (s *Server) CatchUp(standby *Server) {
	s.t.Helper()
	lsn, err := value(s.URL("postgres"), "SELECT pg_current_wal_lsn()")
	s.must("ask for the end of the log", err)
	s.must("catch up", until("the standby to have replayed "+lsn, func(context.Context) (bool, error) {
		level, err := value(standby.URL("postgres"), "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)", lsn)
		return level == "t", err
	}))
}
