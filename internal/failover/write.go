package failover

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

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
			if rec, taken, failed := s.takenAnywhere(ctx, p, &b); taken || failed != nil {
				return rec, failed
			}
			return knowledge.Receipt{}, err
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
		rec, err := s.applyAt(context.WithoutCancel(ctx), p, b, 1, done)
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

// applyAt sends a batch to the primary within a deadline of its own, some times that of a write, and tells everybody what became of it.
func (s *Store) applyAt(ctx context.Context, p Primary, b knowledge.Batch, patience time.Duration, done func(error)) (knowledge.Receipt, error) {
	own, cancel := context.WithTimeout(ctx, patience*s.o.WriteTimeout+time.Duration(len(b.Ops))*opTime)
	defer cancel()
	began := time.Now()
	rec, err := p.Apply(own, b)
	c := classify(ctx.Err(), err)
	s.noteWrite(c, err, time.Since(began))
	done(c.told())
	return rec, err
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
