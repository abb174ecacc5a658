package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"
)

// inWhole runs do in one transaction on the only connection of a migrator that was made whole: of several migrations
// either all are done or none.
func inWhole(ctx context.Context, db *sql.DB, do func() error) error {
	if _, err := db.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := do(); err != nil {
		_, back := db.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(err, back)
	}
	_, err := db.ExecContext(ctx, "COMMIT")
	return err
}

// A wholeConnector makes connections whose transactions are steps of one that was begun by hand. Goose commits after
// each migration.
type wholeConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c wholeConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of pgx is a %T", conn), conn.Close())
	}
	return stepping{own}, nil
}

// A stepping connection makes a savepoint of each transaction.
type stepping struct{ *stdlib.Conn }

// BeginTx implements [driver.ConnBeginTx].
func (c stepping) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	_, err := c.ExecContext(ctx, "SAVEPOINT step", nil)
	return step{ctx, c}, err
}

// ResetSession implements [driver.SessionResetter]: the transaction goes on between two statements.
func (c stepping) ResetSession(context.Context) error { return nil }

// A step is a transaction that is a savepoint of another.
type step struct {
	ctx context.Context // a transaction's methods take none
	stepping
}

// Commit implements [driver.Tx].
func (s step) Commit() error { return s.do("RELEASE SAVEPOINT step") }

// Rollback implements [driver.Tx].
func (s step) Rollback() error { return s.do("ROLLBACK TO SAVEPOINT step") }

func (s step) do(sql string) error {
	_, err := s.ExecContext(s.ctx, sql, nil)
	return err
}

// A keptLock stays until its connection is closed, after the transaction that it is held over.
type keptLock struct{ lock.SessionLocker }

// SessionUnlock implements [lock.SessionLocker].
func (keptLock) SessionUnlock(context.Context, *sql.Conn) error { return nil }
