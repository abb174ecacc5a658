package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"tenet/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// supported is how many schemas before the newest one the program still serves without migrating.
	supported = 2
	// foundSchema is the schema that brought the index of found batches: before it the program does without.
	foundSchema = 21
)

// A Schema is a database's schema version, and those that the program knows.
type Schema struct {
	Version int64 // of the database; 0 for an empty one
	Newest  int64 // that the program knows
}

// Pending reports whether migrations are pending.
func (s Schema) Pending() bool { return s.Version < s.Newest }

// oldest returns the oldest schema that the program serves without migrating.
func (s Schema) oldest() int64 { return s.Newest - supported }

// check returns nil if the program can serve the schema.
func (s Schema) check() error {
	switch {
	case s.Version > s.Newest:
		return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
			"the database has schema %d and this program knows schemas up to %d: run the newer program, or restore "+
				"the backup made before its migration",
			s.Version, s.Newest)}
	case s.Version < s.oldest():
		return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
			"the database has schema %d and this program needs at least schema %d: run \"tenet migrate up\" with a "+
				"role that may change the schema",
			s.Version, s.oldest())}
	}
	return nil
}

// A migrator runs migrations on its own connections. Only it uses database/sql, for goose. Documents never go through
// database/sql, which repeats statements whose outcome is unknown.
type migrator struct {
	db *sql.DB
	p  *goose.Provider
}

// newMigrator returns a migrator. If whole, it has one connection, for [inWhole].
func newMigrator(a Address, whole bool) (*migrator, error) {
	pool, err := a.config()
	if err != nil {
		return nil, err
	}
	cfg := pool.ConnConfig
	cfg.ConnectTimeout = 2 * time.Second
	// Functions keep the search path of their creation: the schema of the tables and nothing that a session adds.
	connector := stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(
		func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SELECT set_config('search_path', quote_ident(coalesce(current_schema(), "+
				"'public')) || ', pg_temp', false)")
			return err
		}))
	if whole {
		connector = wholeConnector{connector}
	}
	db := sql.OpenDB(connector)
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read embedded migrations: %w", err), db.Close())
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the migration lock: %w", err), db.Close())
	}
	if whole {
		db.SetMaxOpenConns(1)
		locker = keptLock{locker}
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read embedded migrations: %w", err), db.Close())
	}
	return &migrator{db, p}, nil
}

func (m *migrator) schema(ctx context.Context) (Schema, error) {
	s := Schema{Newest: newestSchema()}
	var there bool
	if err := m.db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", goose.DefaultTablename).Scan(
		&there); err != nil {
		return s, translate(ctx, err, true)
	}
	if !there { // goose would create its table
		return s, nil
	}
	err := m.db.QueryRowContext(ctx, versionSQL).Scan(&s.Version)
	return s, translate(ctx, err, true)
}

// newestSchema returns the newest schema that the program knows: the number with which the last migration's name
// begins.
func newestSchema() int64 {
	var newest int64
	files, _ := migrations.ReadDir("migrations")
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// versionSQL reads the newest applied migration from goose's table.
const versionSQL = `SELECT coalesce(max(version_id), 0) FROM (
	SELECT DISTINCT ON (version_id) version_id, is_applied FROM ` + goose.DefaultTablename +
	` ORDER BY version_id, id DESC) v WHERE is_applied`

// ReadSchema returns the schema version of the database at an address.
func ReadSchema(ctx context.Context, a Address) (Schema, error) {
	m, err := newMigrator(a, false)
	if err != nil {
		return Schema{}, err
	}
	defer m.db.Close() //nolint:errcheck // nothing was written
	return m.schema(ctx)
}

// Migrate brings the database at an address up or down to a schema; below 0 means the newest. Any number of programs
// may call it at once: one migrates, the others wait.
func Migrate(ctx context.Context, a Address, to int64) (Schema, error) {
	m, err := newMigrator(a, false)
	if err != nil {
		return Schema{}, err
	}
	defer m.db.Close() //nolint:errcheck // goose has committed or not
	s, err := m.schema(ctx)
	if err != nil {
		return s, err
	}
	if to < 0 {
		to = s.Newest
	}
	switch {
	case s.Version > s.Newest:
		return s, s.check()
	case to > s.Newest:
		return s, fmt.Errorf("migrate: there is no schema %d, the newest is %d", to, s.Newest)
	case to > s.Version:
		_, err = m.p.UpTo(ctx, to)
	case to < s.Version:
		err = migrateDown(ctx, a, to)
	}
	if err != nil {
		err = translate(ctx, fmt.Errorf("migrate from schema %d to %d: %w", s.Version, to, err), true)
		switch now, unread := m.schema(ctx); {
		case unread != nil:
		case now.Version != s.Version:
			err = fmt.Errorf("the database has schema %d now, where it stopped: %w", now.Version, err)
		case to < s.Version:
			err = fmt.Errorf("nothing was changed: %w", err)
		}
		return s, err
	}
	s.Version = to
	return s, nil
}

// migrateDown brings a database down to a schema, with all steps in one transaction: one that is refused, as by a log
// that the schema below could not hold, undoes those before it.
func migrateDown(ctx context.Context, a Address, to int64) error {
	m, err := newMigrator(a, true)
	if err != nil {
		return err
	}
	err = inWhole(ctx, m.db, func() error {
		if to == 0 {
			if _, err := m.db.ExecContext(ctx, emptySQL); err != nil {
				return err
			}
		}
		_, err := m.p.DownTo(ctx, to)
		return err
	})
	return errors.Join(err, m.db.Close())
}

// emptySQL removes what refuses a step down, on the way to an empty database: the log, and rules with checks. The
// triggers that keep documents go with their tables.
const emptySQL = `DO $$ BEGIN
	ALTER TABLE violations DISABLE TRIGGER USER;
	ALTER TABLE rules DISABLE TRIGGER USER;
	DELETE FROM violations;
	DELETE FROM rules;
	DELETE FROM purges;
	DELETE FROM changes;
END $$`

// Schema returns the schema version of the store's database.
func (s *Store) Schema(ctx context.Context) (Schema, error) {
	out := s.schema
	err := s.one(ctx, "schema", versionSQL, nil, &out.Version)
	return out, err
}
