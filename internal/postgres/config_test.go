package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/store"
)

// Whoever migrates may send the password of a stronger role than the program's: the rule about certificates holds for
// all.
func TestNoCommandSendsAPasswordToAServerThatCouldBeAnybody(t *testing.T) {
	a := Address{URL: "postgres://ddl:secret@198.51.100.7/tenet?sslmode=require"}
	for name, call := range map[string]func() error{
		"migrate":  func() error { _, err := Migrate(t.Context(), a, -1); return err },
		"schema":   func() error { _, err := ReadSchema(t.Context(), a); return err },
		"contents": func() error { _, err := ReadContents(t.Context(), a); return err },
		"open":     func() error { _, err := Open(t.Context(), Options{URL: a.URL}); return err },
	} {
		err := call()
		if err == nil || !strings.Contains(err.Error(), "sslmode=verify-full") ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want that the certificate would not be verified", name, err)
		}
	}
}

func TestAPoolerThatSharesSessionsIsNamed(t *testing.T) {
	for _, pg := range []*pgconn.PgError{
		{Code: "42P05", Severity: "ERROR"},
		{Code: "08P01", Severity: "FATAL"}, // unsupported startup parameter
	} {
		u, ok := errors.AsType[*store.UnavailableError](fromServer(pg))
		if !ok || !u.Halt || !strings.Contains(u.Reason, "pooler") {
			t.Errorf("%s is told as %v, want a pooler and what to do", pg.Code, u)
		}
	}
	u, ok := errors.AsType[*store.UnavailableError](fromServer(&pgconn.PgError{Code: "08P01", Severity: "ERROR"}))
	if !ok || u.Halt {
		t.Errorf("a breach of the protocol in a session is told as %v, want the server to be away", u)
	}
}
