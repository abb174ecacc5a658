package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

// applySQL does a batch in a transaction of its own; appliedSQL reads what it did, after its commit.
const (
	applySQL   = "SELECT tenet_apply($1, $2, $3, $4, $5, $6)"
	appliedSQL = "SELECT " + changeColumns + " FROM changes c WHERE c.batch_id = $1 ORDER BY c.seq"
)

// send sends the batch and the question what it did in one round trip, as two transactions.
func (s *Store) send(ctx context.Context, a *application, p payload) ([]knowledge.Change, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, &notSentError{err}
	}
	defer conn.Release()
	pipe := conn.Conn().PgConn().StartPipeline(ctx)
	p.queue(pipe, a)
	pipe.SendPipelineSync()
	pipe.SendQueryParams(appliedSQL, [][]byte{[]byte(a.batch.ID.String())}, []uint32{pgtype.UUIDOID}, []int16{0}, changeFormats)
	changes, _, err := finish(pipe, conn.Conn().TypeMap())
	return changes, err
}

// queue adds the call that does a batch to a pipeline.
func (p payload) queue(pipe *pgconn.Pipeline, a *application) {
	var at []byte
	if !a.batch.At.IsZero() {
		at = []byte(a.batch.At.Format(knowledge.TimeLayout))
	}
	pipe.SendQueryParams(applySQL, [][]byte{[]byte(a.batch.ID.String()), a.fingerprint[:], []byte(a.batch.Actor), at, p.ops, p.vectors},
		[]uint32{pgtype.UUIDOID, pgtype.ByteaOID, pgtype.TextOID, pgtype.TimestamptzOID, pgtype.JSONBOID, tsvectorArrayOID}, []int16{0, 1, 0, 0, 0, 1}, nil)
}

// finish sends a pipeline of two transactions, what is to be done and the question what it did, and reads the answers. It
// also tells how many statements had been answered when the error came.
func finish(pipe *pgconn.Pipeline, types *pgtype.Map) ([]knowledge.Change, int, error) {
	if err := pipe.Sync(); err != nil {
		return nil, 0, errors.Join(err, pipe.Close())
	}
	changes, answered, err := readPipeline(pipe, types)
	return changes, answered, errors.Join(err, pipe.Close())
}

// readPipeline reads the answers. The first error is the one that counts; what comes after it is read all the same, so that the
// connection can be used again.
func readPipeline(pipe *pgconn.Pipeline, types *pgtype.Map) ([]knowledge.Change, int, error) {
	var changes []knowledge.Change
	var first error
	syncs, answered := 0, 0
	note := func(err error) {
		if first == nil && err != nil {
			if first = err; syncs > 0 {
				first = &committedError{err}
			}
		}
	}
	for syncs < 2 {
		got, err := pipe.GetResults()
		if err != nil {
			note(err)
			if _, server := errors.AsType[*pgconn.PgError](err); !server {
				return nil, answered, first
			}
			continue
		}
		switch got := got.(type) {
		case *pgconn.PipelineSync:
			syncs++
		case *pgconn.ResultReader:
			rows := pgx.RowsFromResultReader(types, got)
			for rows.Next() {
				if syncs == 0 {
					continue
				}
				c, err := scanChange(rows)
				note(err)
				changes = append(changes, c)
			}
			rows.Close()
			note(rows.Err())
			if first == nil {
				answered++
			}
		case nil:
			note(io.ErrUnexpectedEOF)
			return nil, answered, first
		}
	}
	return changes, answered, first
}

// A committedError says that the batch was done and that what it did could not be read: the rights to read may have been taken
// away in between.
type committedError struct{ err error }

func (e *committedError) Error() string { return e.err.Error() }
func (e *committedError) Unwrap() error { return e.err }

// A notSentError says that a statement was not even sent.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }

// batch sends several reading statements in one round trip. What fill queues may be asked twice.
func (s *Store) batch(own, caller context.Context, name string, fill func(*pgx.Batch)) error {
	return again(caller, func() error {
		began := time.Now()
		err := s.batchOnce(own, fill)
		if dead(err) && own.Err() == nil {
			s.pool.Reset()
			err = s.batchOnce(own, fill)
		}
		s.observe(name, "", nil, began, err)
		return s.contractual(caller, err)
	})
}

func (s *Store) batchOnce(ctx context.Context, fill func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	fill(b)
	return s.pool.SendBatch(ctx, b).Close()
}

// leaveEvery is how long a server that takes no writes is stayed with at least.
const leaveEvery = 2 * time.Second

// leave gives up the connections to a server that has become read-only, so that the next go to the one that took its place: of
// several hosts a role is asked for only when a connection is made.
func (s *Store) leave() {
	now, last := time.Now().UnixNano(), s.left.Load()
	if now-last > int64(leaveEvery) && s.left.CompareAndSwap(last, now) {
		s.pool.Reset()
	}
}

// dead reports whether a connection turned out to be closed by the other side: the server may have been started anew while the
// connection was idle.
func dead(err error) bool {
	if err == nil {
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57P01" || pg.Code == "57P02"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
