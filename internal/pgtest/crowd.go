package pgtest

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Crowd takes every connection that the server has to give, the present ones of others included, until the returned
// function is called.
func (s *Server) Crowd() (leave func()) {
	s.t.Helper()
	most, err := strconv.Atoi(Value(s.t, s.URL("postgres"), "SHOW max_connections"))
	s.must("ask for the number of connections", err)
	var held []*pgx.Conn
	leave = sync.OnceFunc(func() {
		for _, conn := range held {
			_ = conn.Close(context.Background())
		}
	})
	s.t.Cleanup(leave)
	s.must("take all connections", until("all connections to be ours", func(ctx context.Context) (bool, error) {
		for len(held) < most {
			conn, err := pgx.Connect(ctx, s.URL("postgres")+"&application_name=crowd")
			if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "53300" && len(held) > 0 {
				_, err := held[0].Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+
					"backend_type = 'client backend' AND application_name <> 'crowd'")
				if err != nil {
					return false, err
				}
				continue // at once: others wait for the place as well
			}
			if err != nil {
				return false, err
			}
			held = append(held, conn)
		}
		return true, nil
	}))
	return leave
}
