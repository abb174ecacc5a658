package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// replayPage is how many waiting batches are looked at together.
	replayPage = 256
	// replayers is how many batches are at the primary at once; they touch different documents. So many that the engine can let
	// some share a commit while others are committed.
	replayers = 64
	// replayPatience is how many times longer than a direct write a batch may take: it may wait for others before it is sent, and
	// be sent once more without them.
	replayPatience = 3
)

// replayLoop brings the journal to the primary whenever both can.
func (s *Store) replayLoop(ctx context.Context) {
	for ctx.Err() == nil {
		rung := s.bell.wait()
		if s.modeNow() == knowledge.ModeRecovering && s.anyWaiting() {
			s.replaying(true)
			err := s.replay(ctx)
			switch classify(nil, err) {
			case fine:
				if err == nil {
					continue
				}
			case readOnly, halted: // the primary answers: it will say the same in a moment
				pause(ctx, s.o.Soon)
			case infra, gone:
			}
		}
		s.replaying(false)
		t := time.NewTimer(retryEvery)
		select {
		case <-rung:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// replaying keeps the clock of the replay's rate.
func (s *Store) replaying(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !on:
		s.replayBegan = time.Time{}
	case s.replayBegan.IsZero():
		s.replayBegan, s.replayedBefore = time.Now(), s.counts.replayed.Load()
	}
}

func (s *Store) anyWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// replay brings a page of the journal to the primary, each batch after those that touch the same documents. It returns the
// error of the primary that stopped it, or nil.
func (s *Store) replay(ctx context.Context) error {
	entries, err := s.journal.Oldest(ctx, 0, replayPage)
	if err != nil {
		s.o.Log.ErrorContext(ctx, "journal can't be read", "error", err.Error())
		return err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, replayers)
	errs := make(chan error, len(entries))
	line := order{}
	failed := make(chan struct{})
	var once sync.Once
	for i := range entries {
		e := &entries[i]
		mine := make(chan struct{})
		waits := line.behind(&e.Batch, mine)
		wg.Go(func() {
			defer close(mine)
			for _, c := range waits {
				<-c
			}
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-failed:
				return
			}
			select {
			case <-failed: // what came before may not have been done: nothing may overtake it
				return
			default:
			}
			if err := s.replayOne(ctx, e); err != nil {
				errs <- err
				once.Do(func() { close(failed) })
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// An order tells which batches so far touch a document: a channel each, closed when it is done.
type order map[knowledge.Key]*turn

// A turn holds the last batch that writes a document, and those since that refer to it.
type turn struct {
	writer  chan struct{}
	readers []chan struct{}
}

// behind puts a batch in line, and returns those that it has to wait for: who writes a document waits for all before it, who
// refers to one only for its last writer.
func (o order) behind(b *knowledge.Batch, mine chan struct{}) (waits []chan struct{}) {
	written, referred := touched(b)
	at := func(key knowledge.Key) *turn {
		if o[key] == nil {
			o[key] = &turn{}
		}
		return o[key]
	}
	for _, key := range referred {
		t := at(key)
		if t.writer != nil {
			waits = append(waits, t.writer)
		}
		t.readers = append(t.readers, mine)
	}
	for _, key := range written {
		t := at(key)
		if t.writer != nil {
			waits = append(waits, t.writer)
		}
		for _, c := range t.readers {
			if c != mine { // it may refer to what it writes
				waits = append(waits, c)
			}
		}
		t.writer, t.readers = mine, nil
	}
	return waits
}

// replayOne brings one batch to the primary. An error means that it still waits.
func (s *Store) replayOne(ctx context.Context, e *store.Entry) error {
	b, why, err := s.rebase(ctx, e)
	if err != nil {
		return err
	}
	p := s.now()
	if p == nil {
		return s.cold()
	}
	if why != "" {
		return s.unfit(ctx, p, e, errors.New(why))
	}
	if e.Newer {
		return s.unfit(ctx, p, e, errors.New("it was written by a newer program than this one, which can't be sure to understand all of it"))
	}
	if s.o.Authorize != nil {
		err := s.o.Authorize(ctx, e.Caller, &e.Batch)
		if errors.Is(err, store.ErrForbidden) {
			return s.unfit(ctx, p, e, err)
		}
		if err != nil {
			return fmt.Errorf("look at the rights of %s: %w", e.Caller, err) // nothing is decided yet
		}
	}
	done, err := s.breaker.Allow()
	if err != nil {
		return err
	}
	rec, err := s.applyAt(ctx, p, b, replayPatience, done)
	if classify(ctx.Err(), err) != fine {
		return err
	}
	if err != nil {
		return s.unfit(ctx, p, e, err)
	}
	return s.settleApplied(ctx, e, &rec)
}

// rebase returns the batch with the versions filled in that its ops were made on top of, or why it can't be.
func (s *Store) rebase(ctx context.Context, e *store.Entry) (knowledge.Batch, string, error) {
	b := e.Batch
	b.Origin = e.Fingerprint
	if e.Unknown && (len(e.Left) < len(b.Ops) || whatever(&b)) {
		// It does not fit as far as is seen here, or was to replace whatever is there. The primary may have it, or get it only now: whichever comes
		// first is judged by the same words, or a late delivery could do what was parked.
		return b, "", nil
	}
	b.Ops = append([]knowledge.Op(nil), b.Ops...)
	for i := range b.Ops {
		base := e.Bases[i]
		if base.Parent != (knowledge.BatchID{}) {
			_, out, err := s.journal.Find(ctx, base.Parent)
			switch {
			case isNotFound(err):
				return b, "the batch that it was made on top of is no longer known", nil
			case err != nil:
				return b, "", err
			case out.State == knowledge.BatchQueued:
				return b, "", fmt.Errorf("batch %s waits for batch %s", e.Batch.ID, base.Parent)
			case out.State != knowledge.BatchApplied:
				return b, fmt.Sprintf("it was made on top of batch %s, which did not fit", base.Parent), nil
			}
			base.Version = out.Versions[b.Ops[i].Key]
		}
		b.Ops[i].IfVersion = base.Version
		if base.Version == 0 && b.Ops[i].Verb == knowledge.VerbPut {
			b.Ops[i].IfVersion = knowledge.NoVersion
		}
	}
	return b, "", nil
}

// whatever reports whether a batch was to replace whatever is there.
func whatever(b *knowledge.Batch) bool {
	return slices.ContainsFunc(b.Ops, func(op knowledge.Op) bool { return op.IfVersion == knowledge.AnyVersion })
}

// unfit parks a batch that the primary refused for good, or that is not even sent to it. One whose first answer was lost may have
// been done, and the ledger may have forgotten it since; and one that was done long ago may have been sent again, to a mirror
// that no longer has it. Then the log tells.
func (s *Store) unfit(ctx context.Context, p Primary, e *store.Entry, cause error) error {
	if !errors.Is(cause, store.ErrReused) {
		own, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
		defer cancel()
		changes, err := p.Changes(own, knowledge.ChangeQuery{Batch: e.Batch.ID, Limit: knowledge.MaxChanges})
		if err != nil {
			return err
		}
		if len(changes) > 0 && (e.Unknown || sameContent(&e.Batch, changes)) {
			rec := knowledge.ReceiptOf(&e.Batch, changes)
			return s.settleApplied(ctx, e, &rec)
		}
	}
	op, found := -1, (*int64)(nil)
	if conflict, ok := errors.AsType[*store.ConflictError](cause); ok {
		op, found = conflict.Op, &conflict.Got
	}
	return s.park(ctx, p, e, cause.Error(), op, found)
}

// settleApplied notes that the primary has a batch: first in the journal, then over the mirror.
func (s *Store) settleApplied(ctx context.Context, e *store.Entry, rec *knowledge.Receipt) error {
	versions := make(map[knowledge.Key]int64, len(rec.Records))
	left := make([]store.Left, 0, len(rec.Records))
	for i, r := range rec.Records {
		if r != nil {
			versions[r.Key] = r.Version
			left = append(left, store.Left{Key: e.Batch.Ops[i].Key, Record: r})
			s.recent.saw(r, time.Now())
		}
	}
	if err := s.journal.Applied(ctx, e.Batch.ID, rec.Seq, versions); err != nil {
		return fmt.Errorf("note that batch %s is applied: %w", e.Batch.ID, err)
	}
	s.recent.acknowledge(&e.Batch, rec)
	s.counts.replayed.Add(1)
	s.settleMirror(ctx, e, left)
	return nil
}

// settleMirror ends a batch's overlay and its waiting.
func (s *Store) settleMirror(ctx context.Context, e *store.Entry, applied []store.Left) {
	keys := make([]knowledge.Key, len(e.Batch.Ops))
	for i := range e.Batch.Ops {
		keys[i] = e.Batch.Ops[i].Key
	}
	// A batch can be replayed before its writer has laid it over the mirror: that must be over before it is settled.
	s.jmu.RLock()
	defer s.jmu.RUnlock()
	s.mu.Lock()
	laid := s.ready || s.laying
	s.mu.Unlock()
	if laid {
		if err := s.mirror.Settle(ctx, e.Batch.ID, keys, applied); err != nil {
			s.mirrorFailed(ctx, err)
			s.o.Log.ErrorContext(ctx, "mirror did not settle a batch; the keeper takes it off later", "batch", e.Batch.ID.String(), "error", err.Error())
		}
	}
	defer s.settled.ring()
	defer s.tellSettled(keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, e.Batch.ID)
	for _, key := range keys {
		if s.pending[key].batch == e.Batch.ID {
			delete(s.pending, key)
		}
	}
	if len(s.waiting) == 0 {
		s.ring()
	}
}

// park keeps a batch for a person, with what it was made on top of, what is at the primary now and what it would have left.
func (s *Store) park(ctx context.Context, p Primary, e *store.Entry, why string, op int, found *int64) error {
	parked := store.Parked{Entry: *e, Op: op, Why: why, ParkedAt: knowledge.At(s.o.Wall())}
	if found != nil {
		parked.Found = *found
	}
	at := max(op, 0)
	key := e.Batch.Ops[at].Key
	own, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	theirs, err := p.Get(own, key)
	switch {
	case err == nil:
		parked.Theirs = json.RawMessage(theirs.JSON)
		if found == nil {
			parked.Found = theirs.Version
		}
	case !isNotFound(err):
		return err
	}
	if l, _ := e.LeftOf(key); l.Record != nil {
		parked.Ours = json.RawMessage(l.Record.JSON)
	} else if doc := e.Batch.Ops[at].Doc; doc != nil {
		if parked.Ours, err = knowledge.Canonical(doc); err != nil {
			return err
		}
	}
	if at < len(e.Bases) && e.Bases[at].Version > 0 {
		base, err := p.Changes(own, knowledge.ChangeQuery{Key: key, Version: e.Bases[at].Version, Limit: 1})
		if err != nil {
			return err
		}
		if len(base) == 1 && base[0].Record != nil {
			parked.Base = json.RawMessage(base[0].Record.JSON)
		}
	}
	if err := s.journal.Park(ctx, parked); err != nil {
		return fmt.Errorf("park batch %s: %w", e.Batch.ID, err)
	}
	s.counts.parked.Add(1)
	s.o.Log.WarnContext(ctx, "batch parked: it no longer fits and waits for a person", "batch", e.Batch.ID.String(), "key", key.String(), "why", why)
	s.settleMirror(ctx, e, nil)
	return nil
}

// tellSettled announces that documents may read otherwise than before.
func (s *Store) tellSettled(keys []knowledge.Key) {
	if s.o.Settled != nil {
		s.o.Settled(keys)
	}
}
