package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func TestErrorsAreClassifiedByCodeAndType(t *testing.T) {
	type class struct{ unavailable, readOnly, halt, notDone, retry, caller bool }
	infra := class{unavailable: true, notDone: true}
	ended := class{unavailable: true}
	halt := class{unavailable: true, halt: true, notDone: true}
	readOnly := class{unavailable: true, readOnly: true, notDone: true}
	retry := class{unavailable: true, retry: true, notDone: true}
	caller := class{caller: true}
	server := func(severity, code string) error {
		return &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code, Message: "m"}
	}
	for _, c := range []struct {
		err  error
		want class
	}{
		{server("FATAL", "57P01"), ended},
		{server("FATAL", "57P03"), ended},
		{server("FATAL", "53300"), ended},
		{server("PANIC", "XX000"), ended},
		{server("FATAL", "28P01"), halt},
		{server("FATAL", "3D000"), halt},
		{server("ERROR", "08006"), infra},
		{server("ERROR", "53200"), infra},
		{server("ERROR", "57014"), infra},
		{server("ERROR", "58030"), infra},
		{server("ERROR", "XX001"), infra},
		{server("ERROR", "25006"), readOnly},
		{server("ERROR", "53100"), readOnly},
		{server("ERROR", "40001"), retry},
		{server("ERROR", "40P01"), retry},
		{server("ERROR", "55P03"), retry},
		{server("ERROR", "0A000"), retry},
		{server("ERROR", "26000"), retry},
		{server("ERROR", "23505"), retry},
		{server("ERROR", "22P02"), caller},
		{server("ERROR", "23514"), caller},
		{server("ERROR", "44000"), caller},
		{server("ERROR", "P0001"), caller},
		{server("ERROR", "54000"), caller},
		{server("ERROR", "42P01"), halt},
		{server("ERROR", "42501"), halt},
		{server("ERROR", "3F000"), halt},
		{io.ErrUnexpectedEOF, ended},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, ended},
		{context.DeadlineExceeded, ended},
		{&notSentError{context.DeadlineExceeded}, infra},
	} {
		err := translate(t.Context(), c.err, false)
		var got class
		final := once(err)
		if u, ok := errors.AsType[*store.UnavailableError](final); ok {
			got.unavailable, got.readOnly, got.halt, got.notDone = errors.Is(final, store.ErrUnavailable), u.ReadOnly,
				u.Halt, u.NotDone
		}
		got.retry = errors.Is(err, errRetry)
		var invalid *knowledge.InvalidError
		got.caller = errors.As(final, &invalid)
		if got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := translate(gone, server("ERROR", "57014"), false); !errors.Is(err, context.Canceled) {
		t.Errorf("an error after the caller's end: %v, want the caller's", err)
	}
}
