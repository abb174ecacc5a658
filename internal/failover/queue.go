package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxQueuedOps bounds a batch that an outage accepts: a bulk import can wait for the primary, a person's edit can't.
const maxQueuedOps = 200

// A queue takes the writes that can't go to the primary: it writes the journal first, then the mirror, then answers.
type queue struct {
	o        *Options
	board    *board
	modes    *modes
	counts   *counts
	mirror   *mirror
	waits    *waitlist
	ground   *ground
	past     *past
	journal  Journal
	turns    turns
	restored chan struct{} // closed once the batches of the last run are known and laid over the mirror
}

// put puts a batch into the journal. unknown says that the primary may have applied it: then it can't be refused.
func (q *queue) put(ctx context.Context, b knowledge.Batch, unknown bool) (knowledge.Receipt, error) {
	rec, err := q.enqueue(ctx, b, unknown)
	if errors.Is(err, store.ErrConflict) {
		rec, err = q.past.inConflict(ctx, &b, err)
	}
	if (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)) && q.past.maybeSent(b.ID) {
		// Its first attempt may have been applied, and what it conflicts with may have been made on top of it.
		err = &store.UnavailableError{
			Reason: "it is not known here whether an earlier attempt of this batch was done, and the primary, which " +
				"knows, can't be asked now: send it again later with the same batch id",
			RetryAfter: 5 * time.Second, Err: err,
		}
	}
	return rec, err
}

func (q *queue) enqueue(ctx context.Context, b knowledge.Batch, unknown bool) (knowledge.Receipt, error) {
	sent := unknown || q.past.maybeSent(b.ID)
	if err := q.queueable(&b, unknown); err != nil {
		return knowledge.Receipt{}, notTaken(err, sent)
	}
	defer q.turns.take(&b)()
	if rec, taken, err := q.past.takenHere(ctx, &b, sent); taken || err != nil {
		return rec, err
	}
	if !unknown && !q.mirror.complete() {
		return knowledge.Receipt{}, notTaken(cold(), sent)
	}
	sum, err := b.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	e := store.Entry{Batch: b, Caller: b.Actor, Fingerprint: sum, At: knowledge.At(q.o.wall()), Unknown: unknown}
	if q.o.Caller != nil {
		e.Caller = q.o.Caller(ctx)
	}
	if err = q.ground.prepare(ctx, &e); err == nil && sent && !unknown {
		e.Unknown = true
		err = q.ground.prepare(ctx, &e)
	}
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if err := q.journal.Append(ctx, e); err != nil {
		if sent {
			return knowledge.Receipt{}, &store.UnavailableError{
				Reason: "the primary did not answer and the journal can't take the batch: send it again with " +
					"the same batch id",
				RetryAfter: 5 * time.Second, Err: err,
			}
		}
		return knowledge.Receipt{}, err
	}
	q.past.sent.settle(b.ID)
	// From here on the batch is durable: if the mirror fails now, the keeper lays the batch over it later.
	if !whole(&e) {
		q.waits.hide(b.ID)
	}
	if err := q.lay(context.WithoutCancel(ctx), &e); err != nil {
		q.waits.hide(b.ID)
		q.mirror.failed(ctx, err)
		q.o.Log.ErrorContext(ctx, "mirror failed to show a journalled write; it is safe in the journal",
			"batch", b.ID.String(), "error", err.Error())
	}
	q.counts.queued.Add(1)
	q.waits.note(e)
	q.modes.handle(input{kind: batchQueued})
	q.board.announce(Event{Mode: q.modes.mode(), Queued: &b.ID})
	q.board.post(batchWaits)
	q.board.post(lookWanted)
	return queuedReceipt(&e), nil
}

// notTaken is the error of a batch that is not taken here. It does not say that the batch was not done if an earlier
// attempt may have reached the primary.
func notTaken(err error, sent bool) error {
	u, ok := errors.AsType[*store.UnavailableError](err)
	if !ok || !sent {
		return err
	}
	open := *u
	open.NotDone = false
	return &open
}

// queueable refuses the batches that an outage does not take. A batch whose outcome is unknown can't be refused.
func (q *queue) queueable(b *knowledge.Batch, unknown bool) error {
	if unknown {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return &store.UnavailableError{Reason: fmt.Sprintf(format, args...), RetryAfter: q.o.Recovery, NotDone: true}
	}
	if why := q.modes.now().halted(); why != "" {
		return &store.UnavailableError{
			Reason: "the primary's schema, rights or certificates are wrong: an operator must act before writes " +
				"are taken",
			RetryAfter: q.o.Recovery, Halt: true, NotDone: true,
			Err: errors.New(why),
		}
	}
	if q.o.RefuseWrites {
		return refuse("the primary can't be reached, and this instance refuses writes in an outage")
	}
	if len(b.Ops) > maxQueuedOps {
		return refuse("the primary can't be reached: a batch of %d ops waits for it, at most %d are taken in "+
			"an outage", len(b.Ops), maxQueuedOps)
	}
	if !b.At.IsZero() {
		return refuse("the primary can't be reached: an export can be restored when it is back")
	}
	for i := range b.Ops {
		if verb := b.Ops[i].Verb; verb.Removes() {
			return refuse("the primary can't be reached: %s is possible when it is back", verb)
		}
	}
	return nil
}

// lay lays a journalled batch over the mirror, for the readers of this instance.
func (q *queue) lay(ctx context.Context, e *store.Entry) error {
	if len(e.Left) == 0 || !q.mirror.complete() {
		return nil
	}
	return q.mirror.file.Overlay(ctx, *e)
}

// layAll lays the waiting batches over a rebuilt mirror, unless they were carried over from the old one, and makes the
// mirror the one that answers. A long journal is laid page by page. Over the first mirror, which does not answer yet,
// new writes get their turn between pages; over a mirror that answers already they would be laid below older batches,
// so they wait.
func (q *queue) layAll(ctx context.Context) error {
	first := !q.mirror.complete()
	q.mirror.laying.Store(first)
	q.turns.gate.Lock()
	defer q.turns.gate.Unlock()
	err := q.layJournal(ctx, func() {
		if first {
			q.turns.gate.Unlock()
			q.turns.gate.Lock()
		}
	})
	if err != nil {
		return err
	}
	q.modes.handle(input{kind: mirrorComplete})
	q.mirror.laying.Store(false)
	return nil
}

// finish ends a batch's overlay and its waiting. applied are the documents that it left at the primary, nil if it was
// parked.
func (q *queue) finish(ctx context.Context, e *store.Entry, applied []store.Left) {
	keys := q.waits.keysOf(e)
	// A batch can be replayed before its writer has laid it over the mirror: wait for the writer first.
	q.turns.over(e.Batch.ID)
	q.turns.gate.RLock()
	defer q.turns.gate.RUnlock()
	// what it says of its documents is not what was laid over the mirror, perhaps by another run
	if e.Damaged && q.mirror.complete() {
		if lies, err := q.mirror.file.Overlaid(ctx); err == nil {
			keys = append(keys, lies[e.Batch.ID]...)
		}
	}
	if q.mirror.complete() || q.mirror.laying.Load() {
		if err := q.mirror.file.Settle(ctx, e.Batch.ID, keys, applied); err != nil {
			raise(&q.mirror.floor, q.mirror.seq())
			q.mirror.failed(ctx, err)
			q.o.Log.ErrorContext(ctx, "mirror failed to remove a batch's overlay; the keeper will remove it",
				"batch", e.Batch.ID.String(), "error", err.Error())
		}
	} else {
		raise(&q.mirror.floor, q.mirror.seq())
	}
	if q.waits.remove(e.Batch.ID, keys) == 0 {
		q.board.post(lookWanted)
	}
	q.board.invalidate(keys)
	q.board.post(batchFinished)
}
