package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// bell rings for any number of waiters.
type bell struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

func (b *bell) init() { b.ch = make(chan struct{}) }

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

const (
	// listenCheck is how long the listening connection may hear nothing before it is asked whether it still lives.
	listenCheck = 10 * time.Second
	// listenAgain is how long the listener waits before it connects anew.
	listenAgain = 500 * time.Millisecond
	// pollEvery is how often Wait looks by itself: a doorbell that was missed costs no more than this.
	pollEvery = 500 * time.Millisecond
)

// listen waits for the doorbell of the log, on a connection of its own that never opens a transaction. It ends with ctx.
func (s *Store) listen(ctx context.Context, cfg *pgx.ConnConfig) {
	for ctx.Err() == nil {
		if err := s.listenOnce(ctx, cfg); err != nil && ctx.Err() == nil {
			s.o.Log.DebugContext(ctx, "doorbell of the log is out of order; the log is looked at on a timer", "error", err.Error())
		}
		t := time.NewTimer(listenAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (s *Store) listenOnce(ctx context.Context, cfg *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(bye) //nolint:errcheck // it is given up either way
	}()
	if _, err := conn.Exec(ctx, "LISTEN tenet_changes"); err != nil {
		return err
	}
	for {
		s.bell.ring() // also after connecting: what came before was not heard
		if err := s.hear(ctx, conn); err != nil {
			return err
		}
	}
}

// hear returns when the bell has rung. From time to time it asks the server for a sign of life: a cut line is silent too.
func (s *Store) hear(ctx context.Context, conn *pgx.Conn) error {
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

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		rung := s.bell.wait()
		if s.closed.Load() {
			return store.ErrClosed
		}
		var newest *int64
		if err := s.one(ctx, "newest change", "SELECT max(seq) FROM changes", nil, &newest); err != nil {
			return err
		}
		if newest != nil && knowledge.Seq(*newest) > after {
			return nil
		}
		select {
		case <-rung:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
