package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
)

// Tables are what a [File] of another package holds in place of documents.
type Tables struct {
	Migrations fs.FS  // its schemas: migrations of goose
	What       string // the file, in messages, such as "the journal"
	Damaged    string // what a person does about a damaged file, in messages
}

// A File is a SQLite file with the tables of another package. It has the readers, the writer and the guards of a
// [Store]: writes that wait together share one sync to disk, each of them whole or not at all.
type File struct{ *file }

// OpenFile opens the file at path, creates it if it is missing, and migrates it. The context is for opening only.
func OpenFile(ctx context.Context, path string, tables Tables) (*File, error) {
	f, err := openFile(ctx, path, guest, &tables, Options{}, nil)
	if err != nil {
		return nil, err
	}
	f.start(ctx)
	return &File{f}, nil
}

// Read runs a reading statement and calls scan for each row. The name is for metrics and messages.
func (f *File) Read(ctx context.Context, name, query string, args []any, scan func(*sql.Rows) error) error {
	return f.read(ctx, name, query, args, scan)
}

// Write runs a write in a transaction. It returns when the write is on disk; after an error nothing of it is.
// run may be called again after an error of the file.
func (f *File) Write(ctx context.Context, name string, run func(ctx context.Context, t *Tx) error) error {
	return f.do(ctx, name, func(ctx context.Context, t *tx) error { return run(ctx, &Tx{t}) })
}

// Fault returns an error as the store contract has it, with what a person does about a damaged file.
func (f *File) Fault(err error) error { return f.advise(contract(err)) }

// A Tx is the transaction of [File.Write].
type Tx struct{ t *tx }

// Exec runs a statement.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) error {
	return t.t.exec(ctx, query, args...)
}

// Count runs a statement and returns how many rows it touched.
func (t *Tx) Count(ctx context.Context, query string, args ...any) (int64, error) {
	return t.t.execCount(ctx, query, args...)
}

// One reads a row into dest; false when there is none.
func (t *Tx) One(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	return t.t.one(ctx, query, args, dest...)
}

// Each calls scan for each row of a query.
func (t *Tx) Each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := t.t.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Erased says that a text was overwritten that must not stay in the write-ahead log either: that is emptied soon.
func (t *Tx) Erased() { t.t.job.purged = true }

// Reads runs a reading statement and calls scan for each row.
type Reads func(query string, args []any, scan func(*sql.Rows) error) error

// ReadFile calls fn with a function that reads from the file at path, which another process may have open. The file is
// not changed, nor migrated.
func ReadFile(ctx context.Context, path string, fn func(read Reads) error) error {
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	return fn(func(query string, args []any, scan func(*sql.Rows) error) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return translate(ctx, err)
		}
		defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return translate(ctx, rows.Err())
	})
}
