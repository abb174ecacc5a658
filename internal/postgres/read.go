package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// guard returns the context of one call, with the call's own deadline, or why it can't be made.
func (s *Store) guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.closed.Load() {
		return nil, nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	own, cancel := context.WithTimeout(ctx, s.o.CommandTimeout)
	return own, cancel, nil
}

// query runs a reading statement and hands its rows to scan, all of them before it returns. A connection that had died
// while it was idle is replaced once.
func (s *Store) query(ctx context.Context, name, sql string, args []any, scan func(pgx.Rows) error) error {
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return again(ctx, func() error {
		began := time.Now()
		err := s.queryOnce(own, sql, args, scan)
		if dead(err) && own.Err() == nil {
			err = s.queryOnce(own, sql, args, scan)
		}
		s.observe(ctx, name, sql, args, began, err) //nolint:errcheck // it returns the same error
		if s.closed.Load() && err != nil {
			return store.ErrClosed
		}
		return contractual(ctx, err)
	})
}

// contractual lets the contract's own errors, which a scan returns, pass, and translates the driver's.
func contractual(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*scanError](err); ok {
		return err
	}
	return translate(ctx, err, true)
}

// A scanError is a stored row that can't be read: a fault of the program or of somebody's hand, not of the connection.
type scanError struct{ err error }

func (e *scanError) Error() string { return "read a stored document: " + e.err.Error() }

// Is makes a row that can't be read unavailable: asking for another may work, asking for this one won't until a person acts.
func (e *scanError) Is(target error) bool { return target == store.ErrUnavailable }

func (s *Store) queryOnce(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) error {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one runs a statement that answers one row.
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
	if t == nil {
		if s.closed.Load() {
			return nil, store.ErrClosed
		}
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
