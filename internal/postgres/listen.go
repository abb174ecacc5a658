package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// listenCheck is how long the listening connection may be silent before it is checked.
	listenCheck = 10 * time.Second
	// listenAgain is the delay before the listener reconnects.
	listenAgain = 500 * time.Millisecond
	// pollEvery is how often Wait polls: a missed notification costs at most this much.
	pollEvery = 500 * time.Millisecond
)

// listen waits for notifications of new changes, on its own connection, which never opens a transaction. It ends with
// ctx.
func (s *Store) listen(ctx context.Context) {
	broken := false
	for ctx.Err() == nil {
		err := listenOnce(ctx, s, func() { broken = false })
		if err != nil && ctx.Err() == nil && !broken {
			broken = true // logged once: during an outage it retries every half second
			s.o.Log.DebugContext(ctx, "lost the connection that listens for changes; reconnecting", "error",
				err.Error())
		}
		again := listenAgain
		// a standby has no notifications, and its log an error for each attempt
		if pg, ok := serverError(err); ok && pg.Code == codeReadOnly {
			again = listenCheck
		}
		t := time.NewTimer(again)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// listenOnce listens until the connection fails. It calls heard once it is listening.
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
		s.bell.Ring() // also after connecting: earlier notifications were missed
		if err := nextNotice(ctx, s, conn); err != nil {
			return err
		}
	}
}

// bye closes a connection that is not in the pool.
func bye(ctx context.Context, conn *pgx.Conn) {
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	conn.Close(short) //nolint:errcheck // the connection is abandoned either way
}

// nextNotice returns after a notification. It also checks the connection periodically, since a cut connection is silent
// too.
func nextNotice(ctx context.Context, s *Store, conn *pgx.Conn) error {
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

// hear starts the listener, unless it runs or the store is closed. A store whose changes nobody waits for, as a
// command's, needs none.
func hear(s *Store) {
	s.heard.Do(func() {
		s.closing.RLock() // Close waits for goroutines started before it
		defer s.closing.RUnlock()
		if !s.closed.Load() {
			s.done.Go(func() { s.listen(s.life) })
		}
	})
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	hear(s)
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
