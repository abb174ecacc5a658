package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// guard returns the context of one call, with the call's deadline, or why it can't be made. It ends with the store too.
func (s *Store) guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.closed.Load() {
		return nil, nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	own, cancel := context.WithTimeout(ctx, s.o.CommandTimeout)
	stop := context.AfterFunc(s.life, cancel)
	return own, func() { stop(); cancel() }, nil
}

// query runs an idempotent statement and passes its rows to scan, all of them before it returns. It retries if the
// server asks for it, and once on a new connection if the old one was dead, but never after scan has seen a row.
func (s *Store) query(ctx context.Context, name, sql string, args []any, scan func(pgx.Rows) error) error {
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return again(ctx, func() error {
		began := time.Now()
		n, err := s.queryOnce(own, sql, args, scan)
		if n == 0 && dead(err) && own.Err() == nil {
			s.pool.Reset()
			n, err = s.queryOnce(own, sql, args, scan)
		}
		s.observe(name, sql, args, began, err)
		err = s.contractual(ctx, err)
		if n > 0 && errors.Is(err, errRetry) {
			return once(err)
		}
		return err
	})
}

// contractual translates an error of the driver, or of a scan, into one of the contract.
func (s *Store) contractual(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return store.ErrClosed
	}
	if bad, ok := errors.AsType[*scanError](err); ok {
		return &store.UnavailableError{
			Reason: "a stored row can't be read: it was changed outside of the program and must be corrected there",
			Err:    bad.err, Halt: true, NotDone: true,
		}
	}
	return translate(ctx, err, true)
}

// A scanError is a stored row that can't be decoded: a bug or a manual edit, not a connection error.
type scanError struct{ err error }

// Error says which row could not be read.
func (e *scanError) Error() string { return "read a stored document: " + e.err.Error() }

// queryOnce runs a statement once and returns how many rows scan has seen.
func (s *Store) queryOnce(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) (int, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
		if err := scan(rows); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// one runs a statement that returns one row.
func (s *Store) one(ctx context.Context, name, sql string, args []any, into ...any) error {
	found := false
	err := s.query(ctx, name, sql, args, func(r pgx.Rows) error {
		found = true
		return r.Scan(into...)
	})
	if err == nil && !found {
		return pgx.ErrNoRows
	}
	return err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	t := tableOf(key.Kind)
	if t == nil || !t.holds(key.ID) {
		_, cancel, err := s.guard(ctx)
		if err != nil {
			return nil, err
		}
		cancel()
		return nil, &store.NotFoundError{Key: key}
	}
	var rec *knowledge.Record
	err := s.query(ctx, t.getName, t.getSQL, []any{key.ID}, func(r pgx.Rows) (err error) {
		rec, err = t.record(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, &store.NotFoundError{Key: key}
	}
	return rec, nil
}
