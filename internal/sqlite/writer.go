package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// queueLength bounds the jobs that wait for the writer; when it is full the next caller waits for a place.
const queueLength = 256

// groupSize bounds the jobs of one transaction of the database, and groupTime how long one may gather them.
const (
	groupSize = 64
	groupTime = 100 * time.Millisecond
)

// checkpointEvery is how often the writer looks at the size of the write-ahead log.
const checkpointEvery = 15 * time.Second

// The states of a job.
const (
	jobOpen   int32 = iota // waiting or being done: its caller may still give it up
	jobGone                // its caller has given it up: nothing of it may happen
	jobSealed              // about to be committed: its caller waits for the end
)

// A job is something to be written. The writer does those that wait together in one transaction of the database, each
// behind a savepoint, so that one sync to disk serves them all.
type job struct {
	name  string
	run   func(ctx context.Context, t *tx) error
	state atomic.Int32
	done  chan error
	began time.Time
	ended bool // its caller was told; for the writer alone
	// own makes the writer hand itself over, outside any transaction.
	own func(ctx context.Context, w *writer) (*writer, error)
}

// head is the end of the log.
type head struct {
	Seq   knowledge.Seq
	Chain [32]byte
}

// A writer owns the one connection that writes.
type writer struct {
	f    *file
	path string
	db   *sql.DB
	conn *sql.Conn
	head head
	role role

	statements map[string]*sql.Stmt
}

func openWriter(ctx context.Context, h handle, role role) (*writer, error) {
	db, err := h.open()
	if err != nil {
		return nil, err
	}
	w := &writer{path: h.path, db: db, role: role, statements: map[string]*sql.Stmt{}}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(translate(ctx, err), db.Close())
	}
	if role == primary {
		err = w.identify(ctx)
	}
	if err == nil {
		w.head, err = w.readHead(ctx)
	}
	if err != nil {
		return nil, errors.Join(translate(ctx, err), w.close(ctx, false))
	}
	return w, nil
}

// close ends the connection; with tidy the write-ahead log is emptied first.
func (w *writer) close(ctx context.Context, tidy bool) error {
	var err error
	if tidy {
		err = w.checkpoint(ctx)
	}
	for _, st := range w.statements {
		err = errors.Join(err, st.Close())
	}
	w.statements = nil
	return errors.Join(err, w.conn.Close(), w.db.Close())
}

// stmt returns the prepared statement of a query. Every query of the writer is a constant, or one of few.
func (w *writer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := w.statements[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.statements[query] = st
	return st, nil
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	_, err := w.execCount(ctx, query, args...)
	return err
}

// execCount returns how many rows the statement touched.
func (w *writer) execCount(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := w.stmt(ctx, query) //nolint:sqlclosecheck // closed with its writer
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one reads a row into dest; false when there is none.
func (w *writer) one(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	st, err := w.stmt(ctx, query) //nolint:sqlclosecheck // closed with its writer
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// do hands a job to the writer and waits for its end. When ctx ends first and nothing was written yet, nothing will be.
func (f *file) do(ctx context.Context, name string, run func(ctx context.Context, t *tx) error) error {
	return f.submit(ctx, &job{name: name, run: run})
}

func (f *file) submit(ctx context.Context, j *job) error {
	if f.closed.Load() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	j.done, j.began = make(chan error, 1), time.Now()
	select {
	case f.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return store.ErrClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobOpen, jobGone) {
			return ctx.Err()
		}
		return <-j.done
	case <-f.done:
		select {
		case err := <-j.done:
			return err
		default:
			return store.ErrClosed
		}
	}
}

// write does what is asked for until the store is closed.
func (f *file) write(ctx context.Context, w *writer) {
	defer close(f.done)
	w.f = f
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.quit:
			f.err = w.close(ctx, true)
			return
		case <-tick.C:
			f.trim(ctx, w)
		case j := <-f.jobs:
			if j.own != nil {
				w = f.handOver(ctx, w, j)
				continue
			}
			w = f.group(ctx, w, j)
		}
	}
}

// handOver lets a job put another writer in this one's place.
func (f *file) handOver(ctx context.Context, w *writer, j *job) *writer {
	if !j.state.CompareAndSwap(jobOpen, jobSealed) {
		return w
	}
	next, err := j.own(ctx, w)
	next.f = f
	j.done <- err
	return next
}

// group does a job together with those that wait behind it.
func (f *file) group(ctx context.Context, w *writer, first *job) *writer {
	jobs := []*job{first}
	var own *job
	for len(jobs) < groupSize && own == nil {
		select {
		case j := <-f.jobs:
			if j.own != nil {
				own = j
				continue
			}
			jobs = append(jobs, j)
			continue
		default:
		}
		break
	}
	for len(jobs) > 0 {
		n := w.commit(ctx, jobs)
		jobs = jobs[n:]
	}
	if f.committed != nil {
		f.committed(w.head)
	}
	if own != nil {
		w = f.handOver(ctx, w, own)
	}
	return w
}

// commit does the first of the jobs, as many as fit into one transaction, and tells their callers. It returns how many.
func (w *writer) commit(ctx context.Context, jobs []*job) int {
	began := time.Now()
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return w.fail(jobs[:1], err)
	}
	at, err := w.readHead(ctx)
	if err != nil {
		w.rollback(ctx)
		return w.fail(jobs[:1], err)
	}
	t := &tx{writer: w, head: at}
	var sealed []*job
	n := 0
	for _, j := range jobs {
		n++
		err := t.try(ctx, j, len(jobs) > 1)
		if lost(err) {
			w.rollback(ctx)
			if n == 1 {
				return w.fail(jobs[:1], err)
			}
			// The others may be sound: the one that is not gets a transaction of its own next time.
			for _, other := range sealed {
				other.state.Store(jobOpen)
			}
			return w.alone(ctx, jobs[:n])
		}
		if err != nil {
			w.end(j, err)
			continue
		}
		if j.state.Load() == jobSealed {
			sealed = append(sealed, j)
		}
		if time.Since(began) > groupTime {
			break
		}
	}
	if len(sealed) == 0 {
		w.rollback(ctx)
		return n
	}
	err = w.flush(ctx, &t.all)
	if err == nil {
		err = w.exec(ctx, "COMMIT")
	}
	if err != nil {
		w.rollback(ctx)
		w.fail(sealed, err)
		return n
	}
	w.head = t.head
	for _, j := range sealed {
		w.end(j, nil)
	}
	return n
}

// alone does each job in a transaction of its own. Those that have ended already are passed over.
func (w *writer) alone(ctx context.Context, jobs []*job) int {
	for _, j := range jobs {
		if !j.ended {
			w.commit(ctx, []*job{j})
		}
	}
	return len(jobs)
}

// fail tells the callers of jobs that the database did not do them.
func (w *writer) fail(jobs []*job, err error) int {
	for _, j := range jobs {
		w.end(j, err)
	}
	return len(jobs)
}

// end tells a job's caller how it ended.
func (w *writer) end(j *job, err error) {
	err = contract(err)
	w.f.observeWrite(j.name, time.Since(j.began), err)
	j.ended = true
	j.done <- err
}

// rollback ends a transaction without a trace. An error means that SQLite has ended it itself.
func (w *writer) rollback(ctx context.Context) {
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
}

// A tx is the transaction of the database in which jobs are done.
type tx struct {
	*writer
	head head    // after what was done so far; takes the writer's place at the commit
	all  entries // of the jobs that were done
	job  entries // of the one that is being done
}

// try does one job, and undoes it when it fails or its caller has given it up. The error is the job's, or the driver's.
func (t *tx) try(ctx context.Context, j *job, savepoint bool) error {
	if j.state.Load() == jobGone {
		return nil
	}
	if savepoint {
		if err := t.exec(ctx, "SAVEPOINT job"); err != nil {
			return err
		}
	}
	before := t.head
	t.job = entries{}
	err := j.run(ctx, t)
	if err == nil && j.state.CompareAndSwap(jobOpen, jobSealed) {
		t.all.merge(&t.job)
		if savepoint {
			return t.exec(ctx, "RELEASE job")
		}
		return nil
	}
	t.head = before
	if lost(err) || !savepoint {
		return err
	}
	if back := t.exec(ctx, "ROLLBACK TO job"); back != nil {
		return back
	}
	if back := t.exec(ctx, "RELEASE job"); back != nil {
		return back
	}
	return err
}

// readHead reads the end of the log: of the changes, or where a mirror stands. A journal has none.
func (w *writer) readHead(ctx context.Context) (head, error) {
	switch w.role {
	case journal:
		return head{}, nil
	case mirror:
		p, err := w.position(ctx)
		if err != nil || p == nil {
			return head{}, err
		}
		return head{p.Seq, p.Chain}, nil
	case primary:
	}
	var h head
	var chain []byte
	_, err := w.one(ctx, "SELECT seq, chain FROM changes ORDER BY seq DESC LIMIT 1", nil, &h.Seq, &chain)
	copy(h.Chain[:], chain)
	return h, err
}

// trim keeps the write-ahead log short. While readers keep it in use it can't be emptied: then the next look may.
func (f *file) trim(ctx context.Context, w *writer) {
	st, err := os.Stat(w.path + "-wal")
	if err != nil || st.Size() < walLimit/4 {
		return
	}
	if err := w.checkpoint(ctx); err != nil {
		f.opts.Log.WarnContext(ctx, "checkpoint failed", "path", w.path, "error", err)
	}
}

// checkpoint moves the write-ahead log into the file and empties it, unless a reader uses it for longer than a moment.
func (w *writer) checkpoint(ctx context.Context) error {
	short := fmt.Sprintf("PRAGMA busy_timeout = %d", (100 * time.Millisecond).Milliseconds())
	long := fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())
	_, err := w.conn.ExecContext(ctx, short)
	if err == nil {
		_, err = w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	_, err2 := w.conn.ExecContext(ctx, long)
	return translate(ctx, errors.Join(err, err2))
}
