package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenet/internal/knowledge"
)

// applySQL applies batches in their own transaction.
const (
	applySQL = "SELECT tenet_apply($1::uuid[], $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
	// enterSQL records who submitted a batch under another name or time, before the commit writes the log's rows.
	enterSQL = "SELECT tenet_enter($1, $2, $3)"
	// saySQL hands the messages of batches to the triggers that write the log's rows, until the end of the transaction.
	saySQL = "SELECT set_config('tenet.messages', $1, true)"
)

// appliedSQL reads the changes of batches after their commit.
func appliedSQL() string { return loggedFrom("WHERE c.batch_id = ANY ($1::uuid[]) ORDER BY c.seq") }

// Names of prepared statements.
const (
	applyName   = "tenet_apply"
	appliedName = "tenet_applied"
)

//nolint:gochecknoglobals // a constant of the protocol
var oneBinary = []int16{1}

// prepared returns a connection that has the statements of a batch.
func prepared(ctx context.Context, s *Store) (*pgxpool.Conn, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, &notSentError{err}
	}
	for name, sql := range map[string]string{applyName: applySQL, appliedName: appliedSQL()} {
		if _, err := conn.Conn().Prepare(ctx, name, sql); err != nil {
			conn.Release()
			return nil, &notSentError{err}
		}
	}
	return conn, nil
}

// batchIDs returns the ids of batches as an argument.
func batchIDs(batches []*member) []byte {
	ids := newArray(pgtype.UUIDOID, len(batches), 16*len(batches))
	for _, m := range batches {
		ids.add(m.batch.ID[:])
	}
	return ids.done()
}

// tryOut sends batches and the query of their changes in one transaction, and rolls it back. The log's rows are made by
// deferred triggers, so the constraints are set to immediate first.
func tryOut(ctx context.Context, s *Store, batches []*member) ([]knowledge.Change, error) {
	conn, err := prepared(ctx, s)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	pipe := conn.Conn().PgConn().StartPipeline(ctx)
	pipe.SendQueryParams("BEGIN", nil, nil, nil, nil)
	pipe.SendQueryPrepared(applyName, arguments(batches), oneBinary, oneBinary)
	enter(pipe, batches)
	say(pipe, batches)
	pipe.SendQueryParams("SET CONSTRAINTS ALL IMMEDIATE", nil, nil, nil, nil)
	pipe.SendPipelineSync()
	pipe.SendQueryPrepared(appliedName, [][]byte{batchIDs(batches)}, oneBinary, oneBinary)
	pipe.SendQueryParams("ROLLBACK", nil, nil, nil, nil)
	changes, err := finish(pipe, conn.Conn().TypeMap())
	if conn.Conn().PgConn().TxStatus() != 'I' { // it was refused, and what stands behind that was passed over
		_, back := conn.Exec(ctx, "ROLLBACK")
		err = errors.Join(err, back)
	}
	if read, ok := errors.AsType[*committedError](err); ok {
		err = read.err // nothing was committed
	}
	return changes, err
}

// send sends batches and the query of their changes in one round trip, as two transactions. If hurried, it does not
// wait long for locked rows.
func (s *Store) send(ctx context.Context, batches []*member, hurried bool) ([]knowledge.Change, error) {
	conn, err := prepared(ctx, s)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	pipe := conn.Conn().PgConn().StartPipeline(ctx)
	if hurried {
		pipe.SendQueryParams(hurrySQL, nil, nil, nil, nil)
	}
	pipe.SendQueryPrepared(applyName, arguments(batches), oneBinary, oneBinary)
	enter(pipe, batches)
	say(pipe, batches)
	if hurried {
		pipe.SendQueryParams(unhurrySQL, nil, nil, nil, nil)
	}
	pipe.SendPipelineSync()
	pipe.SendQueryPrepared(appliedName, [][]byte{batchIDs(batches)}, oneBinary, oneBinary)
	return finish(pipe, conn.Conn().TypeMap())
}

// enter queues the statement that records who submitted batches for others, if anybody did.
func enter(pipe *pgconn.Pipeline, batches []*member) {
	ids, who, given := newArray(pgtype.UUIDOID, 1, 0), newArray(pgtype.TextOID, 1, 0), newArray(pgtype.BoolOID, 1, 0)
	for _, m := range batches {
		if m.batch.EnteredBy == "" {
			continue
		}
		ids.add(m.batch.ID[:])
		who.add([]byte(m.batch.EnteredBy))
		given.add([]byte{map[bool]byte{true: 1}[!m.batch.At.IsZero()]})
	}
	if ids.n > 0 {
		pipe.SendQueryParams(enterSQL, [][]byte{ids.done(), who.done(), given.done()}, nil, oneBinary, nil)
	}
}

// say queues the statement that hands over what the writers of batches say of them, if anybody does.
func say(pipe *pgconn.Pipeline, batches []*member) {
	said := map[string]string{}
	for _, m := range batches {
		if m.batch.Message != "" {
			said[m.batch.ID.String()] = m.batch.Message
		}
	}
	if len(said) == 0 {
		return
	}
	text, err := json.Marshal(said)
	if err != nil {
		panic(err) // texts can be encoded
	}
	pipe.SendQueryParams(saySQL, [][]byte{text}, []uint32{pgtype.TextOID}, nil, nil)
}

// finish sends a pipeline of two transactions, the writes and the query of their changes, and reads the answers.
func finish(pipe *pgconn.Pipeline, types *pgtype.Map) ([]knowledge.Change, error) {
	if err := pipe.Sync(); err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	changes, err := readPipeline(pipe, types)
	return changes, errors.Join(err, pipe.Close())
}

// readPipeline reads the answers and returns the first error. It reads the remaining answers too, so that the
// connection stays usable.
func readPipeline(pipe *pgconn.Pipeline, types *pgtype.Map) ([]knowledge.Change, error) {
	var changes []knowledge.Change
	var first error
	syncs := 0
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
				return nil, first
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
		case nil:
			note(io.ErrUnexpectedEOF)
			return nil, first
		}
	}
	return changes, first
}

// A committedError means that the batch was committed and its changes could not be read: the right to read may have
// been revoked in between.
type committedError struct{ err error }

func (e *committedError) Error() string { return e.err.Error() }
func (e *committedError) Unwrap() error { return e.err }

// A notSentError is an error before the statement was sent.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }

// batch sends several reading statements in one round trip. They must be idempotent.
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

// leaveEvery is the least time between two calls of leave that have an effect.
const leaveEvery = 2 * time.Second

// leave closes the connections to a server that has become read-only, so that new ones go to its successor: the role of
// several hosts is checked only when connecting.
func (s *Store) leave() {
	now, last := time.Now().UnixNano(), s.left.Load()
	if now-last > int64(leaveEvery) && s.left.CompareAndSwap(last, now) {
		s.pool.Reset()
	}
}

// dead reports whether the peer had closed the connection: the server may have restarted while it was idle.
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
