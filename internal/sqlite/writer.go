package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// queueLength is the largest number of jobs that wait for the writer. When the queue is full the next caller waits.
const queueLength = 256

// groupSize is the largest number of jobs in one database transaction, groupTime the longest time to collect them.
const (
	groupSize = 64
	groupTime = 100 * time.Millisecond
)

// checkpointEvery is the time between two checks of the size of the write-ahead log.
const checkpointEvery = 15 * time.Second

// The states of a job.
const (
	jobOpen   int32 = iota // waiting or running: its caller may still cancel it
	jobGone                // cancelled by its caller: nothing of it may happen
	jobSealed              // about to be committed: its caller waits for the result
)

// A job is one write. The writer runs waiting jobs together in one database transaction, each in a savepoint, so that
// all share one sync to disk.
type job struct {
	name  string
	run   func(ctx context.Context, t *tx) error
	state atomic.Int32
	done  chan error
	began time.Time
	ended bool // its caller has its result; used by the writer only
	// own replaces the writer by another one, outside any transaction.
	own func(ctx context.Context, w *writer) (*writer, error)
}

// head is the end of the log.
type head struct {
	Seq   knowledge.Seq
	Chain [32]byte
}

// A writer owns the only connection that writes.
type writer struct {
	f    *file
	path string
	db   *sql.DB
	conn *sql.Conn
	head head
	role role
	// purged is set when a transaction has purged a document: a scrub is due.
	purged bool

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

// close closes the connection; with tidy it empties the write-ahead log first.
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

// stmt returns the prepared statement of a query. The writer has only few different queries.
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

// do passes a job to the writer and waits for its result. If ctx ends before the job is committed, nothing is written.
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
	return f.await(ctx, j)
}

// await waits for the result of a job. If ctx ends before the job is committed, nothing is written.
func (f *file) await(ctx context.Context, j *job) error {
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

// write runs jobs until the store is closed.
func (f *file) write(ctx context.Context, w *writer) {
	defer close(f.done)
	w.f = f
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	rested := time.NewTimer(0) // a scrub may be due from an earlier run
	defer rested.Stop()
	var owed *scrub
	for {
		select {
		case <-f.quit:
			f.err = errors.Join(w.scrubAll(ctx, owed), w.close(ctx, true))
			return
		case <-tick.C:
			f.trim(ctx, w)
		case <-rested.C:
			owed = f.scrub(ctx, w, owed, rested)
		case j := <-f.jobs:
			if j.own != nil {
				w = f.handOver(ctx, w, j)
			} else {
				w = f.group(ctx, w, j)
			}
			if w.purged {
				w.purged, owed = false, &scrub{merged: w.role == guest} // which has no search index
				rested.Reset(scrubRest)
			}
		}
	}
}

// scrub does one step of a due scrub, and returns what is left.
func (f *file) scrub(ctx context.Context, w *writer, owed *scrub, rested *time.Timer) *scrub {
	var err error
	if owed == nil {
		owed, err = w.owes(ctx)
	}
	if owed == nil && err == nil {
		return nil
	}
	rest := scrubLeft
	if err == nil {
		rest, err = w.step(ctx, owed)
	}
	switch {
	case err != nil:
		f.opts.Log.WarnContext(ctx, "words of purged documents could not be removed from the search index; "+
			"trying again", "path", w.path, "error", err.Error())
		rested.Reset(checkpointEvery)
	case rest > 0:
		rested.Reset(rest)
	default:
		return nil
	}
	return owed
}

// handOver lets a job replace this writer by another one.
func (f *file) handOver(ctx context.Context, w *writer, j *job) *writer {
	if !j.state.CompareAndSwap(jobOpen, jobSealed) {
		return w
	}
	next, err := j.own(ctx, w)
	next.f = f
	j.done <- err
	return next
}

// group runs a job together with those that wait behind it.
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

// commit runs the first jobs, as many as fit into one transaction, and passes the results to their callers. It returns
// their number.
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
	// A refusal may depend on earlier writes of this transaction, so it is reported after the commit: a caller that
	// looks for the reason must find it.
	var refused []refusal
	n := 0
	for _, j := range jobs {
		n++
		err := t.try(ctx, j, len(jobs) > 1)
		if lost(err) {
			w.rollback(ctx)
			if n == 1 {
				return w.fail(jobs[:1], err)
			}
			// The other jobs may be fine: the failing one gets a transaction of its own next time.
			for _, other := range sealed {
				other.state.Store(jobOpen)
			}
			return w.alone(ctx, jobs[:n])
		}
		if err != nil && len(sealed) > 0 {
			refused = append(refused, refusal{j, err})
			continue
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
	t.finish(ctx, sealed, refused)
	return n
}

// finish commits the sealed jobs and reports the results; it rolls back a transaction without sealed jobs.
func (t *tx) finish(ctx context.Context, sealed []*job, refused []refusal) {
	if len(sealed) == 0 {
		t.rollback(ctx)
		return
	}
	err := t.flush(ctx, &t.all)
	if err == nil {
		err = t.exec(ctx, "COMMIT")
	}
	if err != nil {
		t.rollback(ctx)
		t.fail(sealed, err)
		for _, r := range refused {
			t.end(r.job, err)
		}
		return
	}
	w := t.writer
	w.head, w.purged = t.head, w.purged || t.all.purged
	for _, j := range sealed {
		w.end(j, nil)
	}
	for _, r := range refused {
		w.end(r.job, r.err)
	}
}

// A refusal is a job that was refused, and the reason.
type refusal struct {
	job *job
	err error
}

// alone runs each job in a transaction of its own. Jobs that have ended already are skipped.
func (w *writer) alone(ctx context.Context, jobs []*job) int {
	for _, j := range jobs {
		if !j.ended {
			w.commit(ctx, []*job{j})
		}
	}
	return len(jobs)
}

// fail passes an error to the callers of jobs.
func (w *writer) fail(jobs []*job, err error) int {
	for _, j := range jobs {
		w.end(j, err)
	}
	return len(jobs)
}

// end passes the result of a job to its caller.
func (w *writer) end(j *job, err error) {
	err = w.f.advise(contract(err))
	w.f.observeWrite(j.name, time.Since(j.began), err)
	j.ended = true
	j.done <- err
}

// rollback rolls a transaction back. An error means that SQLite has already done so.
func (w *writer) rollback(ctx context.Context) {
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
}

// A tx is the database transaction in which jobs run.
type tx struct {
	*writer
	head head           // after the jobs so far; becomes the writer's head at the commit
	now  knowledge.Time // of the current batch
	last int            // the last op of the current batch that does something
	all  entries        // of the finished jobs
	job  entries        // of the current job
	// beside makes index entries while the transaction goes on, which waits for it before it ends; nil for none.
	beside *errgroup.Group
}

// try runs one job, and undoes it if it fails or its caller has cancelled it. The error is the job's, or the driver's.
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

// readHead reads the end of the log, or the position of a mirror. Tables of another package have none.
func (w *writer) readHead(ctx context.Context) (head, error) {
	switch w.role {
	case guest:
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

// trim keeps the write-ahead log short. Readers may block it; then the next call tries again.
func (f *file) trim(ctx context.Context, w *writer) {
	st, err := os.Stat(w.path + "-wal")
	if err != nil || st.Size() < walLimit/4 {
		return
	}
	if err := w.checkpoint(ctx); err != nil {
		f.opts.Log.WarnContext(ctx, "checkpoint failed", "path", w.path, "error", err)
	}
}

// checkpoint moves the write-ahead log into the file and empties it, unless a reader blocks it.
func (w *writer) checkpoint(ctx context.Context) error {
	_, err := w.emptied(ctx)
	return err
}

// emptied runs a checkpoint, and reports whether the write-ahead log is empty now.
func (w *writer) emptied(ctx context.Context) (bool, error) {
	var busy, pages, moved int
	short := fmt.Sprintf("PRAGMA busy_timeout = %d", (100 * time.Millisecond).Milliseconds())
	long := fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())
	_, err := w.conn.ExecContext(ctx, short)
	if err == nil {
		err = w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	}
	_, err2 := w.conn.ExecContext(ctx, long)
	return busy == 0, translate(ctx, errors.Join(err, err2))
}
