package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

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
	if err := guarded(own, s, b.Origin != [32]byte{}); err != nil {
		return knowledge.Receipt{}, err
	}
	fingerprint, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	a := application{s: s, own: own, caller: ctx, batch: &b, fingerprint: fingerprint}
	if b.Found != nil && s.schema.Version >= foundSchema {
		return a.find()
	}
	var receipt knowledge.Receipt
	err = again(ctx, func() error {
		receipt, err = a.try()
		if !a.waits && errors.Is(err, errRetry) {
			// After losing a race a call queues for the store's turn, so that many writers of the same documents are
			// served in order.
			select {
			case s.turn <- struct{}{}:
				a.waits = true
			case <-own.Done():
			}
		}
		return err
	})
	if a.waits {
		<-s.turn
	}
	return receipt, a.final(err)
}

// An application is one call of Apply.
type application struct {
	s           *Store
	own         context.Context // of this call
	caller      context.Context // of the caller; its end is distinguished from the store's own
	batch       *knowledge.Batch
	fingerprint [32]byte
	waits       bool // holds the store's turn
	alone       bool // was in a group that failed; is sent alone from now on
	// unknown is set once an attempt has ended without an answer. From then on only success and a refusal are certain.
	unknown bool
}

// try computes the documents that the patches result in, sends the batch, and reads its changes.
func (a *application) try() (knowledge.Receipt, error) {
	docs, versions, done, err := a.patch()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if done {
		return a.first()
	}
	payload, err := a.payload(docs, versions)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	send := a.send
	if a.batch.Dry {
		send = a.tryOut
	}
	changes, err := send(payload)
	if err != nil {
		if pg, ok := serverError(err); ok && pg.Code == codeReadOnly {
			a.s.leave()
		}
		return knowledge.Receipt{}, a.failed(err)
	}
	receipt := knowledge.ReceiptOf(a.batch, changes)
	if len(changes) == 0 { // the ledger has it, and it had changed nothing
		receipt, err = a.first()
		if u, ok := errors.AsType[*store.UnavailableError](err); ok && u.Halt {
			return receipt, err
		}
		if err != nil {
			return receipt, a.failed(err)
		}
	}
	if a.batch.Dry {
		receipt.Seq, receipt.Dry = 0, true
	}
	if err := a.keep(&receipt); err != nil {
		a.unknown = true
		return receipt, a.failed(err)
	}
	return receipt, nil
}

// tryOut has the batch done and taken back, and returns what it would do.
func (a *application) tryOut(p payload) ([]knowledge.Change, error) {
	began := time.Now()
	changes, err := tryOut(a.own, a.s, []*member{{application: a, payload: p}})
	a.s.observe("dry run", applySQL, nil, began, err)
	return changes, err
}

// send sends the batch, in a group if it may share one, and reads its changes.
func (a *application) send(p payload) ([]knowledge.Change, error) {
	if a.shares(p) {
		a.alone = true // for the next attempt, if there is one
		o := a.share(p)
		a.unknown = a.unknown || o.unknown
		if !o.again {
			return o.changes, o.err
		}
	}
	if a.replayed() {
		select {
		case a.s.lanes <- struct{}{}:
			defer func() { <-a.s.lanes }()
		case <-a.own.Done():
			return nil, &notSentError{a.own.Err()}
		}
	}
	began := time.Now()
	alone := []*member{{application: a, payload: p}}
	changes, err := a.s.send(a.own, alone, false)
	if dead(err) && a.own.Err() == nil { // safe to repeat: the ledger knows the batch if it was committed
		a.unknown = true
		a.s.pool.Reset()
		changes, err = a.s.send(a.own, alone, false)
	}
	a.s.observe("apply", applySQL, nil, began, err)
	return changes, err
}

// failed translates an error of sending the batch into one of the contract.
func (a *application) failed(err error) error {
	if refused, ok := refusal(a.batch, err); ok {
		if a.batch.Same != nil && (errors.Is(refused, store.ErrConflict) || errors.Is(refused, store.ErrNotFound)) {
			a.batch.Same = nil // what was left as it is may have changed since: then its op does something
			return &retryError{refused}
		}
		if conflict, ok := errors.AsType[*store.ConflictError](refused); ok {
			if op := &a.batch.Ops[conflict.Op]; reads(op) && op.IfVersion == knowledge.AnyVersion ||
				op.IfBatch != (knowledge.BatchID{}) {
				return &retryError{refused} // another writer committed between our read and our write
			}
		}
		return refused
	}
	if a.s.closed.Load() {
		return store.ErrClosed
	}
	if bad, ok := errors.AsType[*scanError](err); ok {
		return &store.UnavailableError{
			Reason: "the batch was committed, but its changes can't be read", Err: bad.err,
			Halt: true,
		}
	}
	_, committed := errors.AsType[*committedError](err)
	a.unknown = a.unknown || committed
	err = translate(a.caller, err, false)
	u, ok := errors.AsType[*store.UnavailableError](err)
	switch {
	case ok && !u.NotDone:
		a.unknown = true
	// a read error must not look like a refusal
	case committed && !ok && !errors.Is(err, errRetry) && a.caller.Err() == nil:
		return &store.UnavailableError{Reason: "the batch was committed, but its changes can't be read", Err: err}
	}
	return err
}

// final clears NotDone if an earlier attempt may have committed.
func (a *application) final(err error) error {
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && a.unknown {
		u.NotDone = false
	}
	return err
}

// patch reads the documents that the batch patches or restores, and those whose last batch it names. It returns the
// resulting document of each such op, and the current version of every one: the server compares the versions again with
// the rows locked. If done is set, the ledger already has the batch, so its patches must not be applied to the current
// documents.
func (a *application) patch() (docs []knowledge.Document, versions []int64, done bool, err error) {
	current, standing, done, err := a.current()
	if err != nil || done || current == nil && standing == nil {
		return nil, nil, done, err
	}
	docs, versions = make([]knowledge.Document, len(a.batch.Ops)), make([]int64, len(a.batch.Ops))
	for i := range a.batch.Ops {
		op := &a.batch.Ops[i]
		if op.IfBatch != (knowledge.BatchID{}) {
			now := standing[op.Key]
			if err := now.leftBy(op, i); err != nil {
				return nil, nil, false, err
			}
			versions[i] = now.version
		}
		if !reads(op) {
			continue
		}
		rec := current[op.Key]
		switch {
		case rec == nil:
			return nil, nil, false, &store.NotFoundError{Key: op.Key}
		case op.IfVersion > 0 && op.IfVersion != rec.Version:
			return nil, nil, false, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version}
		case versions[i] > 0 && versions[i] != rec.Version:
			return nil, nil, false, &retryError{&store.ConflictError{
				Key: op.Key, Op: i, Got: rec.Version,
				WantBatch: op.IfBatch,
			}}
		}
		before, err := rec.Document()
		if err != nil {
			return nil, nil, false, a.s.contractual(a.caller, &scanError{err})
		}
		if docs[i], err = op.Next(before); err != nil {
			if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
				pointer := "/ops/" + strconv.Itoa(i)
				if op.Verb == knowledge.VerbPatch {
					pointer += "/patch"
				}
				return nil, nil, false, invalid.Below(pointer)
			}
			return nil, nil, false, err
		}
		versions[i] = rec.Version
	}
	return docs, versions, false, nil
}

// reads reports whether an op needs the document that is there: a patch is merged into it, of a restore the server is
// told its words, and one that is active is not archived.
func reads(op *knowledge.Op) bool {
	return op.Verb == knowledge.VerbPatch || op.Verb == knowledge.VerbArchive || op.Verb == knowledge.VerbRestore &&
		knowledge.Describe(op.Key.Kind).Searched
}

// A standing is a document's current version and the batch that wrote it.
type standing struct {
	version int64 // 0 for none
	batch   knowledge.BatchID
}

// leftBy returns nil if the batch that an op names wrote the current version.
func (now standing) leftBy(op *knowledge.Op, i int) error {
	switch {
	case now.version == 0 && op.Verb != knowledge.VerbPut:
		return &store.NotFoundError{Key: op.Key}
	case now.batch != op.IfBatch || now.version == 0:
		return &store.ConflictError{Key: op.Key, Op: i, Got: now.version, WantBatch: op.IfBatch}
	}
	return nil
}

// idsOf returns the ids of the documents whose ops are wanted, by kind. A kind's list is empty if no such document can
// exist.
func idsOf(ops []knowledge.Op, wanted func(*knowledge.Op) bool) map[knowledge.Kind][]string {
	var ids map[knowledge.Kind][]string
	for i := range ops {
		op := &ops[i]
		if !wanted(op) {
			continue
		}
		if ids == nil {
			ids = map[knowledge.Kind][]string{}
		}
		if ids[op.Key.Kind] == nil {
			ids[op.Key.Kind] = []string{}
		}
		if tableOf(op.Key.Kind).holds(op.Key.ID) {
			ids[op.Key.Kind] = append(ids[op.Key.Kind], op.Key.ID)
		}
	}
	return ids
}

// current reads the documents that the batch patches (nil for missing ones), and the standing of those whose last batch
// an op names. It also reports whether the ledger has the batch.
func (a *application) current() (current map[knowledge.Key]*knowledge.Record, stands map[knowledge.Key]standing,
	done bool, err error,
) {
	patched := idsOf(a.batch.Ops, reads)
	bound := idsOf(a.batch.Ops, func(op *knowledge.Op) bool { return op.IfBatch != (knowledge.BatchID{}) })
	if patched == nil && bound == nil {
		return nil, nil, false, nil
	}
	var known []byte
	current, stands = map[knowledge.Key]*knowledge.Record{}, map[knowledge.Key]standing{}
	err = a.s.batch(a.own, a.caller, "read for patch", func(q *pgx.Batch) {
		q.Queue("SELECT fingerprint FROM batches WHERE id = $1", a.batch.ID).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&known); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		for kind, list := range bound {
			q.Queue(tableOf(kind).standsSQL, list).Query(func(rows pgx.Rows) error {
				for rows.Next() {
					key, now := knowledge.Key{Kind: kind}, standing{}
					if err := rows.Scan(&key.ID, &now.version, &now.batch); err != nil {
						return err
					}
					stands[key] = now
				}
				return rows.Err()
			})
		}
		for kind, list := range patched {
			q.Queue(tableOf(kind).manySQL, list).Query(func(rows pgx.Rows) error {
				return tableOf(kind).records(rows, func(rec *knowledge.Record) { current[rec.Key] = rec })
			})
		}
		for kind, list := range idsOf(a.batch.Ops, func(op *knowledge.Op) bool {
			return op.Verb == knowledge.VerbRestore && reads(op)
		}) {
			q.Queue(archivedOnesSQL, string(kind), list).Query(func(rows pgx.Rows) error {
				return scanArchived(rows, func(d store.Archived) {
					if current[d.Key] == nil {
						d.Record.Version = d.Version
						current[d.Key] = d.Record
					}
				})
			})
		}
	})
	switch {
	case err != nil:
		return nil, nil, false, err
	case known != nil && string(known) != string(a.fingerprint[:]):
		return nil, nil, false, store.ErrReused
	}
	return current, stands, known != nil, nil
}

// A brokenReference is the detail that tenet_apply gives of an op whose reference does not hold. The field is empty for
// a purge.
type brokenReference struct {
	Op    int
	Field string
	ID    string
}

// refusal translates a refusal of tenet_apply into an error about the batch; ok is false for any other error.
func refusal(b *knowledge.Batch, err error) (error, bool) {
	pg, ok := serverError(err)
	if !ok {
		return nil, false
	}
	var d struct {
		Op        int
		Want, Got int64
	}
	switch pg.Code {
	case codeConflict, codeMissing:
		if !detail(pg, &d) || d.Op < 0 || d.Op >= len(b.Ops) {
			return nil, false
		}
		op := &b.Ops[d.Op]
		if pg.Code == codeMissing {
			return &store.NotFoundError{Key: op.Key}, true
		}
		if op.IfBatch != (knowledge.BatchID{}) {
			d.Want = 0 // the version that this batch had left when it was looked at
		}
		return &store.ConflictError{Key: op.Key, Op: d.Op, Want: d.Want, Got: d.Got, WantBatch: op.IfBatch}, true
	case codeReused:
		return store.ErrReused, true
	case codeReference:
		var list []brokenReference
		if !detail(pg, &list) || len(list) == 0 {
			return nil, false
		}
		invalid := &knowledge.InvalidError{}
		for _, r := range list {
			invalid.Faults = append(invalid.Faults, r.fault(b))
		}
		return invalid, true
	}
	return nil, false
}

// detail decodes the detail that tenet_apply adds to its error code.
func detail(pg *pgconn.PgError, into any) bool { return json.Unmarshal([]byte(pg.Detail), into) == nil }

func (r *brokenReference) fault(b *knowledge.Batch) knowledge.Fault {
	pointer := "/ops/" + strconv.Itoa(r.Op)
	if r.Field == "" {
		return knowledge.Fault{
			Pointer: pointer,
			Detail: fmt.Sprintf("%s is still referred to by other documents: purge or move those first",
				b.Ops[r.Op].Key),
		}
	}
	kind, part := knowledge.Describe(b.Ops[r.Op].Key.Kind).Parent, "/document/"
	if b.Ops[r.Op].Verb == knowledge.VerbPatch {
		part = "/patch/"
	}
	return knowledge.Fault{Pointer: pointer + part + r.Field, Detail: fmt.Sprintf("no %s %q: create it first", kind,
		r.ID)}
}
