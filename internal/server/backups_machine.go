package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"tenet/internal/backup"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// machinesDir holds the backups of the journals of instances, among those of their PostgreSQL.
const machinesDir = "machines"

// machineName is what a machine may be called: its copies are a directory of that name.
var machineName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)
})

// OpenMachineBackups returns the engine for backups of the files that only this instance has: its journal, with the
// acknowledged writes that wait for the primary, and its admin's token. Without a journal it only reads backups.
func OpenMachineBackups(o Options, machine string, waiting *journal.Journal) (backup.Engine, error) {
	if o.Backups.Dir == "" {
		return nil, errors.New("no backup directory: name one with --backup-dir, best on another disk")
	}
	if !machineName().MatchString(machine) {
		return nil, fmt.Errorf("%q is no name of a machine", machine)
	}
	key, err := backup.ReadKey(o.Backups.KeyFile)
	if err != nil {
		return nil, err
	}
	e := backup.EmbeddedOptions{
		Dir: filepath.Join(o.Backups.Dir, machinesDir, machine), Key: key, File: JournalFile,
		Beside:  []string{filepath.Join(o.DataDir, TokenFile)},
		Inspect: inspectJournal, Keep: o.Backups.Keep, Free: freeSpace, Program: o.Version,
	}
	if waiting != nil {
		e.Database = journalCopier{Journal: waiting}
	}
	return backup.NewEmbedded(e), nil
}

// journalCopier is a journal as backups see it: it has no documents and no log of its own.
type journalCopier struct {
	store.Reader
	*journal.Journal
}

// Changes implements [backup.Database].
func (journalCopier) Changes(context.Context, knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return nil, nil
}

// inspectJournal looks a copy of a journal over.
func inspectJournal(ctx context.Context, path string) (f backup.Facts, err error) {
	j, err := journal.Open(ctx, path, journal.Options{})
	if err != nil {
		return f, err
	}
	return f, j.Close()
}

// machineJobs describes the job that backs up this instance's own files. It also runs while PostgreSQL is down, when it
// matters most.
func (d *dual) machineJobs(o Options) ([]upkeep.Job, error) {
	if o.Backups.Dir == "" {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	e, err := OpenMachineBackups(o, host, d.journal)
	if err != nil {
		return nil, err
	}
	return []upkeep.Job{{
		Name: "backup.machine", Schedule: "*/15 * * * *", Book: upkeep.Local,
		Doc: "Copies what this machine alone has to the backups: the journal, with the writes that wait for " +
			"PostgreSQL, and the admin's token",
		Do: func(ctx context.Context, progress *upkeep.Progress) (string, error) {
			c, err := e.Full(ctx, progress.Set)
			if err != nil {
				return "", err
			}
			old, err := e.Expire(ctx)
			return fmt.Sprintf("copy %s of %s, %d bytes; %s removed", c.Name, host, c.Bytes,
				knowledge.Count(len(old), "old copy", "old copies")), err
		},
	}}, nil
}

// isSetUp reports whether this machine backs the database up: a PostgreSQL is backed up where pgBackRest's
// configuration is, and by none of the other machines.
func (o Options) isSetUp() bool {
	if o.Backups.Dir == "" {
		return false
	}
	if o.DatabaseURL == "" || o.Backups.Engine == backup.BaseBackupName {
		return true
	}
	_, err := os.Stat(o.Backups.withDefaults(o.DataDir).Config)
	return !errors.Is(err, fs.ErrNotExist)
}
