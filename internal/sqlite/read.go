package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"tenet/internal/store"
)

// A pool is the reading connections of a file, and the statements prepared on them.
type pool struct {
	db    *sql.DB
	users sync.WaitGroup // reads in progress

	mu         sync.Mutex // guards statements
	statements map[string]*sql.Stmt
}

// maxStatements bounds the prepared statements. The shapes of queries are finite; what comes after the bound is prepared
// for its one use.
const maxStatements = 512

func openPool(path string, conns int) (*pool, error) {
	db, err := handle{path: path, readOnly: true, conns: conns}.open()
	if err != nil {
		return nil, err
	}
	return &pool{db: db, statements: map[string]*sql.Stmt{}}, nil
}

// close waits for the reads in progress.
func (p *pool) close() error {
	p.users.Wait()
	return p.db.Close()
}

// prepared returns the statement of a query, or nil when there is no room for another one.
func (p *pool) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	st, full := p.statements[query], len(p.statements) >= maxStatements
	p.mu.Unlock()
	if st != nil || full {
		return st, nil
	}
	st, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.statements[query]; other != nil {
		return other, st.Close() //nolint:sqlclosecheck // the one that is kept is closed with its pool
	}
	p.statements[query] = st
	return st, nil
}

// A view reads, either on any connection or within one transaction.
type view struct {
	f  *file
	p  *pool
	tx *sql.Tx // nil for reads that needn't agree with each other
}

// query runs a statement and calls scan for each row.
func (v view) query(ctx context.Context, name, query string, args []any, scan func(*sql.Rows) error) (err error) {
	began := time.Now()
	defer func() { v.f.observe(ctx, v.p, name, query, args, time.Since(began), err) }()
	rows, err := v.rows(ctx, query, args)
	if err != nil {
		return v.f.translate(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		if err := scan(rows); err != nil {
			return v.f.translate(ctx, err)
		}
	}
	return v.f.translate(ctx, rows.Err())
}

func (v view) rows(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	st, err := v.p.prepared(ctx, query) //nolint:sqlclosecheck // closed with its pool
	switch {
	case err != nil:
		return nil, err
	case v.tx != nil && st != nil:
		return v.tx.StmtContext(ctx, st).QueryContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	case v.tx != nil:
		return v.tx.QueryContext(ctx, query, args...)
	case st != nil:
		return st.QueryContext(ctx, args...)
	}
	return v.p.db.QueryContext(ctx, query, args...)
}

// read runs one reading statement.
func (f *file) read(ctx context.Context, name, query string, args []any, scan func(*sql.Rows) error) error {
	return f.look(ctx, func(v view) error { return v.query(ctx, name, query, args, scan) })
}

// look calls fn with a view, while the file stays what it is.
func (f *file) look(ctx context.Context, fn func(view) error) error {
	if f.closed.Load() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.RLock()
	p := f.reads
	p.users.Add(1)
	f.mu.RUnlock()
	defer p.users.Done()
	return fn(view{f: f, p: p})
}

// agree calls fn with a view in which all reads see one moment.
func (f *file) agree(ctx context.Context, fn func(view) error) error {
	return f.look(ctx, func(v view) error {
		tx, err := v.p.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return f.translate(ctx, err)
		}
		defer tx.Rollback() //nolint:errcheck // nothing was written
		v.tx = tx
		return fn(v)
	})
}

// translate is translate for a store that may have been closed meanwhile.
func (f *file) translate(ctx context.Context, err error) error {
	if err != nil && !known(err) && ctx.Err() == nil && f.closed.Load() {
		return store.ErrClosed
	}
	return translate(ctx, err)
}
