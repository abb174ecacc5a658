package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// listenCheck is how long the listening connection may hear nothing before it is asked whether it still lives.
	listenCheck = 10 * time.Second
	// listenAgain is how long the listener waits before it connects anew.
	listenAgain = 500 * time.Millisecond
	// pollEvery is how often Wait looks by itself: a doorbell that was missed costs no more than this.
	pollEvery = 500 * time.Millisecond
)

// listen waits for the doorbell of the log, on a connection of its own that never opens a transaction. It ends with ctx.
func (s *Store) listen(ctx context.Context) {
	broken := false
	for ctx.Err() == nil {
		err := listenOnce(ctx, s, func() { broken = false })
		if err != nil && ctx.Err() == nil && !broken {
			broken = true // said once: it is tried every half second, for as long as an outage lasts
			s.o.Log.DebugContext(ctx, "the connection that waits for changes is gone; it is made again when that can be", "error", err.Error())
		}
		t := time.NewTimer(listenAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// listenOnce listens until the connection fails. It calls heard once it listens.
func listenOnce(ctx context.Context, s *Store, heard func()) error {
	conn, err := s.connectAlone(ctx)
	if err != nil {
		return err
	}
	defer bye(ctx, conn)
	if _, err := conn.Exec(ctx, "LISTEN tenet_changes"); err != nil {
		return err
	}
	heard()
	for {
		s.bell.Ring() // also after connecting: what came before was not heard
		if err := hear(ctx, s, conn); err != nil {
			return err
		}
	}
}

// bye closes a connection that is not of the pool.
func bye(ctx context.Context, conn *pgx.Conn) {
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	conn.Close(short) //nolint:errcheck // it is given up either way
}

// hear returns when the bell has rung. From time to time it asks the server for a sign of life: a cut line is silent too.
func hear(ctx context.Context, s *Store, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, listenCheck)
		_, err := conn.WaitForNotification(quiet)
		late := quiet.Err() != nil && ctx.Err() == nil
		cancel()
		if !late {
			return err
		}
		alive, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout)
		err = conn.Ping(alive)
		cancel()
		if err != nil {
			return err
		}
	}
}

// Newest returns the seq of the newest change, 0 while there is none.
func (s *Store) Newest(ctx context.Context) (knowledge.Seq, error) {
	var newest *int64
	if err := s.one(ctx, "newest change", "SELECT max(seq) FROM changes", nil, &newest); err != nil || newest == nil {
		return 0, err
	}
	return knowledge.Seq(*newest), nil
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		rung := s.bell.Next()
		if s.closed.Load() {
			return store.ErrClosed
		}
		if newest, err := s.Newest(ctx); err != nil || newest > after {
			return err
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
