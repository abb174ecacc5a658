package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// changeColumns are the columns that scanChange reads. The document is read as text because the hash covers the text.
const changeColumns = "c.seq, c.kind, c.id, c.version, c.verb, c.batch_id, c.actor, c.at, c.document::text, " +
	"c.document_hash, c.chain, c.entered_by, c.entered_at, c.erased, message, " +
	// EXISTS would become a hash over the whole log
	"coalesce((SELECT n.txid FROM changes n WHERE n.seq = c.seq + 1) = c.txid, false)"

// loggedFrom returns a statement for rows of the log, given what follows FROM changes c. A message is empty in a schema
// that does not have the column yet: the name then means that of the outer row.
func loggedFrom(rest string, more ...string) string {
	columns := strings.Join(append([]string{changeColumns}, more...), ", ")
	return "SELECT c.* FROM (VALUES (''::text)) AS unsaid (message), LATERAL (SELECT " + columns +
		" FROM changes c " + rest + ") AS c"
}

// scanChange reads a row of the log.
func scanChange(r pgx.Rows) (knowledge.Change, error) {
	c, _, err := scanLogged(r)
	return c, err
}

// scanLogged reads a row of the log, with the text that its hash covers.
func scanLogged(r pgx.Rows) (c knowledge.Change, document []byte, err error) {
	var kind, verb string
	var at, entered pgtype.Timestamptz
	var hash, chain []byte
	var text, by, erased, message *string
	if err := r.Scan(&c.Seq, &kind, &c.Key.ID, &c.Version, &verb, &c.Batch, &c.Actor, &at, &text, &hash, &chain, &by,
		&entered, &erased, &message, &c.More); err != nil {
		return c, nil, err
	}
	c.Key.Kind, c.Verb, c.At = knowledge.Kind(kind), knowledge.Verb(verb), timeOf(at)
	if len(hash) != 32 || len(chain) != 32 {
		return c, nil, &scanError{fmt.Errorf("change %d: hash and chain have %d and %d bytes instead of 32", c.Seq,
			len(hash), len(chain))}
	}
	c.Hash, c.Chain = [32]byte(hash), [32]byte(chain)
	if by != nil {
		c.EnteredBy, c.EnteredAt = *by, timeOf(entered)
	}
	if erased != nil {
		c.Erased = *erased
	}
	if message != nil {
		c.Message = *message
	}
	if text != nil {
		document = []byte(*text)
		if c.Record, err = knowledge.RecordOf(c.Key.Kind, document); err != nil {
			return c, nil, &scanError{fmt.Errorf("change %d: %w", c.Seq, err)}
		}
	}
	return c, document, nil
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	sql, args := changesSQL(&q)
	changes, err := s.changes(ctx, "changes", sql, args, &q)
	if err != nil || q.Key != (knowledge.Key{}) || q.Batch != (knowledge.BatchID{}) || q.Newest {
		return changes, err
	}
	// A follower of the whole log, or of a kind, must be told if a part is missing.
	if len(changes) == 0 || changes[0].Seq != q.After+1 {
		return changes, s.gone(ctx, q.After)
	}
	return changes, nil
}

// changesSQL returns the statement that reads the log.
func changesSQL(q *knowledge.ChangeQuery) (string, []any) {
	b := &statement{}
	order := "c.seq"
	if q.Newest {
		order = "c.seq DESC"
	}
	switch {
	case !q.Newest:
		b.add("c.seq > $", int64(q.After))
	case q.After > 0:
		b.add("c.seq < $", int64(q.After))
	}
	if q.Key != (knowledge.Key{}) {
		b.add("c.kind = $ AND c.id = $", string(q.Key.Kind), q.Key.ID)
		order = strings.Replace(order, "seq", "version", 1) // the same order for one document, and in its index
	}
	if q.Version != 0 {
		b.add("c.version = $", q.Version)
	}
	if q.Batch != (knowledge.BatchID{}) {
		b.add("c.batch_id = $", q.Batch)
	}
	if q.Kind != "" {
		b.add("c.kind = $", string(q.Kind))
	}
	tail := fmt.Sprintf(" LIMIT %d", q.Limit)
	if !q.Filtered() { // up to the end of the limit's transaction, however long: its changes are consecutive
		tail = ""
		last := int64(min(q.After, math.MaxInt64-knowledge.MaxChanges)) + int64(q.Limit)
		b.add(`c.seq < coalesce((SELECT n.seq FROM changes n WHERE n.seq > $
AND n.txid <> (SELECT l.txid FROM changes l WHERE l.seq = $) ORDER BY n.seq LIMIT 1), 9223372036854775807)`, last, last)
	}
	return loggedFrom("WHERE " + b.conditions() + " ORDER BY " + order + tail), b.args
}

// gone returns a [store.GoneError] if the log was trimmed beyond after.
func (s *Store) gone(ctx context.Context, after knowledge.Seq) error {
	var oldest *int64
	if err := s.one(ctx, "oldest change", "SELECT min(seq) FROM changes", nil, &oldest); err != nil {
		return err
	}
	if oldest != nil && after < knowledge.Seq(*oldest)-1 {
		return &store.GoneError{Oldest: knowledge.Seq(*oldest)}
	}
	return nil
}

// changes runs a query of the log.
func (s *Store) changes(ctx context.Context, name, sql string, args []any,
	q *knowledge.ChangeQuery,
) ([]knowledge.Change, error) {
	changes, bytes := []knowledge.Change{}, 0
	err := s.query(ctx, name, sql, args, func(r pgx.Rows) error {
		if n := len(changes); n > 0 && q.Ends(bytes, &changes[n-1]) {
			return nil
		}
		c, err := scanChange(r)
		changes = append(changes, c)
		bytes += c.Size()
		return err
	})
	return changes, err
}

// Position returns the end of the log and the database's identity.
func (s *Store) Position(ctx context.Context) (knowledge.Position, error) {
	var p knowledge.Position
	err := s.query(ctx, "position", positionSQL, nil, func(r pgx.Rows) (err error) {
		p, err = scanPosition(r)
		return err
	})
	return p, err
}

// positionSQL identifies the database by the cluster's identifier, which a base backup keeps and a dump does not, and
// by its own OID.
const positionSQL = `SELECT s.system_identifier || '/' || d.oid,
	CASE WHEN pg_is_in_recovery() THEN (SELECT k.timeline_id FROM pg_control_checkpoint() k)
		-- the checkpoint may still be one of before a promotion; the name of the file now written says
		ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer END,
	l.seq, l.chain, l.at
FROM pg_control_system() s, pg_database d
LEFT JOIN LATERAL (SELECT c.seq, c.chain, c.at FROM changes c ORDER BY c.seq DESC LIMIT 1) l ON true
WHERE d.datname = current_database()`

func scanPosition(r pgx.Rows) (knowledge.Position, error) {
	var p knowledge.Position
	var seq *int64
	var chain []byte
	var at pgtype.Timestamptz
	if err := r.Scan(&p.System, &p.Timeline, &seq, &chain, &at); err != nil {
		return p, err
	}
	if seq != nil && len(chain) == 32 {
		p.Seq, p.Chain, p.At = knowledge.Seq(*seq), [32]byte(chain), timeOf(at)
	}
	return p, nil
}

// snapshotTimeout bounds a snapshot, which reads all documents.
const snapshotTimeout = 30 * time.Minute

// patientSQL is for a transaction that feeds a sink. A sink writes to a disk, and may pause for longer than the reader
// of a query ever does. The server must not take the pause for a dead client, nor for a forgotten transaction where it
// has sent a table whole: a mirror on a slow disk would be begun again and again.
const patientSQL = "SET LOCAL statement_timeout = 0; SET LOCAL tcp_user_timeout = 60000; " +
	"SET LOCAL idle_in_transaction_session_timeout = 60000"

// Snapshot passes every document to sink, and the last versions of each from the log, all as of one position. It opens
// its own connection: a slow sink would keep one of the pool for too long.
func (s *Store) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	own, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	conn, err := s.connectAlone(own)
	if err != nil {
		return s.contractual(ctx, err)
	}
	defer bye(own, conn)
	err = pgx.BeginTxFunc(own, conn, pgx.TxOptions{
		IsoLevel:   pgx.RepeatableRead,
		AccessMode: pgx.ReadOnly,
	}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(own, patientSQL); err != nil {
			return err
		}
		at, err := collect(own, tx, positionSQL, scanPosition)
		if err != nil || len(at) != 1 {
			return err
		}
		if err := sink.Begin(at[0]); err != nil {
			return &sinkError{err}
		}
		for _, kind := range knowledge.Kinds() {
			t := tableOf(kind)
			if err := each(own, tx, "SELECT "+t.columns+" FROM "+t.name+" t ORDER BY t."+t.id,
				nil, func(r pgx.Rows) error {
					rec, err := t.record(r)
					if err != nil {
						return err
					}
					return sunk(sink.Record(rec))
				}); err != nil {
				return err
			}
		}
		if versions == 0 {
			return nil
		}
		return each(own, tx, loggedFrom(`WHERE c.seq IN (SELECT n.seq FROM
			(SELECT seq, row_number() OVER (PARTITION BY kind, id ORDER BY version DESC) AS age FROM changes) n
			WHERE n.age <= $1) ORDER BY c.seq`),
			[]any{versions}, func(r pgx.Rows) error {
				c, err := scanChange(r)
				if err != nil {
					return err
				}
				return sunk(sink.Change(&c))
			})
	})
	if sink, ok := errors.AsType[*sinkError](err); ok {
		return sink.err
	}
	return s.contractual(ctx, err)
}

// A sinkError marks an error of a snapshot's sink, so that it is not translated as one of the driver.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }

func sunk(err error) error {
	if err == nil {
		return nil
	}
	return &sinkError{err}
}

func each(ctx context.Context, tx pgx.Tx, sql string, args []any, fn func(pgx.Rows) error) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func collect[T any](ctx context.Context, tx pgx.Tx, sql string, scan func(pgx.Rows) (T, error)) ([]T, error) {
	var out []T
	err := each(ctx, tx, sql, nil, func(r pgx.Rows) error {
		v, err := scan(r)
		out = append(out, v)
		return err
	})
	return out, err
}
