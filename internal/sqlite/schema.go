package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"

	"tenet/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// supported is the number of schemas before the newest that the program serves without migrating. It serves none before
// needed, the first schema with messages.
const (
	supported = 2
	needed    = 15
)

// Schema compares the schema of a database file with the schemas that the program knows.
type Schema struct {
	Version int64 // of the file; 0 for an empty one
	Newest  int64 // that the program knows
	oldest  int64 // that the program serves without migrating
}

// Pending reports whether there are migrations to run.
func (s Schema) Pending() bool { return s.Version < s.Newest }

// check returns nil when the program can serve the schema as it is.
func (s Schema) check(path string) error {
	switch {
	case s.Version > s.Newest:
		return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
			"%s has schema %d and this program knows schemas up to %d: run the newer program, or restore the backup "+
				"made before its migration",
			path, s.Version, s.Newest)}
	case s.Version < s.oldest:
		return &store.UnavailableError{Halt: true, NotDone: true, Reason: fmt.Sprintf(
			"%s has schema %d and this program needs at least schema %d: run \"tenet migrate up\"",
			path, s.Version, s.oldest)}
	}
	return nil
}

// migrator runs migrations on a file, on connections of its own.
type migrator struct {
	db     *sql.DB
	p      *goose.Provider
	tables *Tables // of another package; nil for a store
}

func newMigrator(path string, tables *Tables) (*migrator, error) {
	db, err := handle{path: path, conns: 2}.open()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read embedded migrations: %w", err), db.Close())
	}
	if tables != nil {
		files = tables.Migrations
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read embedded migrations: %w", err), db.Close())
	}
	return &migrator{db, p, tables}, nil
}

// known returns the schemas that the program knows, without reading the file.
func (m *migrator) known() Schema {
	sources := m.p.ListSources()
	newest := sources[len(sources)-1].Version
	least := int64(1)
	if m.tables == nil {
		least = needed
	}
	return Schema{Newest: newest, oldest: max(least, newest-supported)}
}

func (m *migrator) schema(ctx context.Context) (Schema, error) {
	s := m.known()
	var tables int
	err := m.db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = ?", goose.DefaultTablename).Scan(
		&tables)
	if err != nil {
		return s, translate(ctx, err)
	}
	if tables == 0 { // goose would write its table into the file
		return s, nil
	}
	s.Version, err = m.p.GetDBVersion(ctx)
	return s, translate(ctx, err)
}

// ReadSchema compares the schema of the file at path with the schemas that the program knows. A missing file has
// version 0.
func ReadSchema(ctx context.Context, path string) (Schema, error) {
	return readSchema(ctx, path, nil)
}

func readSchema(ctx context.Context, path string, tables *Tables) (Schema, error) {
	m, err := newMigrator(path, tables)
	if err != nil {
		return Schema{}, err
	}
	defer m.db.Close() //nolint:errcheck // every migration is committed by then
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return m.known(), nil
	}
	return m.schema(ctx)
}

// Migrate migrates the database file at path, which must not be open, up or down to a schema; a negative one means the
// newest.
func Migrate(ctx context.Context, path string, to int64) (Schema, error) {
	return migrate(ctx, path, nil, to)
}

func migrate(ctx context.Context, path string, tables *Tables, to int64) (Schema, error) {
	m, err := newMigrator(path, tables)
	if err != nil {
		return Schema{}, err
	}
	defer m.db.Close() //nolint:errcheck // every migration is committed by then
	s, err := m.schema(ctx)
	if err != nil {
		return s, err
	}
	if to < 0 {
		to = s.Newest
	}
	switch {
	case s.Version > s.Newest:
		return s, s.check(path)
	case to > s.Newest:
		return s, fmt.Errorf("migrate %s: there is no schema %d, the newest is %d", path, to, s.Newest)
	case to > s.Version:
		_, err = m.p.UpTo(ctx, to)
	case to < s.Version:
		if err := m.mayGoDown(ctx, path, to); err != nil {
			return s, fmt.Errorf("migrate %s from schema %d to %d: nothing was changed: %s", path, s.Version, to, err) //nolint:errorlint // a driver's
		}
		_, err = m.p.DownTo(ctx, to)
	}
	if err != nil {
		return s, translate(ctx, fmt.Errorf("migrate %s from schema %d to %d: %w", path, s.Version, to, err))
	}
	s.Version = to
	return s, nil
}

// mayGoDown tries the way down on a copy of the file, so that a step that is refused leaves nothing half done. Schema 0
// is an empty database: the log, which refuses steps, goes first.
func (m *migrator) mayGoDown(ctx context.Context, path string, to int64) (err error) {
	if to == 0 && m.tables == nil {
		_, err := m.db.ExecContext(ctx, "DELETE FROM changes")
		return err
	}
	trial := path + ".trial"
	remove := func() error {
		var err error
		for _, end := range []string{"", "-journal", "-wal", "-shm"} {
			if e := os.Remove(trial + end); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	if err := remove(); err != nil { // of one that was killed
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if _, err := m.db.ExecContext(ctx, "VACUUM INTO ?", trial); err != nil {
		return err
	}
	t, err := newMigrator(trial, m.tables)
	if err != nil {
		return err
	}
	_, err = t.p.DownTo(ctx, to)
	return errors.Join(err, t.db.Close())
}

// Schema compares the schema of the file with the schemas that the program knows.
func (f *file) Schema(ctx context.Context) (Schema, error) {
	out := f.schema
	err := f.read(ctx, "schema", "SELECT max(version_id) FROM "+goose.DefaultTablename+" WHERE is_applied",
		nil, func(r *sql.Rows) error {
			return r.Scan(&out.Version)
		})
	return out, err
}
