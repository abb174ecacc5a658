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
	fingerprint, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	a := application{s: s, own: own, caller: ctx, batch: &b, fingerprint: fingerprint}
	var receipt knowledge.Receipt
	err = again(ctx, func() error {
		receipt, err = a.try()
		if !a.waits && errors.Is(err, errRetry) {
			// Those that lost a race get in line, so that of many who write the same documents each gets its turn.
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
	own         context.Context //nolint:containedctx // of the one call that the application is
	caller      context.Context //nolint:containedctx // whose end is told apart from the store's own
	batch       *knowledge.Batch
	fingerprint [32]byte
	waits       bool // holds the store's turn
	alone       bool // has been in a group that failed, and goes by itself from now on
	// unknown is set when a try has ended without an answer: from then on only success and a refusal are certain.
	unknown bool
}

// try makes the documents that patches leave behind, sends the batch, and reads what it did.
func (a *application) try() (knowledge.Receipt, error) {
	docs, versions, done, err := a.patch()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if done {
		changes, err := a.s.changes(a.own, "read receipt", appliedSQL, []any{a.batch.ID})
		return knowledge.ReceiptOf(a.batch, changes), err
	}
	payload, err := a.payload(docs, versions)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	payload.vectors = a.vectors(docs)
	changes, err := a.send(payload)
	if err != nil {
		if pg, ok := serverError(err); ok && pg.Code == codeReadOnly {
			a.s.leave()
		}
		return knowledge.Receipt{}, a.failed(err, docs)
	}
	return knowledge.ReceiptOf(a.batch, changes), nil
}

// send sends the batch, together with others where it may wait for them, and reads what it did.
func (a *application) send(p payload) ([]knowledge.Change, error) {
	if a.shares(p) {
		a.alone = true // in the next try, if there is one
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
	changes, err := a.s.send(a.own, a, p)
	if dead(err) && a.own.Err() == nil { // the ledger knows the batch if it was done
		a.unknown = true
		a.s.pool.Reset()
		changes, err = a.s.send(a.own, a, p)
	}
	a.s.observe("apply", applySQL, nil, began, err)
	return changes, err
}

// failed turns what came of sending the batch into an error of the contract.
func (a *application) failed(err error, docs []knowledge.Document) error {
	if refused, ok := refusal(a.batch, docs, err); ok {
		if conflict, ok := errors.AsType[*store.ConflictError](refused); ok {
			if op := &a.batch.Ops[conflict.Op]; op.Verb == knowledge.VerbPatch && op.IfVersion == knowledge.AnyVersion {
				return &retryError{refused} // somebody wrote between the read and the write of the patch
			}
		}
		return refused
	}
	if a.s.closed.Load() {
		return store.ErrClosed
	}
	if bad, ok := errors.AsType[*scanError](err); ok {
		return &store.UnavailableError{Reason: "the batch was done, and what it left behind can't be read", Err: bad.err, Halt: true}
	}
	_, committed := errors.AsType[*committedError](err)
	a.unknown = a.unknown || committed
	err = translate(a.caller, err, false)
	u, ok := errors.AsType[*store.UnavailableError](err)
	switch {
	case ok && !u.NotDone:
		a.unknown = true
	case committed && !ok && !errors.Is(err, errRetry) && a.caller.Err() == nil: // no error of the reading may pass for a refusal
		return &store.UnavailableError{Reason: "the batch was done, and what it left behind can't be read", Err: err}
	}
	return err
}

// final makes sure that nothing is called certainly not done after a try whose outcome is unknown.
func (a *application) final(err error) error {
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && a.unknown {
		u.NotDone = false
	}
	return err
}

// payload writes the ops as tenet_apply reads them: patches as puts of what they leave behind.
func (a *application) payload(docs []knowledge.Document, versions []int64) (payload, error) {
	b := []byte{'['}
	for i := range a.batch.Ops {
		op := &a.batch.Ops[i]
		verb, doc, version := op.Verb, op.Doc, op.IfVersion
		if verb == knowledge.VerbPatch {
			verb, doc, version = knowledge.VerbPut, docs[i], versions[i]
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"n":%d,"verb":%q,"kind":%q,"id":%q,"if_version":%d`, i, string(verb), string(op.Key.Kind), op.Key.ID, version)
		if doc != nil {
			canonical, err := knowledge.Canonical(doc)
			if err != nil {
				return payload{}, fmt.Errorf("encode %s: %w", op.Key, err)
			}
			b = append(append(b, `,"document":`...), canonical...)
		}
		b = append(b, '}')
	}
	if b = append(b, ']'); len(b) > maxPayload {
		return payload{}, knowledge.Invalid("/ops", "%d bytes of documents: a batch holds at most %d; send it as several", len(b), maxPayload)
	}
	return payload{ops: b}, nil
}

// A payload is what tenet_apply is given of a batch.
type payload struct{ ops, vectors []byte }

// vectors returns the search vectors of what the batch puts; nil leaves all of them to the server, as it is when they could
// not be made: then the batch itself will tell why.
func (a *application) vectors(patched []knowledge.Document) []byte {
	docs := make([]knowledge.Document, len(a.batch.Ops))
	for i := range a.batch.Ops {
		if docs[i] = a.batch.Ops[i].Doc; patched != nil && patched[i] != nil {
			docs[i] = patched[i]
		}
	}
	list, err := a.s.words.vectors(a.own, docs, a.s.stems)
	if err != nil {
		return nil
	}
	return vectorArray(list)
}

// maxPayload is the size of the largest batch: a value of the server has at most 256 MB, and is copied a few times.
const maxPayload = 128 << 20

// patch reads what a batch patches, and returns for each patch the document that it leaves behind and the version that it was
// made of. Done says that the ledger has the batch: then its patches must not be judged by what is there now.
func (a *application) patch() (docs []knowledge.Document, versions []int64, done bool, err error) {
	current, done, err := a.current()
	if err != nil || done || current == nil {
		return nil, nil, done, err
	}
	docs, versions = make([]knowledge.Document, len(a.batch.Ops)), make([]int64, len(a.batch.Ops))
	for i := range a.batch.Ops {
		op := &a.batch.Ops[i]
		if op.Verb != knowledge.VerbPatch {
			continue
		}
		rec := current[op.Key]
		switch {
		case rec == nil:
			return nil, nil, false, &store.NotFoundError{Key: op.Key}
		case op.IfVersion > 0 && op.IfVersion != rec.Version:
			return nil, nil, false, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: rec.Version}
		}
		before, err := rec.Document()
		if err != nil {
			return nil, nil, false, a.s.contractual(a.caller, &scanError{err})
		}
		if docs[i], err = op.Next(before); err != nil {
			if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
				return nil, nil, false, invalid.Below("/ops/" + strconv.Itoa(i) + "/patch")
			}
			return nil, nil, false, err
		}
		versions[i] = rec.Version
	}
	return docs, versions, false, nil
}

// current reads the documents that the batch patches, nil when it patches none, and whether the ledger has the batch.
func (a *application) current() (map[knowledge.Key]*knowledge.Record, bool, error) {
	ids := map[knowledge.Kind][]string{}
	for i := range a.batch.Ops {
		if op := &a.batch.Ops[i]; op.Verb == knowledge.VerbPatch && tableOf(op.Key.Kind).holds(op.Key.ID) {
			ids[op.Key.Kind] = append(ids[op.Key.Kind], op.Key.ID)
		} else if op.Verb == knowledge.VerbPatch && ids[op.Key.Kind] == nil {
			ids[op.Key.Kind] = []string{}
		}
	}
	if len(ids) == 0 {
		return nil, false, nil
	}
	var known []byte
	current := map[knowledge.Key]*knowledge.Record{}
	err := a.s.batch(a.own, a.caller, "read for patch", func(q *pgx.Batch) {
		q.Queue("SELECT fingerprint FROM batches WHERE id = $1", a.batch.ID).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&known); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		for kind, list := range ids {
			q.Queue(tableOf(kind).manySQL, list).Query(func(rows pgx.Rows) error {
				return tableOf(kind).records(rows, func(rec *knowledge.Record) { current[rec.Key] = rec })
			})
		}
	})
	switch {
	case err != nil:
		return nil, false, err
	case known != nil && string(known) != string(a.fingerprint[:]):
		return nil, false, store.ErrReused
	}
	return current, known != nil, nil
}

// A brokenReference is what tenet_apply says of an op whose reference does not hold; the field is empty for a purge.
type brokenReference struct {
	Op    int
	Field string
	ID    string
}

// refusal turns what tenet_apply refuses into an error about the batch; not ok when the error is another. Docs holds what the
// batch's patches leave behind.
func refusal(b *knowledge.Batch, docs []knowledge.Document, err error) (error, bool) {
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
		return &store.ConflictError{Key: op.Key, Op: d.Op, Want: d.Want, Got: d.Got}, true
	case codeReused:
		return store.ErrReused, true
	case codeReference:
		var list []brokenReference
		if !detail(pg, &list) || len(list) == 0 {
			return nil, false
		}
		invalid := &knowledge.InvalidError{}
		for _, r := range list {
			invalid.Faults = append(invalid.Faults, r.fault(b, docs))
		}
		return invalid, true
	}
	return nil, false
}

// detail reads what tenet_apply says besides its code.
func detail(pg *pgconn.PgError, into any) bool { return json.Unmarshal([]byte(pg.Detail), into) == nil }

func (r *brokenReference) fault(b *knowledge.Batch, docs []knowledge.Document) knowledge.Fault {
	pointer := "/ops/" + strconv.Itoa(r.Op)
	if r.Field == "" {
		return knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf("%s is still referred to by other documents: purge or move those first", b.Ops[r.Op].Key)}
	}
	kind, part := "category", "/document/"
	if r.Field == "rule_id" {
		kind = "rule"
	}
	if docs != nil && docs[r.Op] != nil {
		part = "/patch/"
	}
	return knowledge.Fault{Pointer: pointer + part + r.Field, Detail: fmt.Sprintf("no %s %q: create it first", kind, r.ID)}
}
