package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/pgtest"
)

func TestAProxyComesBetweenACommitAndItsAnswer(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	address := s.URL("postgres")
	pgtest.Exec(t, address, "CREATE TABLE written (name text)")
	p := pgtest.NewProxy(t, s.Addr(), "INSERT INTO written")
	there := func(name string) bool {
		return pgtest.Value(t, address, "SELECT count(*) FROM written WHERE name = $1", name) == "1"
	}
	for _, trick := range []struct {
		name   string
		is     pgtest.Trick
		done   bool
		hanged bool
	}{
		{"cut before", pgtest.CutBefore, false, false},
		{"reset before", pgtest.ResetBefore, false, false},
		{"hang before", pgtest.HangBefore, false, true},
		{"vanish", pgtest.Vanish, false, false},
		{"cut after", pgtest.CutAfter, true, false},
		{"reset after", pgtest.ResetAfter, true, false},
		{"hang after", pgtest.HangAfter, true, true},
		{"late", pgtest.Late, true, false},
	} {
		t.Run(trick.name, func(t *testing.T) {
			p.Once(trick.is)
			err := insert(t, p.Through(address), trick.name)
			if hanged := errors.Is(err, context.DeadlineExceeded); err == nil || hanged != trick.hanged {
				t.Errorf("the client heard %v; want it to hang: %t", err, trick.hanged)
			}
			if trick.done {
				pgtest.Await(t, "the row to be there", func() bool { return there(trick.name) })
			}
			p.Stop()
			pgtest.Await(t, "the session to end", func() bool {
				return pgtest.Value(t, address,
					"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'proxied'") == "0"
			})
			if there(trick.name) != trick.done {
				t.Errorf("the row is there: %t, want %t", !trick.done, trick.done)
			}
			if err := insert(t, p.Through(address), "after "+trick.name); err != nil {
				t.Errorf("after the trick: %v", err)
			}
		})
	}
	if got := p.Played(); got != 8 {
		t.Errorf("%d tricks were played, want 8", got)
	}
}

func TestAProxyThatIsStoppedInTheMiddleOfATrickHoldsNoSession(t *testing.T) {
	s := pgtest.Start(t, pgtest.Options{})
	address := s.URL("postgres")
	p := pgtest.NewProxy(t, s.Addr(), "SELECT 'marked'")
	for i, trick := range []pgtest.Trick{pgtest.HangBefore, pgtest.Vanish} {
		conn := pgtest.Connect(t, p.Through(address))
		pid := conn.PgConn().PID()
		p.Once(trick)
		pipe := conn.PgConn().StartPipeline(t.Context())
		pipe.SendQueryParams("SELECT 'marked'", nil, nil, nil, nil)
		if err := pipe.Flush(); err != nil {
			t.Fatal(err)
		}
		pgtest.Await(t, "the trick to begin", func() bool { return p.Played() == i+1 })
		p.Stop()
		if err := pipe.Sync(); err != nil {
			t.Fatal(err)
		}
		pgtest.Await(t, "the session to end", func() bool {
			return pgtest.Value(t, address, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == "0"
		})
	}
}

func TestAProxyTurnsToAnotherServer(t *testing.T) {
	one, two := pgtest.Start(t, pgtest.Options{}), pgtest.Start(t, pgtest.Options{})
	p := pgtest.NewProxy(t, one.Addr(), "nothing")
	conn := pgtest.Connect(t, p.Through(one.URL("postgres")))
	p.Turn(two.Addr())
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a connection to the server before is still open")
	}
	if got, want := pgtest.Value(t, p.Through(one.URL("postgres")), "SHOW port"), pgtest.Value(t, two.URL("postgres"),
		"SHOW port"); got != want {
		t.Errorf("port %s answers, want %s", got, want)
	}
}

// insert writes a row as a pipeline of one statement.
func insert(t *testing.T, address, name string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgconn.Connect(ctx, address+"&application_name=proxied")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	result := conn.ExecParams(short, "INSERT INTO written VALUES ($1)", [][]byte{[]byte(name)}, nil, nil, nil).Read()
	if result.Err != nil && short.Err() != nil {
		return fmt.Errorf("%w: %w", short.Err(), result.Err)
	}
	return result.Err
}
