package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	// replayers is how many batches are at the primary at once at most; they touch different documents. There are many
	// so that the engine can gather some for a shared commit while others are being committed.
	replayers = 64
	// replayPage is how many waiting batches are read from the journal at once, for each that may be at the primary.
	replayPage = 4
	// replayPatience is how many times the deadline of a direct write a replayed batch gets: it may wait for others
	// before it is sent, and be sent once more without them.
	replayPatience = 3
)

// A replayer brings the waiting batches from the journal to the primary.
type replayer struct {
	o       *Options
	board   *board
	modes   *modes
	counts  *counts
	up      *upstream
	mirror  *mirror
	waits   *waitlist
	acks    *acks
	queue   *queue
	journal Journal

	// width is how many batches may be at the primary at once, from 1 to replayers. After a failure it is 1, and
	// doubles with each page: a primary that is too slow for many at once would miss the deadline of all of them, and
	// the replay would never end. Only run's goroutine uses it.
	width int

	mu     sync.Mutex // guards the fields below, which time the replay under way
	began  time.Time
	before int64
}

// run replays the journal whenever the mode is recovering and batches wait, until ctx ends.
func (r *replayer) run(ctx context.Context) {
	r.width = replayers
	for ctx.Err() == nil {
		moved, grown := r.board.next(modeMoved), r.board.next(batchWaits)
		if r.modes.mode() == knowledge.ModeRecovering && r.waits.any() {
			r.timed(true)
			err := r.page(ctx)
			if err != nil {
				r.width = 1
			}
			switch classify(nil, err) {
			case fine:
				if err == nil {
					continue
				}
			case readOnly, halted: // the primary answers, and would say the same in a moment
				store.Pause(ctx, r.o.soon)
			case infra, late, disconnected:
			}
		}
		r.timed(false)
		t := time.NewTimer(retryEvery)
		select {
		case <-moved:
		case <-grown:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// timed starts or stops the clock for the replay's rate.
func (r *replayer) timed(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !on:
		r.began = time.Time{}
	case r.began.IsZero():
		r.began, r.before = time.Now(), r.counts.replayed.Load()
	}
}

// tell fills in the replay's part of a status.
func (r *replayer) tell(st *JournalStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began.IsZero() {
		st.Done = r.counts.replayed.Load() - r.before
		st.Rate = float64(st.Done) / max(time.Since(r.began).Seconds(), 0.001)
	}
}

// page replays a page of the journal, each batch after those that touch the same documents. It returns the error of the
// primary that stopped it, or nil.
func (r *replayer) page(ctx context.Context) error {
	entries, err := r.journal.Oldest(ctx, 0, replayPage*r.width)
	if err != nil {
		r.o.Log.ErrorContext(ctx, "journal failed", "error", err.Error())
		return err
	}
	if len(entries) == 0 {
		return r.missing(ctx)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, r.width)
	errs := make(chan error, len(entries))
	line, now := order{}, r.up.lookup()
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
			case <-failed: // an earlier batch may not have been applied: nothing may overtake it
				return
			default:
			}
			if err := r.one(ctx, now, e); err != nil {
				errs <- err
				once.Do(func() { close(failed) })
			}
		})
	}
	wg.Wait()
	close(errs)
	r.width = min(2*r.width, replayers)
	return <-errs
}

// missing parks the batches that wait here and that the journal no longer has: its file was changed from outside. What
// they leave, the mirror still shows. Nothing else would end their waiting.
func (r *replayer) missing(ctx context.Context) error {
	p := r.up.current()
	if p == nil {
		return cold()
	}
	r.queue.turns.gate.Lock() // no batch is being journalled
	entries, err := r.journal.Oldest(ctx, 0, 1)
	waiting := r.waits.all()
	r.queue.turns.gate.Unlock()
	if err != nil || len(entries) > 0 {
		return err
	}
	lies, err := r.mirror.file.Overlaid(ctx)
	if err != nil {
		return onDisk(err)
	}
	for id, keys := range waiting {
		e := store.Entry{Batch: knowledge.Batch{ID: id, Actor: "unknown"}, At: knowledge.At(r.o.wall())}
		for _, key := range append(keys, lies[id]...) {
			if _, known := e.LeftOf(key); known {
				continue
			}
			rec, err := r.mirror.file.Get(ctx, key)
			if err != nil || rec.Pending != id {
				continue
			}
			doc, err := rec.Document()
			if err != nil {
				continue
			}
			e.Batch.Actor = doc.Stamps().UpdatedBy
			e.Batch.Ops = append(e.Batch.Ops, knowledge.Put(doc, knowledge.AnyVersion))
			e.Bases = append(e.Bases, store.Base{Version: max(rec.Version-1, 0)})
			e.Left = append(e.Left, store.Left{Key: key, Record: rec})
		}
		if err := r.parkMissing(ctx, p, &e); err != nil {
			return err
		}
	}
	return nil
}

func (r *replayer) parkMissing(ctx context.Context, p Primary, e *store.Entry) error {
	const why = "its entry in the journal was removed or changed from outside"
	if _, _, err := r.journal.Find(ctx, e.Batch.ID); !isNotFound(err) || len(e.Batch.Ops) == 0 {
		r.o.Log.ErrorContext(ctx, "a waiting batch is lost to replay: "+why, "batch", e.Batch.ID.String())
		r.queue.finish(ctx, e, nil)
		return nil
	}
	var err error
	if e.Fingerprint, err = e.Batch.Fingerprint(); err != nil {
		return err
	}
	e.Caller = e.Batch.Actor
	return r.park(ctx, p, e, why, -1, nil)
}

// one replays one batch. An error means that the batch still waits.
func (r *replayer) one(ctx context.Context, now Lookup, e *store.Entry) error {
	if e.Damaged {
		p := r.up.current()
		if p == nil {
			return cold()
		}
		return r.unfit(ctx, p, e, errors.New("its journal entry is damaged: the checksum differs"))
	}
	b, why, err := r.rebase(ctx, e)
	if err != nil {
		return err
	}
	p := r.up.current()
	if p == nil {
		return cold()
	}
	if why != "" {
		return r.unfit(ctx, p, e, errors.New(why))
	}
	if e.Newer {
		return r.unfit(ctx, p, e,
			errors.New("it was journalled by a newer version of the program, and this version may not understand "+
				"all of it"))
	}
	if r.o.Authorize != nil {
		err := r.o.Authorize(ctx, now, e.Caller, &e.Batch)
		if errors.Is(err, store.ErrForbidden) {
			return r.unfit(ctx, p, e, err)
		}
		if err != nil {
			return fmt.Errorf("check the rights of %s: %w", e.Caller, err) // nothing is decided yet
		}
	}
	done, err := r.up.breaker.Allow()
	if err != nil {
		return err
	}
	rec, err := r.up.apply(ctx, p, b, replayPatience, done)
	if classify(ctx.Err(), err) != fine {
		return err
	}
	if err != nil {
		return r.unfit(ctx, p, e, err)
	}
	return r.finishApplied(ctx, e, &rec)
}

// rebase returns the batch with conditions that name what its operations were made on top of, or the reason why it
// can't be applied. A document that was waiting then is named by its batch, which the primary compares with the batch
// that wrote the current version.
func (r *replayer) rebase(ctx context.Context, e *store.Entry) (knowledge.Batch, string, error) {
	b := e.Batch
	b.Origin = e.Fingerprint
	if e.Unknown {
		// The primary may have the batch already, or get it late from the first attempt: both attempts must have the
		// same conditions, or the late one could apply what was parked.
		return b, "", nil
	}
	b.Ops = append([]knowledge.Op(nil), b.Ops...)
	for i := range b.Ops {
		op, base := &b.Ops[i], e.Bases[i]
		op.IfVersion, op.IfBatch = base.Version, base.Parent
		if base.Parent == (knowledge.BatchID{}) {
			if base.Version == 0 && op.Verb == knowledge.VerbPut {
				op.IfVersion = knowledge.NoVersion
			}
			continue
		}
		op.IfVersion = knowledge.AnyVersion
		_, out, err := r.journal.Find(ctx, base.Parent)
		switch {
		case isNotFound(err): // it was not journalled here: the primary decides
		case err != nil:
			return b, "", err
		case out.State == knowledge.BatchQueued:
			return b, "", fmt.Errorf("batch %s waits for batch %s", e.Batch.ID, base.Parent)
		case out.State != knowledge.BatchApplied:
			return b, fmt.Sprintf("it was made on top of batch %s, which was parked", base.Parent), nil
		}
	}
	return b, "", nil
}

// unfit parks a batch that the primary refused for good, or that can't be sent. But first it asks the primary's log: an
// earlier attempt may have been applied without its answer reaching us, and the primary's ledger or the mirror may have
// forgotten it since.
func (r *replayer) unfit(ctx context.Context, p Primary, e *store.Entry, cause error) error {
	if !errors.Is(cause, store.ErrReused) {
		own, cancel := context.WithTimeout(ctx, r.o.readTimeout)
		defer cancel()
		changes, err := p.Changes(own, knowledge.ChangeQuery{Batch: e.Batch.ID, Limit: knowledge.MaxChanges})
		if err != nil {
			return err
		}
		if len(changes) > 0 && (e.Unknown || e.Damaged || sameContent(&e.Batch, changes)) {
			rec := knowledge.ReceiptOf(&e.Batch, changes)
			return r.finishApplied(ctx, e, &rec)
		}
	}
	op, found := -1, (*int64)(nil)
	if conflict, ok := errors.AsType[*store.ConflictError](cause); ok {
		op, found = conflict.Op, &conflict.Got
	}
	return r.park(ctx, p, e, cause.Error(), op, found)
}

// finishApplied notes that the primary has a batch: first in the journal, then in the mirror.
func (r *replayer) finishApplied(ctx context.Context, e *store.Entry, rec *knowledge.Receipt) error {
	versions := make(map[knowledge.Key]int64, len(rec.Records))
	left := make([]store.Left, 0, len(rec.Records))
	for i, r := range rec.Records {
		if r != nil {
			versions[r.Key] = r.Version
			left = append(left, store.Left{Key: e.Batch.Ops[i].Key, Record: r})
		}
	}
	if err := r.journal.Applied(ctx, e.Batch.ID, rec.Seq, versions); err != nil {
		return fmt.Errorf("note that batch %s is applied: %w", e.Batch.ID, err)
	}
	if !rec.Unchanged {
		r.acks.add(&e.Batch, rec)
	}
	raise(&r.mirror.foreseen, rec.Seq)
	r.counts.replayed.Add(1)
	r.queue.finish(ctx, e, left)
	return nil
}

// park parks a batch, with the version it was made on, the primary's current one, and the one it would have written.
func (r *replayer) park(ctx context.Context, p Primary, e *store.Entry, why string, op int, found *int64) error {
	parked := store.Parked{Entry: *e, Op: op, Why: why, ParkedAt: knowledge.At(r.o.wall())}
	if found != nil {
		parked.Found = *found
	}
	at := max(op, 0)
	key := e.Batch.Ops[at].Key
	own, cancel := context.WithTimeout(ctx, r.o.readTimeout)
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
	if err := r.journal.Park(ctx, parked); err != nil {
		return fmt.Errorf("park batch %s: %w", e.Batch.ID, err)
	}
	r.counts.parked.Add(1)
	r.o.Log.WarnContext(ctx, "batch parked: it conflicts with the primary and waits for a decision",
		"batch", e.Batch.ID.String(), "key", key.String(), "why", why)
	r.queue.finish(ctx, e, nil)
	return nil
}
