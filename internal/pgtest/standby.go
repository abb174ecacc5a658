package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Standby makes a hot standby of the server for the test, by a base backup, which follows it by streaming replication,
// and waits until it answers. The two are independent from then on: each can be stopped, killed or promoted without the
// other. The settings of options are added to those of the server. A server with tablespaces can't have one, since both
// would need the same directory.
func (s *Server) Standby(options Options) *Server {
	s.t.Helper()
	standby := adopt(s.t, options)
	s.must("make a standby", copyFrom(standby, s))
	standby.Start()
	return standby
}

// copyFrom fills the data directory from a running server.
func copyFrom(s *Server, primary *Server) error {
	args := []string{
		"-D", s.data, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
		"-d", fmt.Sprintf("%s&application_name=standby_%d", primary.URL(""), s.port),
	}
	dir, err := prepareWALDir(s)
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
		level, err := value(standby.URL("postgres"), "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)",
			lsn)
		return level == "t", err
	}))
}

// Backup copies the data of the running server, for [Server.Restore].
func (s *Server) Backup() {
	s.t.Helper()
	s.must("back up", s.program("pg_basebackup", "-D", s.backup(), "--wal-method=stream", "--checkpoint=fast",
		"--no-sync", "-d", s.URL("")))
}

// Restore puts the data of the last backup in the place of what the server has now, as after the loss of a disk. The
// server must have been stopped, and is not started.
func (s *Server) Restore() {
	s.t.Helper()
	if s.Running() {
		s.must("restore", errors.New("stop the server first"))
	}
	s.must("restore", os.RemoveAll(s.data))
	s.must("restore", os.Rename(s.backup(), s.data))
}

func (s *Server) backup() string { return filepath.Join(s.root, "backup") }

// Synchronous makes the server acknowledge nothing before its standby has it, so that a failover loses nothing.
func (s *Server) Synchronous() {
	s.t.Helper()
	s.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
	s.Exec("SELECT pg_reload_conf()")
	s.must("become synchronous", until("the standby to be synchronous", func(context.Context) (bool, error) {
		state, err := value(s.URL("postgres"), "SELECT sync_state FROM pg_stat_replication")
		return state == "sync", err
	}))
}

// Detach makes a standby hear no more of its primary, as when the line between the two is cut.
func (s *Server) Detach() {
	s.t.Helper()
	s.Exec("ALTER SYSTEM SET primary_conninfo = ''")
	s.Exec("SELECT pg_reload_conf()")
	s.must("detach", until("the standby to hear nothing", func(context.Context) (bool, error) {
		n, err := value(s.URL("postgres"), "SELECT count(*) FROM pg_stat_wal_receiver")
		return n == "0", err
	}))
}
