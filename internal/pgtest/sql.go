package pgtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Exec executes a statement on a connection of its own, for what a test does behind the back of the program under test.
// Without args it may be several statements, parted by semicolons.
func Exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	if err := run(url, sql, args...); err != nil {
		t.Fatalf("execute %s: %v", sql, err)
	}
}

// Value runs a query on a connection of its own and returns the first column of the first row as PostgreSQL writes it
// in text, so true is "t"; null and no row are the empty string.
func Value(t testing.TB, url, sql string, args ...any) string {
	t.Helper()
	text, err := value(url, sql, args...)
	if err != nil {
		t.Fatalf("query %s: %v", sql, err)
	}
	return text
}

// Connect opens a connection that is closed when the test ends: to hold a lock or a slot, for instance.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // the server may be gone by now
	})
	return conn
}

// Exec executes a statement in the server's database "postgres".
func (s *Server) Exec(sql string, args ...any) {
	s.t.Helper()
	Exec(s.t, s.URL("postgres"), sql, args...)
}

// NewDatabase makes an empty database on the server and returns its address.
func (s *Server) NewDatabase() string {
	s.t.Helper()
	name := newName()
	s.Exec(s.create(name, "template0"))
	return s.URL(name)
}

// run executes a statement on a connection of its own.
func run(url, sql string, args ...any) error {
	_, err := value(url, sql, args...)
	return err
}

// value returns the first column of the first row. It uses the simple protocol, in which every value comes as text and
// several statements may stand in one.
func value(url, sql string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var first string
	if rows.Next() && len(rows.RawValues()) > 0 {
		first = string(rows.RawValues()[0])
	}
	rows.Close()
	return first, rows.Err()
}

// Code returns the code of what a server said; "" for another error, or none.
func Code(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// create returns the statement that makes a database. A server of ours copies the files, which takes half of what it
// takes to write every page into the WAL; before 15, and so perhaps on somebody else's server, there is no choice.
func (s *Server) create(name, template string) string {
	statement := "CREATE DATABASE " + name + " TEMPLATE " + template
	if s != nil && s.installation.major >= 15 {
		statement += " STRATEGY FILE_COPY"
	}
	return statement
}
