package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"tenet/internal/backup"
	"tenet/internal/server"
	"tenet/internal/store"
)

// A backupSetup shows or writes what backups need.
type backupSetup struct {
	a *app
	s backupSetupSettings
}

func (b *backupSetup) do(ctx context.Context) error {
	a, s := b.a, &b.s
	if s.Dir == "" {
		return usageError("name the directory for the backups with --backup-dir, best on another disk")
	}
	for _, path := range []*string{&s.Dir, &s.KeyFile, &s.Config} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	if s.KeyFile != "" {
		if _, err := backup.ReadKey(s.KeyFile); err != nil {
			return err
		}
	}
	if a.DatabaseURL != "" && s.Engine != backup.BaseBackupName {
		err := b.postgreSQL(ctx)
		if errors.Is(err, server.ErrSettingsLeft) { // the rest can be put in place all the same
			return errors.Join(b.settings(), err)
		}
		if err != nil {
			return err
		}
	}
	return b.settings()
}

// settings shows or writes the lines of the settings file. Those that stand there already, and say the same, stay.
func (b *backupSetup) settings() error {
	a, s := b.a, &b.s
	path := a.file.path
	if path == "" {
		path = filepath.Join(a.DataDir, settingsFileName)
	}
	var lines strings.Builder
	for _, line := range []struct{ key, value string }{
		{"backup_dir", s.Dir},
		{"backup_key_file", s.KeyFile},
		{"backup_config", s.Config},
		{"backup_engine", strings.TrimPrefix(s.Engine, backup.PgBackRestName)},
	} {
		if line.value == "" {
			continue
		}
		if before, set := a.file.values[line.key]; set {
			if before.Value != line.value {
				return usageError("%s sets %s already, to something else: change it there", path, line.key)
			}
			continue
		}
		fmt.Fprintf(&lines, "%s: %q\n", line.key, line.value)
	}
	if lines.Len() == 0 {
		a.say("%s names the backups already", path)
		return nil
	}
	if !s.Write {
		_, err := fmt.Fprintf(a.out, "# in %s, or run this again with --write\n%s", path, lines.String())
		return err
	}
	if a.DatabaseURL == "" { // that of a PostgreSQL is the account's
		if err := os.MkdirAll(s.Dir, 0o700); err != nil {
			return err
		}
	}
	if err := appendFile(path, lines.String()); err != nil {
		return err
	}
	a.say("%s now names the backups; start the server anew, then `tenet backup run` and `tenet backup drill`", path)
	if s.KeyFile != "" {
		a.say("keep a copy of the key elsewhere: without it nobody can read the backups")
	}
	return nil
}

// postgreSQL shows or puts in place what backups of a PostgreSQL need.
func (b *backupSetup) postgreSQL(ctx context.Context) error {
	a, s := b.a, &b.s
	o := a.localOptions()
	o.Backups = s.Backups
	var live backup.Cluster
	db, done, err := server.OpenCluster(ctx, o)
	away, _ := errors.AsType[*store.UnavailableError](err)
	switch {
	case away != nil && !away.Halt: // one that answers and can't be used is to be mended first
		a.say("PostgreSQL can't be reached (%s): this is for a restore, and to be run again when it is back", err)
	case err != nil:
		return err
	default:
		defer func() { _ = done() }()
		live = db.Cluster
	}
	setup, restart, err := server.SetUpBackups(ctx, o, live, s.Write)
	if errors.Is(err, server.ErrSettingsLeft) {
		if _, said := io.WriteString(a.out, strings.Join(setup.Statements, ";\n")+";\n"); said != nil {
			return said
		}
	}
	if err != nil {
		return err
	}
	if !s.Write {
		config := s.Config
		if config == "" {
			config = filepath.Join(a.DataDir, server.PgBackRestFile)
		}
		text := fmt.Sprintf("# %s, readable by PostgreSQL's account alone\n%s\n", config, setup.Shown())
		if setup.PostgreSQL != "" {
			text += fmt.Sprintf("# in postgresql.conf; archive_mode takes a restart\n%s\n", setup.PostgreSQL)
		}
		_, err := io.WriteString(a.out, text)
		return err
	}
	if live == nil {
		a.say("pgBackRest's configuration is written, for a restore")
		return nil
	}
	a.say("pgBackRest's configuration is written, and PostgreSQL's settings are changed")
	if restart {
		a.say("restart PostgreSQL now: it reads archive_mode when it starts")
	}
	return nil
}

// appendFile adds lines to a settings file, which is made where there is none.
func appendFile(path, lines string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if n := info.Size(); n > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			lines = "\n" + lines
		}
	}
	_, err = f.WriteString(lines)
	return err
}
