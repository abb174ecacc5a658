package server

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"tenet/internal/backup"
	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store"
)

// liveOf returns the database of an engine as backups see it.
func liveOf(e engine) BackedUp {
	switch e := e.(type) {
	case *embedded:
		return BackedUp{Database: e}
	case *primary:
		return BackedUp{Cluster: cluster{func() (*postgres.Store, error) { return e.Store, nil }}}
	case *dual:
		return BackedUp{Cluster: cluster{func() (*postgres.Store, error) {
			if p := e.primary.Load(); p != nil {
				return p.Store, nil
			}
			return nil, e.errAway()
		}}}
	}
	return BackedUp{}
}

// OpenCluster opens the PostgreSQL of the options for backups, also beside a server that runs on the data directory.
func OpenCluster(ctx context.Context, o Options) (live BackedUp, done func() error, err error) {
	o.NoMigrate = true
	p, err := openPostgres(ctx, o.withDefaults())
	if err != nil {
		return live, nil, err
	}
	return liveOf(p), p.Close, nil
}

// openPgBackRest returns the engine of a PostgreSQL's backups. With nil for the cluster it reads them.
func openPgBackRest(o Options, live backup.Cluster) (backup.Engine, error) {
	b := o.Backups.withDefaults(o.DataDir)
	account, err := backup.FindAccount(b.User)
	if err != nil {
		return nil, err
	}
	return backup.NewPgBackRest(backup.PgBackRestOptions{
		Config: b.Config, Stanza: b.Stanza, Dir: b.Dir, Account: account, Cluster: live, Free: freeSpace,
		Program: o.Version,
		Address: o.restoredAddress, Inspect: o.inspectCluster, Open: o.readRestored,
	}), nil
}

// openBaseBackup returns the engine of copies of a PostgreSQL that are taken over a connection. With nil for the
// cluster it reads them.
func openBaseBackup(o Options, live backup.Cluster) (backup.Engine, error) {
	b := o.Backups.withDefaults(o.DataDir)
	account, err := backup.FindAccount(b.User)
	if err != nil {
		return nil, err
	}
	key, err := backup.ReadKey(b.KeyFile)
	if err != nil {
		return nil, err
	}
	address, env, err := o.postgresAddress().Libpq()
	if err != nil {
		return nil, err
	}
	return backup.NewBaseBackup(backup.BaseBackupOptions{
		Dir: filepath.Join(b.Dir, backup.BaseBackupName), Key: key, Account: account, Cluster: live, Address: address,
		Env:      env,
		Restored: o.restoredAddress, Inspect: o.inspectCluster, Open: o.readRestored, Keep: b.Keep, Free: freeSpace,
		Program: o.Version,
	}), nil
}

// restoredAddress is the address of a restored database, by way of a socket.
func (o Options) restoredAddress(dir string, port int) string {
	address, err := o.postgresAddress().SocketAddress(dir, port)
	if err != nil {
		return o.DatabaseURL // whose fault was found at the start
	}
	return address
}

// readRestored opens a restored database for reading.
func (o Options) readRestored(ctx context.Context, address string) (store.Reader, func() error, error) {
	p, err := openRestored(ctx, o, address)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// openRestored opens a restored PostgreSQL as it is.
func openRestored(ctx context.Context, o Options, address string) (*primary, error) {
	o.DatabaseURL, o.NoMigrate, o.Postgres.MinConns, o.Postgres.MaxConns = address, true, 1, 2
	return openPostgres(ctx, o.withDefaults())
}

// inspectCluster verifies the log and the audit of a restored PostgreSQL, and returns what it holds.
func (o Options) inspectCluster(ctx context.Context, address string) (f backup.Facts, err error) {
	p, err := openRestored(ctx, o, address)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.VerifyChanges(ctx, nil); err != nil {
		return f, err
	}
	if _, err := p.auditBook().Verify(ctx, nil); err != nil {
		return f, err
	}
	schema, err := p.Schema(ctx)
	if err != nil {
		return f, err
	}
	return factsOf(ctx, countedCluster{p.Store, postgres.NewCluster(p.Store)}, schema.Version)
}

// A countedCluster tells how many documents of each kind it holds.
type countedCluster struct {
	*postgres.Store
	*postgres.Cluster
}

// cluster is a PostgreSQL, which may be away, as backups see it.
type cluster struct {
	open func() (*postgres.Store, error)
}

// Get implements [store.Reader].
func (c cluster) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, key)
}

// List implements [store.Reader].
func (c cluster) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	return s.List(ctx, q)
}

// Search implements [store.Reader].
func (c cluster) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	return s.Search(ctx, q)
}

// Changes implements [backup.Cluster].
func (c cluster) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	return s.Changes(ctx, q)
}

// RestorePoint implements [backup.Cluster].
func (c cluster) RestorePoint(ctx context.Context, name string) (string, error) {
	s, err := c.open()
	if err != nil {
		return "", err
	}
	return postgres.NewCluster(s).RestorePoint(ctx, name)
}

// Archiving implements [backup.Cluster].
func (c cluster) Archiving(ctx context.Context) (backup.Archiving, error) {
	s, err := c.open()
	if err != nil {
		return backup.Archiving{}, err
	}
	a, err := postgres.NewCluster(s).Archiving(ctx)
	return backup.Archiving(a), err
}

// SwitchArchivingOn implements [backup.Cluster].
func (c cluster) SwitchArchivingOn(ctx context.Context, command string) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	return postgres.NewCluster(s).SwitchArchivingOn(ctx, command, backup.ArchiveTimeout*time.Second)
}

// SetUpBackups returns what backups of the PostgreSQL need, and puts it in place where it is told to: pgBackRest's
// configuration, and PostgreSQL's settings. PostgreSQL has to be restarted where it did not archive before, which
// restart says. With nil for the PostgreSQL, because it is lost, it is what a restore needs.
func SetUpBackups(ctx context.Context, o Options, live backup.Cluster,
	write bool,
) (s backup.Setup, restart bool, err error) {
	b := o.Backups.withDefaults(o.DataDir)
	account, err := backup.FindAccount(b.User)
	if err != nil {
		return s, false, err
	}
	options := backup.SetupOptions{Config: b.Config, Stanza: b.Stanza, Dir: b.Dir, Reading: live == nil}
	if live != nil {
		if options.Archiving, err = live.Archiving(ctx); err != nil {
			return s, false, err
		}
		if options.Archiving.User, err = options.Archiving.LocalUser(ctx, account); err != nil {
			return s, false, err
		}
	}
	restart = options.Archiving.Mode == "off"
	if options.Key, err = backup.ReadKey(b.KeyFile); err != nil {
		return s, false, err
	}
	s, err = backup.NewSetup(options)
	if err != nil || !write {
		return s, restart, err
	}
	if err := s.Write(ctx, b.Config, b.Dir, account); err != nil {
		return s, false, err
	}
	if live == nil {
		return s, false, nil
	}
	if a := options.Archiving; a.Mode != "off" && a.Command == s.Command {
		return s, false, nil
	}
	err = live.SwitchArchivingOn(ctx, s.Command)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
		if err = options.Archiving.SwitchOnLocally(ctx, account, s); err != nil {
			return s, true, ErrSettingsLeft
		}
	}
	return s, restart, err
}

// ErrSettingsLeft says that pgBackRest's configuration is in place, but the role may not change PostgreSQL's settings.
var ErrSettingsLeft = errors.New("neither the role nor this account may change PostgreSQL's settings: execute the " +
	"statements as a superuser, and restart PostgreSQL")
