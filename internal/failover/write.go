package failover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxQueuedOps bounds the batches that an outage accepts: a bulk import can wait for the primary, a person's edit can't.
const maxQueuedOps = 200

// opTime is how much longer than WriteTimeout a batch may take for each of its ops.
const opTime = 10 * time.Millisecond

// Apply implements [store.Store]. The receipt says Queued when the batch is in the journal and not yet at the primary.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := s.open(); err != nil {
		return knowledge.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return knowledge.Receipt{}, err
	}
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	if rec, known, err := s.known(ctx, &b); known || err != nil {
		return rec, err
	}
	p := s.now()
	if p == nil || !s.writesDirect(&b) {
		free, err := s.drained(ctx, &b)
		switch {
		case p != nil && errors.Is(err, store.ErrConflict):
			return s.doneBefore(ctx, p, &b, err)
		case err != nil:
			return knowledge.Receipt{}, err
		case p == nil || !free:
			return s.queue(ctx, b, false)
		}
	}
	done, err := s.breaker.Allow()
	if err != nil {
		return s.queue(ctx, b, false)
	}
	got := make(chan answer[knowledge.Receipt], 1)
	s.work.Go(func() {
		rec, err := s.applyAt(context.WithoutCancel(ctx), p, b, done)
		if err == nil {
			s.recent.acknowledge(&b, &rec)
			s.foresee(ctx, &rec, b.Ops)
		}
		got <- answer[knowledge.Receipt]{rec, err}
	})
	select {
	case a := <-got:
		switch classify(nil, a.err) {
		case fine, halted:
			return a.v, a.err
		case infra, readOnly, gone:
		}
		u, _ := errors.AsType[*store.UnavailableError](a.err)
		return s.queue(ctx, b, u == nil || !u.NotDone)
	case <-ctx.Done():
		// The batch is not cancelled: that would cost its connection and leave its outcome open, which so only the caller does
		// not know. Asking again with the same id tells.
		return knowledge.Receipt{}, ctx.Err()
	}
}

// applyAt sends a batch to the primary within a deadline of its own, and tells everybody what became of it.
func (s *Store) applyAt(ctx context.Context, p Primary, b knowledge.Batch, done func(error)) (knowledge.Receipt, error) {
	own, cancel := context.WithTimeout(ctx, s.o.WriteTimeout+time.Duration(len(b.Ops))*opTime)
	defer cancel()
	began := time.Now()
	rec, err := p.Apply(own, b)
	c := classify(ctx.Err(), err)
	s.noteWrite(c, err, time.Since(began))
	done(c.told())
	return rec, err
}

// writesDirect reports whether a batch goes to the primary: not in an outage, and not past a batch that waits for the same
// documents or the documents it refers to.
func (s *Store) writesDirect(b *knowledge.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case knowledge.ModeDegraded, knowledge.ModeDiverged, knowledge.ModeCold:
		return s.mode == knowledge.ModeCold && s.primary.Load() != nil
	case knowledge.ModeNormal, knowledge.ModeRecovering:
	}
	if after := s.writesAfter.Load(); after != 0 && int64(time.Since(s.began)) < after {
		return false // it takes no writes: a standby, a full disk
	}
	if len(s.pending) == 0 {
		return true
	}
	written, referred := touched(b)
	for _, keys := range [][]knowledge.Key{written, referred} {
		for _, key := range keys {
			if _, waits := s.pending[key]; waits {
				return false
			}
		}
	}
	return true
}

// drainTime is how long a write waits for those before it to be replayed. Without it a few documents that many write would keep
// an instance recovering for ever: each write would be put behind the one before.
const drainTime = 250 * time.Millisecond

// drained waits while the journal is being replayed for the batches that a batch would have to wait for there, and reports
// whether it may go to the primary. What it was made on top of must have been applied: the version of a batch that was parked
// was never more than a promise, and another document may have it by now.
func (s *Store) drained(ctx context.Context, b *knowledge.Batch) (bool, error) {
	parents := s.parents(b)
	t := time.NewTimer(drainTime)
	defer t.Stop()
	for {
		rung := s.settled.wait()
		if s.modeNow() != knowledge.ModeRecovering || s.writesAfter.Load() != 0 || s.halted() != "" {
			return false, nil
		}
		if s.writesDirect(b) {
			break
		}
		select {
		case <-rung:
		case <-t.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	for i, id := range parents {
		_, out, err := s.journal.Find(ctx, id)
		if err != nil && !isNotFound(err) {
			return false, err
		}
		if op := &b.Ops[i]; out.State != knowledge.BatchApplied && op.IfVersion > 0 {
			return false, &store.ConflictError{Key: op.Key, Op: i, Want: op.IfVersion, Got: max(op.IfVersion-1, 0)}
		}
	}
	return true, nil
}

// doneBefore answers a batch that does not fit here and that the primary may have done before: it was sent again.
func (s *Store) doneBefore(ctx context.Context, p Primary, b *knowledge.Batch, refusal error) (knowledge.Receipt, error) {
	if rec, known, err := s.recent.receipt(b); known || err != nil {
		return rec, err
	}
	own, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	changes, err := p.Changes(own, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	switch {
	case err != nil:
		return knowledge.Receipt{}, err
	case len(changes) == 0:
		return knowledge.Receipt{}, refusal
	case !sameContent(b, changes):
		return knowledge.Receipt{}, store.ErrReused
	}
	return receiptOf(b, changes), nil
}

// parents returns for the ops of a batch the waiting batches that they would be made on top of.
func (s *Store) parents(b *knowledge.Batch) map[int]knowledge.BatchID {
	s.mu.Lock()
	defer s.mu.Unlock()
	parents := map[int]knowledge.BatchID{}
	for i := range b.Ops {
		if last, waits := s.pending[b.Ops[i].Key]; waits {
			parents[i] = last.batch
		}
	}
	return parents
}

// touched returns the documents that a batch writes, and those that it refers to.
func touched(b *knowledge.Batch) (written, referred []knowledge.Key) {
	written = make([]knowledge.Key, 0, len(b.Ops))
	for i := range b.Ops {
		op := &b.Ops[i]
		written = append(written, op.Key)
		if op.Doc == nil {
			continue
		}
		if id := op.Doc.CategoryID(); id != "" {
			referred = append(referred, knowledge.Key{Kind: knowledge.KindCategory, ID: id})
		}
		if v, ok := op.Doc.(*knowledge.Violation); ok {
			referred = append(referred, knowledge.Key{Kind: knowledge.KindRule, ID: v.RuleID})
		}
	}
	return written, referred
}

// known answers a batch that the journal has taken before.
func (s *Store) known(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	e, _, err := s.journal.Find(ctx, b.ID)
	switch {
	case isNotFound(err):
		return knowledge.Receipt{}, false, nil
	case err != nil:
		return knowledge.Receipt{}, false, err
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, false, err
	}
	if sum != e.Fingerprint {
		return knowledge.Receipt{}, false, store.ErrReused
	}
	return queuedReceipt(&e), true, nil
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

// foresee tells the mirror what the primary has acknowledged, so that a session that falls to it in the next instant still
// sees its own write. That the mirror could not take it is no fault of the write: the feed brings it.
func (s *Store) foresee(ctx context.Context, rec *knowledge.Receipt, ops []knowledge.Op) {
	left := make([]store.Left, len(ops))
	for i := range ops {
		left[i].Key = ops[i].Key
		if i < len(rec.Records) && rec.Records[i] != nil {
			left[i].Record = rec.Records[i]
			s.recent.saw(rec.Records[i], time.Now())
		} else {
			s.sawGone(ctx, ops[i].Key, time.Now(), s.touched.Load())
		}
	}
	if !s.hasMirror() {
		return
	}
	s.touched.Add(1)
	if err := s.mirror.Foresee(context.WithoutCancel(ctx), left); err != nil {
		s.mirrorFailed(ctx, err)
		s.o.Log.WarnContext(ctx, "mirror did not take an acknowledged write; the feed will bring it", "batch", rec.Batch.String(), "error", err.Error())
	}
}

// queue puts a batch into the journal. Unknown says that the primary may have done it: then it can't be refused any more.
func (s *Store) queue(ctx context.Context, b knowledge.Batch, unknown bool) (knowledge.Receipt, error) {
	if err := s.queueable(&b, unknown); err != nil {
		return knowledge.Receipt{}, err
	}
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if rec, known, err := s.known(ctx, &b); known || err != nil {
		return rec, err
	}
	if rec, known, err := s.recent.receipt(&b); known || err != nil {
		return rec, err
	}
	mirrored := s.hasMirror()
	if !mirrored && !unknown {
		return knowledge.Receipt{}, s.cold()
	}
	if mirrored {
		if rec, ok, err := s.mirrored(ctx, &b); ok || err != nil && !unknown || errors.Is(err, store.ErrReused) {
			return rec, err
		}
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

// overlay shows a journalled batch to the readers of this instance.
func (s *Store) overlay(ctx context.Context, e *store.Entry) error {
	if len(e.Left) == 0 || !s.hasMirror() {
		return nil
	}
	s.touched.Add(1)
	return s.mirror.Overlay(ctx, *e)
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

// mirrored answers a batch that the primary did and the feed has brought already.
func (s *Store) mirrored(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	changes, err := s.mirror.Changes(ctx, knowledge.ChangeQuery{Batch: b.ID, Limit: knowledge.MaxChanges})
	if err != nil || len(changes) == 0 {
		return knowledge.Receipt{}, false, err
	}
	if !sameContent(b, changes) {
		return knowledge.Receipt{}, false, store.ErrReused
	}
	return receiptOf(b, changes), true, nil
}

// sameContent reports whether changes may be what a batch did. The log does not hold the batch's fingerprint, so that what a
// patch asked for can't be told.
func sameContent(b *knowledge.Batch, changes []knowledge.Change) bool {
	at := make(map[knowledge.Key]*knowledge.Change, len(changes))
	for i := range changes {
		at[changes[i].Key] = &changes[i]
	}
	if len(at) != len(b.Ops) {
		return false
	}
	for i := range b.Ops {
		op := &b.Ops[i]
		c := at[op.Key]
		if c == nil || c.Actor != b.Actor || (op.Verb == knowledge.VerbPurge) != (c.Verb == knowledge.VerbPurge) {
			return false
		}
		if op.Verb != knowledge.VerbPut || c.Record == nil || op.Key.Kind == knowledge.KindViolation { // a violation is stamped all over
			continue
		}
		ours, err := knowledge.Clone(op.Doc)
		theirs, failed := c.Record.Document()
		if err != nil || failed != nil {
			return false
		}
		*ours.Stamps() = *theirs.Stamps()
		if a, b, ok := canonicals(ours, theirs); ok && !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// canonicals returns the canonical forms of two documents.
func canonicals(x, y knowledge.Document) (a, b []byte, ok bool) {
	a, err := knowledge.Canonical(x)
	b, failed := knowledge.Canonical(y)
	return a, b, err == nil && failed == nil
}

// receiptOf makes a batch's receipt again from its changes.
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

// mayBeDone reports whether a batch that is in conflict here may have been done before this process began: its first answer was lost
// with the process before, and since then nothing was level that would tell. Who heard no answer because of a kill must not hear
// now that it was refused. An id that was made since is new.
func (s *Store) mayBeDone(id knowledge.BatchID, err error) bool {
	if !errors.Is(err, store.ErrConflict) || s.wasLevel.Load() {
		return false
	}
	return id.Version() != 7 || !time.Unix(id.Time().UnixTime()).After(s.began)
}

func basesAsSent(b *knowledge.Batch) []store.Base {
	bases := make([]store.Base, len(b.Ops))
	for i := range b.Ops {
		bases[i].Version = b.Ops[i].IfVersion
	}
	return bases
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
