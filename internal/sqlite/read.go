package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"

	"tenet/internal/store"
)

// Readers are limited. To avoid a deadlock, a goroutine that has one must not wait for another reader, or for anything
// else that is limited. A statement belongs to the connection that prepared it. Long reads have a connection of their
// own; see [file.apart].

// A pool is the reading connections of a file.
type pool struct {
	path  string
	db    *sql.DB
	free  chan *reader   // idle readers; its capacity is the number of readers
	users sync.WaitGroup // reads in progress
}

func openPool(path string, conns int) (*pool, error) {
	db, err := handle{path: path, readOnly: true, conns: conns}.open()
	if err != nil {
		return nil, err
	}
	p := &pool{path: path, db: db, free: make(chan *reader, conns)}
	waits, words := &waiting{}, &vocabularies{}
	for range conns {
		p.free <- &reader{db: db, waits: waits, words: words}
	}
	return p, nil
}

// close waits for the reads in progress.
func (p *pool) close() error {
	p.users.Wait()
	var errs []error
	for range cap(p.free) {
		r := <-p.free
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}

// take returns an idle reader, and waits for one if there is none.
func (p *pool) take(ctx context.Context) (*reader, error) {
	select {
	case r := <-p.free:
		return r, nil
	default:
	}
	select {
	case r := <-p.free:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A reader is one reading connection and the statements prepared on it. One goroutine uses it at a time.
type reader struct {
	db   *sql.DB
	conn *sql.Conn // nil until it is needed
	// recent holds the statements used lately, older those used before. When recent is full it becomes older, and the
	// statements in older are closed.
	recent, older map[string]*sql.Stmt
	broken        bool          // the connection is not to be used again
	waits         *waiting      // shared by the readers of a file; nil for a reader of apart
	words         *vocabularies // as well
}

// halfStatements is the largest number of prepared statements in recent, and in older.
const halfStatements = 64

// query runs a statement on the reader's own connection.
func (r *reader) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	st, err := r.prepared(ctx, query) //nolint:sqlclosecheck // closed when it is used no more
	if err != nil {
		return nil, r.note(err)
	}
	rows, err := st.QueryContext(ctx, args...)
	return rows, r.note(err)
}

// prepared returns the statement of a query.
func (r *reader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := r.recent[query]; st != nil {
		return st, nil
	}
	st := r.older[query]
	if st != nil {
		delete(r.older, query)
	} else {
		if err := r.connect(ctx); err != nil {
			return nil, err
		}
		var err error
		if st, err = r.conn.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
	}
	if len(r.recent) >= halfStatements {
		for _, old := range r.older {
			_ = old.Close() // if it can't be closed, it ends with its connection
		}
		r.recent, r.older = nil, r.recent
	}
	if r.recent == nil {
		r.recent = make(map[string]*sql.Stmt, halfStatements)
	}
	r.recent[query] = st
	return st, nil
}

func (r *reader) connect(ctx context.Context) (err error) {
	if r.conn == nil {
		r.conn, err = r.db.Conn(ctx)
	}
	return err
}

// exec runs a statement that has no rows.
func (r *reader) exec(ctx context.Context, query string) error {
	st, err := r.prepared(ctx, query) //nolint:sqlclosecheck // closed when it is used no more
	if err == nil {
		_, err = st.ExecContext(ctx)
	}
	return r.note(err)
}

// note marks the connection as broken if an error says that it can't be used any more.
func (r *reader) note(err error) error {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		r.broken = true
	}
	return err
}

// rest prepares the reader for the next call.
func (r *reader) rest() {
	if r.broken {
		if r.conn != nil {
			_ = r.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that it is closed and not reused
		}
		_ = r.close()
	}
}

// close closes the connection and everything that was prepared on it.
func (r *reader) close() error {
	var errs []error
	for _, half := range []map[string]*sql.Stmt{r.recent, r.older} {
		for _, st := range half {
			errs = append(errs, st.Close())
		}
	}
	if r.conn != nil {
		errs = append(errs, r.conn.Close())
	}
	*r = reader{db: r.db, waits: r.waits}
	return errors.Join(errs...)
}

// A view reads on one connection.
type view struct {
	f *file
	r *reader
}

// query runs a statement and calls scan for each row.
func (v view) query(ctx context.Context, name, query string, args []any, scan func(*sql.Rows) error) (err error) {
	began := time.Now()
	defer func() { v.f.observe(ctx, v.r, name, query, args, time.Since(began), err) }()
	rows, err := v.r.query(ctx, query, args)
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

// read runs one reading statement.
func (f *file) read(ctx context.Context, name, query string, args []any, scan func(*sql.Rows) error) error {
	return f.look(ctx, func(ctx context.Context, v view) error { return v.query(ctx, name, query, args, scan) })
}

// look calls fn with a view of the current file. The context of fn ends after [Options.ReadTimeout] at the latest,
// including the wait for a reader.
func (f *file) look(ctx context.Context, fn func(context.Context, view) error) error {
	return f.using(ctx, func(p *pool) error {
		own, cancel := context.WithTimeout(ctx, f.opts.ReadTimeout)
		defer cancel()
		r, err := p.take(own)
		if err == nil {
			defer func() { r.rest(); p.free <- r }()
			err = fn(own, view{f: f, r: r})
		}
		if err != nil && own.Err() != nil && ctx.Err() == nil {
			return &store.UnavailableError{
				Reason:     "the read took longer than " + f.opts.ReadTimeout.String() + ": ask again, or for less",
				RetryAfter: time.Second, NotDone: true, Err: err,
			}
		}
		return err
	})
}

// agree calls fn with a view whose reads all see the same moment.
func (f *file) agree(ctx context.Context, fn func(context.Context, view) error) error {
	return f.look(ctx, func(ctx context.Context, v view) error { return v.moment(ctx, fn) })
}

// apart is [file.agree] for reads of everything: on a connection of its own, so that no other read waits, and without a
// timeout besides the caller's.
func (f *file) apart(ctx context.Context, fn func(context.Context, view) error) error {
	return f.using(ctx, func(p *pool) error {
		db, err := handle{path: p.path, readOnly: true, conns: 1}.open()
		if err != nil {
			return f.translate(ctx, err)
		}
		defer db.Close() //nolint:errcheck // nothing was written
		r := &reader{db: db}
		defer r.close() //nolint:errcheck // nothing was written
		return view{f: f, r: r}.moment(ctx, fn)
	})
}

// using calls fn with the current pool, which is not closed before fn returns.
func (f *file) using(ctx context.Context, fn func(*pool) error) error {
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
	return fn(p)
}

// moment calls fn within one reading transaction.
func (v view) moment(ctx context.Context, fn func(context.Context, view) error) error {
	if err := v.r.exec(ctx, "BEGIN"); err != nil {
		// The driver may report a statement as interrupted that was done. The next read must not find an open
		// transaction, which would also block checkpoints. Mostly there is none, and SQLite says so.
		_ = v.r.exec(context.WithoutCancel(ctx), "ROLLBACK")
		return v.f.translate(ctx, err)
	}
	defer func() {
		if v.r.exec(context.WithoutCancel(ctx), "ROLLBACK") != nil {
			v.r.broken = true
		}
	}()
	return fn(ctx, v)
}

// translate converts an error like the function of that name, for a store that may have been closed in between.
func (f *file) translate(ctx context.Context, err error) error {
	if err != nil && !known(err) && ctx.Err() == nil && f.closed.Load() {
		return store.ErrClosed
	}
	return f.advise(translate(ctx, err))
}
