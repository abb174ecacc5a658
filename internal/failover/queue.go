package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxQueuedOps bounds the batches that an outage accepts: a bulk import can wait for the primary, a person's edit can't.
const maxQueuedOps = 200

// queue puts a batch into the journal. Unknown says that the primary may have done it: then it can't be refused any more.
func (s *Store) queue(ctx context.Context, b knowledge.Batch, unknown bool) (knowledge.Receipt, error) {
	rec, err := s.enqueue(ctx, b, unknown)
	if p := s.now(); p != nil && errors.Is(err, store.ErrConflict) && s.asksPrimary() {
		if was, taken, failed := s.takenAnywhere(ctx, p, &b); taken || errors.Is(failed, store.ErrReused) {
			return was, failed
		}
	}
	return rec, err
}

func (s *Store) enqueue(ctx context.Context, b knowledge.Batch, unknown bool) (knowledge.Receipt, error) {
	if err := s.queueable(&b, unknown); err != nil {
		return knowledge.Receipt{}, err
	}
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if rec, taken, err := s.takenHere(ctx, &b, unknown); taken || err != nil {
		return rec, err
	}
	if !unknown && !s.hasMirror() {
		return knowledge.Receipt{}, s.cold()
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	e := store.Entry{Batch: b, Caller: b.Actor, Fingerprint: sum, At: knowledge.At(s.o.Wall()), Unknown: unknown}
	if s.o.Caller != nil {
		e.Caller = s.o.Caller(ctx)
	}
	if err = s.prepare(ctx, &e); err != nil && s.mayBeDone(b.ID, err) {
		e.Unknown = true
		err = s.prepare(ctx, &e)
	}
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if err := s.journal.Append(ctx, e); err != nil {
		if unknown {
			return knowledge.Receipt{}, &store.UnavailableError{
				Reason:     "the primary's answer was lost and the journal can't take the batch: ask again with the same batch id",
				RetryAfter: 5 * time.Second, Err: err,
			}
		}
		return knowledge.Receipt{}, err
	}
	// From here on the batch is durable: whatever fails now is repaired when the journal is read at the next start.
	if err := s.overlay(context.WithoutCancel(ctx), &e); err != nil {
		s.mirrorFailed(ctx, err)
		s.o.Log.ErrorContext(ctx, "mirror did not take a journalled write; it is safe in the journal", "batch", b.ID.String(), "error", err.Error())
	}
	s.counts.queued.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notePending(&e)
	if s.mode == knowledge.ModeNormal {
		s.moveLocked(knowledge.ModeRecovering, "a write waits in the journal")
	}
	s.event(Event{Queued: &b.ID})
	s.ring()
	return queuedReceipt(&e), nil
}

// queueable refuses what an outage does not take. A batch whose outcome is unknown can't be refused.
func (s *Store) queueable(b *knowledge.Batch, unknown bool) error {
	if unknown {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return &store.UnavailableError{Reason: fmt.Sprintf(format, args...), RetryAfter: s.o.Recovery, NotDone: true}
	}
	if why := s.halted(); why != "" {
		return &store.UnavailableError{
			Reason: "the primary's schema or rights are wrong: a person must act before writes are taken", RetryAfter: s.o.Recovery, Halt: true, NotDone: true,
			Err: errors.New(why),
		}
	}
	if s.o.RefuseWrites {
		return refuse("the primary can't be reached, and this tenet refuses writes in an outage")
	}
	if len(b.Ops) > maxQueuedOps {
		return refuse("the primary can't be reached: a batch of %d ops waits for it, at most %d are taken in an outage", len(b.Ops), maxQueuedOps)
	}
	if !b.At.IsZero() {
		return refuse("the primary can't be reached: the restore of an export waits for it")
	}
	for i := range b.Ops {
		if b.Ops[i].Verb == knowledge.VerbPurge {
			return refuse("the primary can't be reached: a purge waits for it")
		}
	}
	return nil
}

// overlay shows a journalled batch to the readers of this instance.
func (s *Store) overlay(ctx context.Context, e *store.Entry) error {
	if len(e.Left) == 0 || !s.hasMirror() {
		return nil
	}
	s.touched.Add(1)
	return s.mirror.Overlay(ctx, *e)
}

func queuedReceipt(e *store.Entry) knowledge.Receipt {
	rec := knowledge.Receipt{Batch: e.Batch.ID, Queued: true, Records: make([]*knowledge.Record, len(e.Batch.Ops))}
	for i := range e.Batch.Ops {
		op := &e.Batch.Ops[i]
		l, known := e.LeftOf(op.Key)
		if !known && op.Verb == knowledge.VerbPut {
			// What the primary may have made of it could not be worked out here; this much is certain.
			l, _ = left(op, i, nil, e)
		}
		if l.Record != nil {
			c := *l.Record
			c.Pending, c.Source = e.Batch.ID, knowledge.SourceMirror
			rec.Records[i] = &c
		}
	}
	return rec
}

// prepare works out what the batch is made on top of and what it leaves behind, and refuses what the mirror can already see
// to be in conflict. It needs s.jmu. A batch of unknown outcome can't be refused: what an op is in conflict with may be its own
// doing, which somebody has seen at the primary. Such an op leaves nothing behind, and the batch is judged as it was sent.
func (s *Store) prepare(ctx context.Context, e *store.Entry) error {
	e.Bases, e.Left = make([]store.Base, len(e.Batch.Ops)), make([]store.Left, 0, len(e.Batch.Ops))
	written := map[knowledge.Key]bool{}
	for i := range e.Batch.Ops {
		base, l, err := s.prepareOp(ctx, e, i, written)
		if err != nil && !e.Unknown {
			return err
		}
		if err == nil {
			e.Bases[i], e.Left = base, append(e.Left, l)
		}
	}
	if len(e.Left) < len(e.Batch.Ops) {
		e.Bases = basesAsSent(&e.Batch)
	}
	return nil
}

func basesAsSent(b *knowledge.Batch) []store.Base {
	bases := make([]store.Base, len(b.Ops))
	for i := range b.Ops {
		bases[i].Version = b.Ops[i].IfVersion
	}
	return bases
}

// prepareOp does so for one op. Written are the documents that the ops before it write.
func (s *Store) prepareOp(ctx context.Context, e *store.Entry, i int, written map[knowledge.Key]bool) (base store.Base, l store.Left, err error) {
	op := &e.Batch.Ops[i]
	current, parent, err := s.standing(ctx, op.Key)
	if err != nil {
		return base, l, err
	}
	if err := judge(op, i, current); err != nil {
		return base, l, err
	}
	written[op.Key] = true
	if current != nil && op.IfVersion > current.Version {
		parent = knowledge.BatchID{} // its writer has seen something else than what waits here: only that version will do
	}
	if current != nil && parent == (knowledge.BatchID{}) {
		base.Version = max(current.Version, op.IfVersion)
	}
	if current == nil && op.IfVersion > 0 {
		base.Version = op.IfVersion
	}
	base.Parent = parent
	if l, err = left(op, i, current, e); err != nil {
		return base, l, err
	}
	return base, l, s.referred(ctx, op, i, l.Record, written)
}

// standing returns what a writer here sees of a document, nil for none, and the waiting batch that wrote just that, if any: one that
// the feed has brought waits still, and what was written on top of it may be another's.
func (s *Store) standing(ctx context.Context, key knowledge.Key) (r *knowledge.Record, parent knowledge.BatchID, err error) {
	r, err = whole(&s.recent, func() (*knowledge.Record, error) {
		r, err := s.mirror.Get(ctx, key)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		if isNotFound(err) {
			r = nil
		}
		if _, seen := s.over(key); !seen {
			if newer, gone := s.recent.newer(key, r); newer != nil || gone {
				r = newer
			}
		}
		return r, nil
	})
	if r != nil {
		parent = r.Pending
	}
	return r, parent, err
}

// judge checks an op's condition as far as this side can know. A version newer than the mirror's is believed: its writer
// has seen the primary, and the replay checks it.
func judge(op *knowledge.Op, i int, current *knowledge.Record) error {
	switch {
	case current == nil && op.Verb != knowledge.VerbPut && op.IfVersion <= 0:
		return &store.NotFoundError{Key: op.Key}
	case current == nil && op.Verb != knowledge.VerbPut:
		return &store.UnavailableError{
			Reason: "the primary can't be reached and the mirror does not hold " + op.Key.String() + " yet", RetryAfter: 5 * time.Second, NotDone: true,
		}
	case current == nil, op.IfVersion == knowledge.AnyVersion, op.IfVersion >= current.Version:
		return nil
	}
	return &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: current.Version}
}

// left works out what an op leaves behind here until the primary has decided.
func left(op *knowledge.Op, i int, current *knowledge.Record, e *store.Entry) (store.Left, error) {
	var before knowledge.Document
	var err error
	if current != nil {
		if before, err = current.Document(); err != nil {
			return store.Left{}, err
		}
	}
	next, err := op.Next(before)
	if err != nil {
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
			return store.Left{}, invalid.Below(fmt.Sprintf("/ops/%d/patch", i))
		}
		return store.Left{}, err
	}
	if next, err = knowledge.Clone(next); err != nil {
		return store.Left{}, err
	}
	knowledge.StampNext(next, before, max(0, op.IfVersion), e.Batch.Actor, e.At)
	if stamps := next.Stamps(); stamps.Version <= op.IfVersion {
		stamps.Version = op.IfVersion + 1 // its writer has seen a later version than the mirror has
	}
	r, err := knowledge.NewRecord(next)
	if err != nil {
		return store.Left{}, err
	}
	r.Source, r.Pending = knowledge.SourceMirror, e.Batch.ID
	return store.Left{Key: op.Key, Record: r}, nil
}

// referred checks that the documents exist that what an op leaves behind refers to.
func (s *Store) referred(ctx context.Context, op *knowledge.Op, i int, after *knowledge.Record, written map[knowledge.Key]bool) error {
	doc, part := op.Doc, "document"
	if op.Verb == knowledge.VerbPatch {
		var err error
		if doc, err = after.Document(); err != nil {
			return err
		}
		part = "patch"
	}
	if doc == nil {
		return nil
	}
	var key knowledge.Key
	field := ""
	if id := doc.CategoryID(); id != "" {
		key, field = knowledge.Key{Kind: knowledge.KindCategory, ID: id}, "category"
	}
	if v, ok := doc.(*knowledge.Violation); ok {
		key, field = knowledge.Key{Kind: knowledge.KindRule, ID: v.RuleID}, "rule_id"
	}
	if field == "" || written[key] {
		return nil
	}
	r, _, err := s.standing(ctx, key)
	if err == nil && r == nil {
		return knowledge.Invalid(fmt.Sprintf("/ops/%d/%s/%s", i, part, field), "no %s %q: create it first", key.Kind, key.ID)
	}
	return err
}
