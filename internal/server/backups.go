package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// Backups configures where copies of the data go. Without a directory none are made.
type Backups struct {
	Dir     string `name:"backup-dir" doc:"Directory for backups, best on another disk; none are made without it"`
	KeyFile string `name:"backup-key-file" doc:"File with the key of the backups: an age identity, age recipients or a passphrase, of a PostgreSQL always a passphrase; they are not encrypted without it"`
	Engine  string `name:"backup-engine" default:"pgbackrest" doc:"What backs a PostgreSQL up: pgbackrest, on its host, with every write archived; or basebackup, over a connection from anywhere, whole copies alone"`
	Config  string `name:"backup-config" doc:"pgBackRest's configuration file, which tenet backup setup writes; pgbackrest.conf in the data directory when empty"`
	Stanza  string `name:"backup-stanza" default:"tenet" doc:"Name of the PostgreSQL in pgBackRest's configuration"`
	User    string `name:"backup-user" default:"postgres" doc:"Account that runs pgBackRest and PostgreSQL's programs when tenet is run by root, which PostgreSQL refuses"`
	Keep    backup.Keep
}

// A BackedUp database is what backups are made of, and held against: none of the two for an engine that only reads
// copies.
type BackedUp struct {
	Database backup.Database // embedded
	Cluster  backup.Cluster
}

// PgBackRestFile is pgBackRest's configuration in a data directory. It holds the passphrase, so that it is not beside
// the copies.
const PgBackRestFile = "pgbackrest.conf"

// check returns an error where the engine is none.
func (b Backups) check() error {
	switch b.Engine {
	case "", backup.PgBackRestName, backup.BaseBackupName:
		return nil
	}
	return fmt.Errorf("%q: want %s or %s", b.Engine, backup.PgBackRestName, backup.BaseBackupName)
}

// withDefaults names what is not named.
func (b Backups) withDefaults(dataDir string) Backups {
	settings.Defaults(&b)
	if b.Config == "" {
		b.Config = filepath.Join(dataDir, PgBackRestFile)
	}
	return b
}

// OpenBackups returns the engine that makes and reads copies of the database that the options name.
func OpenBackups(o Options, live BackedUp) (backup.Engine, error) {
	if o.Backups.Dir == "" {
		return nil, errors.New("no backup directory: name one with --backup-dir, best on another disk")
	}
	if o.DatabaseURL != "" {
		switch o.Backups.Engine {
		case "", backup.PgBackRestName:
			return openPgBackRest(o, live.Cluster)
		case backup.BaseBackupName:
			return openBaseBackup(o, live.Cluster)
		}
		return nil, fmt.Errorf("backup engine %q: want %s or %s", o.Backups.Engine, backup.PgBackRestName,
			backup.BaseBackupName)
	}
	key, err := backup.ReadKey(o.Backups.KeyFile)
	if err != nil {
		return nil, err
	}
	return backup.NewEmbedded(backup.EmbeddedOptions{
		Dir: o.Backups.Dir, Key: key, Database: live.Database, File: databaseFile,
		Beside:  []string{filepath.Join(o.DataDir, TokenFile)},
		Inspect: inspectCopy, Open: openCopy, Keep: o.Backups.Keep, Free: freeSpace, Program: o.Version,
	}), nil
}

// openCopy opens a copy of an embedded database for reading. It is migrated where it is older than the program.
func openCopy(ctx context.Context, path string) (store.Reader, func() error, error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{CheckLimit: -1})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// inspectCopy looks a copy over for damage, verifies its log and its audit, and returns what it holds.
func inspectCopy(ctx context.Context, path string) (f backup.Facts, err error) {
	s, err := sqlite.Open(ctx, path, sqlite.Options{CheckLimit: 1 << 62})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.VerifyChanges(ctx, nil); err != nil {
		return f, err
	}
	if _, err := sqlite.NewAuditBook(s).Verify(ctx, nil); err != nil {
		return f, err
	}
	st, err := s.Stat(ctx)
	if err != nil {
		return f, err
	}
	return factsOf(ctx, s, st.Schema.Version)
}

// LookIntoRestored checks what lists and searches of a restored embedded database find its documents by. A backup in
// which that does not fit is restored all the same: the documents are what was verified.
func LookIntoRestored(ctx context.Context, dir string) (err error) {
	s, err := sqlite.Open(ctx, filepath.Join(dir, databaseFile), sqlite.Options{CheckLimit: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return sqlite.VerifyPlaces(ctx, s)
}

// A counted store tells how many documents of each kind it holds.
type counted interface {
	store.Feed
	Count(ctx context.Context, kind knowledge.Kind) (int64, error)
}

// factsOf returns what a restored database holds.
func factsOf(ctx context.Context, s counted, schema int64) (backup.Facts, error) {
	f := backup.Facts{Schema: schema, Documents: map[knowledge.Kind]int64{}}
	last, err := s.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil {
		return f, err
	}
	if len(last) > 0 {
		f.At, f.Seq, f.Chain = last[0].At, last[0].Seq, hex.EncodeToString(last[0].Chain[:])
	}
	for _, kind := range knowledge.Kinds() {
		if f.Documents[kind], err = s.Count(ctx, kind); err != nil {
			return f, err
		}
	}
	return f, nil
}

// openUpkeep makes the keeper of the jobs, and the backups where a directory is named for them.
func (p *parts) openUpkeep(o Options) (err error) {
	if o.isSetUp() {
		if p.backups, err = OpenBackups(o, liveOf(p.engine)); err != nil {
			return err
		}
	}
	p.measureBackups()
	p.keeper, err = p.newKeeper(o, newJobMetrics(p.metrics).ended)
	return err
}

// backupStatus is what the status page shows of the backups: the newest, and the last drill with its figures.
func (p *parts) backupStatus(ctx context.Context) map[string]any {
	if p.backups == nil {
		return nil
	}
	d := map[string]any{}
	list, err := p.backups.List(ctx)
	if err != nil {
		d["error"] = err.Error()
	}
	d["copies"] = len(list)
	if len(list) > 0 {
		d["newest"] = list[0]
	}
	if drill, err := p.backups.LastDrill(); err == nil && drill != nil {
		d["drill"] = drill
	}
	return d
}

// glanceEvery is how old the answer to a scrape may be: of a PostgreSQL's backups another program has to be asked.
const glanceEvery = time.Minute

// newestBackup returns when the newest backup was made, 0 when there is none or that can't be told.
func (p *parts) newestBackup(ctx context.Context) float64 {
	if p.backups == nil {
		return 0
	}
	p.glance.mu.Lock()
	defer p.glance.mu.Unlock()
	if time.Since(p.glance.at) < glanceEvery {
		return p.glance.newest
	}
	p.glance.at, p.glance.newest = time.Now(), 0
	if list, err := p.backups.List(ctx); err == nil && len(list) > 0 {
		p.glance.newest = float64(backup.Newest(list).At.Unix())
	}
	return p.glance.newest
}

// A glance is what was last seen of the backups.
type glance struct {
	mu     sync.Mutex // guards the fields below
	at     time.Time
	newest float64
}

// measureBackups registers the age of the newest backup and the figures of the last drill. What there is not yet is 0.
func (p *parts) measureBackups() {
	gauge := func(name, help string, value func(context.Context) float64) {
		p.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), statusTimeout) //nolint:forbidigo // a scrape brings no context
			defer cancel()
			return value(ctx)
		}))
	}
	drill := func(value func(*backup.Drill) float64) func(context.Context) float64 {
		return func(context.Context) float64 {
			if p.backups == nil {
				return 0
			}
			d, err := p.backups.LastDrill()
			if err != nil || d == nil || d.Error != "" {
				return 0
			}
			return value(d)
		}
	}
	gauge("tenet_backup_newest_timestamp_seconds",
		"When the newest backup was made; old means that a lost disk loses as much.", p.newestBackup)
	gauge("tenet_backup_archived_timestamp_seconds",
		"When the newest WAL in the archive of a PostgreSQL's backups was archived, as the job backup.wal saw it "+
			"here; old means that a lost disk loses as much; 0 where it has not run.",
		func(context.Context) float64 { return float64(p.archivedAt.Load()) })
	gauge("tenet_backup_drill_timestamp_seconds", "When a drill last proved a backup; 0 when the last one failed.",
		drill(func(d *backup.Drill) float64 { return float64(d.At.Unix()) }))
	gauge("tenet_backup_drill_rto_seconds", "How long the last drill took to restore and verify; 0 when it failed.",
		drill(func(d *backup.Drill) float64 { return float64(d.RTO) }))
	gauge("tenet_backup_drill_rpo_seconds", "How old the backup of the last drill was: writes of so long would have "+
		"been lost; 0 when it failed.",
		drill(func(d *backup.Drill) float64 { return float64(d.RPO) }))
}
