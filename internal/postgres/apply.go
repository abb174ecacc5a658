package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// batch sends several statements in one round trip.
func (s *Store) batch(own, caller context.Context, name string, fill func(*pgx.Batch)) error {
	return again(caller, func() error {
		b := &pgx.Batch{}
		fill(b)
		began := time.Now()
		err := s.pool.SendBatch(own, b).Close()
		if dead(err) && own.Err() == nil {
			b = &pgx.Batch{}
			fill(b)
			err = s.pool.SendBatch(own, b).Close()
		}
		s.observe(caller, name, "", nil, began, err) //nolint:errcheck // it returns the same error
		return contractual(caller, err)
	})
}

// dead reports whether a connection of the pool turned out to be closed by the other side: it may be that the server was
// started anew while the connection was idle.
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

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	own, cancel, err := s.guard(ctx)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	defer cancel()
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	print, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	var rec knowledge.Receipt
	for lost := 0; ; lost++ {
		err = again(ctx, func() error {
			rec, err = s.applyOnce(own, ctx, &b, print)
			return err
		})
		if !errors.Is(err, errLost) || lost == maxLost {
			break
		}
	}
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return knowledge.Receipt{}, conflict
	}
	return rec, err
}

// errLost says that another write came between the read and the write of an unconditional patch.
var errLost = errors.New("another write came between")

// maxLost is how often an unconditional patch may lose that race before its writer hears of a conflict.
const maxLost = 200

func (s *Store) applyOnce(own, caller context.Context, b *knowledge.Batch, print [32]byte) (knowledge.Receipt, error) {
	ops, patched, err := s.resolve(own, caller, b, print)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if ops == nil {
		return s.receipt(own, caller, b)
	}
	rec, err := s.apply(own, caller, b, ops, patched, print)
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok && patched[conflict.Op] != nil && b.Ops[conflict.Op].IfVersion == knowledge.AnyVersion {
		return knowledge.Receipt{}, fmt.Errorf("%w: %w", errLost, err)
	}
	return rec, err
}

// A sqlOp is an op as tenet_apply takes it.
type sqlOp struct {
	Verb      knowledge.Verb  `json:"verb"`
	Kind      knowledge.Kind  `json:"kind"`
	ID        string          `json:"id"`
	IfVersion int64           `json:"if_version"`
	Document  json.RawMessage `json:"document,omitempty"`
}

// resolve returns the batch as the server takes it, every patch turned into the document it leaves behind, which
// patched holds by op. Nil says that the ledger has the batch already.
func (s *Store) resolve(own, caller context.Context, b *knowledge.Batch, print [32]byte) ([]sqlOp, map[int]knowledge.Document, error) {
	current, done, err := s.forPatches(own, caller, b, print)
	if err != nil || done {
		return nil, nil, err
	}
	ops := make([]sqlOp, len(b.Ops))
	patched := map[int]knowledge.Document{}
	for i := range b.Ops {
		op := &b.Ops[i]
		ops[i] = sqlOp{Verb: op.Verb, Kind: op.Key.Kind, ID: op.Key.ID, IfVersion: op.IfVersion}
		doc := op.Doc
		if op.Verb == knowledge.VerbPatch {
			rec := current[op.Key]
			if rec == nil {
				if op.IfVersion > 0 {
					return nil, nil, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion}
				}
				return nil, nil, &store.NotFoundError{Key: op.Key}
			}
			if op.IfVersion > 0 && op.IfVersion != rec.Version {
				return nil, nil, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version}
			}
			before, err := rec.Document()
			if err != nil {
				return nil, nil, &scanError{err}
			}
			if doc, err = op.Next(before); err != nil {
				if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
					return nil, nil, invalid.Below(fmt.Sprintf("/ops/%d/patch", i))
				}
				return nil, nil, err
			}
			ops[i].Verb, ops[i].IfVersion, patched[i] = knowledge.VerbPut, rec.Version, doc
		}
		if doc != nil {
			if ops[i].Document, err = knowledge.Canonical(doc); err != nil {
				return nil, nil, fmt.Errorf("encode %s: %w", op.Key, err)
			}
		}
	}
	return ops, patched, nil
}

// forPatches reads the documents that a batch patches, and whether the ledger has the batch: with the batch done, its
// patches must not be judged by what is there now.
func (s *Store) forPatches(own, caller context.Context, b *knowledge.Batch, print [32]byte) (map[knowledge.Key]*knowledge.Record, bool, error) {
	var keys []knowledge.Key
	for i := range b.Ops {
		if b.Ops[i].Verb == knowledge.VerbPatch {
			keys = append(keys, b.Ops[i].Key)
		}
	}
	if keys == nil {
		return nil, false, nil
	}
	current := map[knowledge.Key]*knowledge.Record{}
	var known []byte
	err := s.batch(own, caller, "read for patch", func(q *pgx.Batch) {
		q.Queue("SELECT fingerprint FROM batches WHERE id = $1", b.ID).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&known); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		for _, key := range keys {
			t := tableOf(key.Kind)
			q.Queue(t.getSQL, key.ID).Query(func(rows pgx.Rows) error {
				for rows.Next() {
					rec, err := t.record(rows)
					if err != nil {
						return err
					}
					current[key] = rec
				}
				return rows.Err()
			})
		}
	})
	if err != nil {
		return nil, false, err
	}
	if known != nil && [32]byte(known) != print {
		return nil, false, store.ErrReused
	}
	return current, known != nil, nil
}

// applySQL does a batch in a transaction of its own; appliedSQL reads what it did, after its commit.
const (
	applySQL   = "SELECT tenet_apply($1, $2, $3, $4, $5)"
	appliedSQL = "SELECT " + changeColumns + " FROM changes c WHERE c.batch_id = $1 ORDER BY c.seq"
)

// apply sends the batch and the question what it did in one round trip, as two transactions. When the connection turns out to
// be dead it is sent once more: the ledger knows the batch if it was done.
func (s *Store) apply(own, caller context.Context, b *knowledge.Batch, ops []sqlOp, patched map[int]knowledge.Document, print [32]byte) (knowledge.Receipt, error) {
	payload, err := json.Marshal(ops)
	if err != nil {
		return knowledge.Receipt{}, fmt.Errorf("encode batch %s: %w", b.ID, err)
	}
	began := time.Now()
	changes, err := s.send(own, b, payload, print)
	if dead(err) && own.Err() == nil {
		changes, err = s.send(own, b, payload, print)
	}
	s.observe(caller, "apply", applySQL, nil, began, err) //nolint:errcheck // it returns the same error
	if err != nil {
		if refused, ok := refusal(b, patched, err); ok {
			return knowledge.Receipt{}, refused
		}
		if s.closed.Load() {
			return knowledge.Receipt{}, store.ErrClosed
		}
		return knowledge.Receipt{}, contractual4write(caller, err)
	}
	return receiptOf(b, changes), nil
}

// contractual4write is contractual for a call that may have been carried out.
func contractual4write(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*scanError](err); ok {
		return err
	}
	return translate(ctx, err, false)
}

func (s *Store) send(ctx context.Context, b *knowledge.Batch, payload []byte, print [32]byte) ([]knowledge.Change, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, &notSentError{err}
	}
	defer conn.Release()
	pg, types := conn.Conn().PgConn(), conn.Conn().TypeMap()
	var at []byte
	if !b.At.IsZero() {
		at = []byte(b.At.Format(knowledge.TimeLayout))
	}
	id := []byte(b.ID.String())
	pipe := pg.StartPipeline(ctx)
	pipe.SendQueryParams(applySQL, [][]byte{id, print[:], []byte(b.Actor), at, payload},
		[]uint32{pgtype.UUIDOID, pgtype.ByteaOID, pgtype.TextOID, pgtype.TimestamptzOID, pgtype.JSONBOID}, []int16{0, 1, 0, 0, 0}, nil)
	pipe.SendPipelineSync()
	pipe.SendQueryParams(appliedSQL, [][]byte{id}, []uint32{pgtype.UUIDOID}, []int16{0}, changeFormats)
	if err := pipe.Sync(); err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	changes, err := readPipeline(pipe, types)
	return changes, errors.Join(err, pipe.Close())
}

// readPipeline reads the answers to the batch and to the question after it. The first error is the one that counts; what
// comes after it is read all the same, so that the connection can be used again.
func readPipeline(pipe *pgconn.Pipeline, types *pgtype.Map) ([]knowledge.Change, error) {
	var changes []knowledge.Change
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for syncs, results := 0, 0; syncs < 2; {
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
			results++
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
			return nil, errors.Join(first, io.ErrUnexpectedEOF)
		}
	}
	return changes, first
}

// A notSentError says that a statement was not even sent.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }

// receipt reads what a batch did that the ledger has.
func (s *Store) receipt(own, caller context.Context, b *knowledge.Batch) (knowledge.Receipt, error) {
	changes, err := s.changes(own, "read receipt", appliedSQL, []any{b.ID})
	if err != nil {
		return knowledge.Receipt{}, translateKept(caller, err)
	}
	return receiptOf(b, changes), nil
}

// translateKept leaves errors of the contract as they are.
func translateKept(ctx context.Context, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	return err
}

func receiptOf(b *knowledge.Batch, changes []knowledge.Change) knowledge.Receipt {
	rec := knowledge.Receipt{Batch: b.ID, Records: make([]*knowledge.Record, len(b.Ops))}
	at := make(map[knowledge.Key]*knowledge.Record, len(changes))
	for i := range changes {
		at[changes[i].Key] = changes[i].Record
		rec.Seq = max(rec.Seq, changes[i].Seq)
	}
	for i := range b.Ops {
		rec.Records[i] = at[b.Ops[i].Key]
	}
	return rec
}
