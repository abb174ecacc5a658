package failover

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A writer sends writes to the primary, or puts them into the queue.
type writer struct {
	life   *life
	board  *board
	modes  *modes
	up     *upstream
	mirror *mirror
	waits  *waitlist
	acks   *acks
	ground *ground
	past   *past
	queue  *queue
}

// apply implements [store.Writer]. The receipt says Queued when the batch is in the journal and not yet at the primary.
func (w *writer) apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := w.life.checkOpen(); err != nil {
		return knowledge.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return knowledge.Receipt{}, err
	}
	if err := b.Validate(); err != nil {
		return knowledge.Receipt{}, err
	}
	if rec, known, err := w.past.known(ctx, &b); known || err != nil {
		return rec, err
	}
	if err := w.queue.awaitRestored(ctx); err != nil {
		return knowledge.Receipt{}, err
	}
	sent := w.past.maybeSent(b.ID)
	if err := w.ground.promised(ctx, &b); err != nil && !sent {
		return w.past.inConflict(ctx, &b, err)
	}
	if b.Dry {
		return w.tryOut(ctx, b)
	}
	p := w.up.current()
	if p == nil || !w.direct(&b) {
		free, err := w.drained(ctx, &b)
		switch {
		case err != nil:
			return knowledge.Receipt{}, err
		case p == nil || !free:
			return w.queue.put(ctx, b, false)
		}
	}
	done, err := w.up.breaker.Allow()
	if err != nil {
		return w.queue.put(ctx, b, false)
	}
	got := w.send(ctx, p, b, sent, done)
	select {
	case a := <-got:
		switch classify(nil, a.err) {
		case fine, halted:
			return a.v, a.err
		case infra, readOnly, late, disconnected:
		}
		u, _ := errors.AsType[*store.UnavailableError](a.err)
		return w.queue.put(ctx, b, u == nil || !u.NotDone)
	case <-ctx.Done():
		// The batch is not cancelled: cancelling would cost the connection and make the outcome unknown to us too. The
		// caller learns it by sending the batch again with the same id.
		return knowledge.Receipt{}, ctx.Err()
	}
}

// send sends a batch to the primary; its answer arrives also when its caller has disconnected. sent says that
// it may have been sent before.
func (w *writer) send(
	ctx context.Context, p Primary, b knowledge.Batch, sent bool, done func(error),
) <-chan said[knowledge.Receipt] {
	w.past.sent.add(b.ID)
	got := make(chan said[knowledge.Receipt], 1)
	w.life.work.Go(func() {
		rec, err := w.up.apply(context.WithoutCancel(ctx), p, b, 1, done)
		if u, ok := errors.AsType[*store.UnavailableError](err); classify(nil, err) == fine ||
			ok && u.NotDone && !sent {
			w.past.sent.settle(b.ID)
		}
		if err == nil && !rec.Unchanged { // the feed brings nothing of one that changed nothing
			w.acks.add(&b, &rec)
			w.mirror.foresee(ctx, &rec, b.Ops)
		}
		got <- said[knowledge.Receipt]{rec, err}
	})
	return got
}

// tryOut asks the primary whether it would take a batch. It never asks the journal, whose batches are judged at the
// replay.
func (w *writer) tryOut(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	p := w.up.current()
	away := &store.UnavailableError{
		Reason: "a dry run needs the primary, which can't be reached or does not have earlier writes of these " +
			"documents yet",
		RetryAfter: 5 * time.Second, NotDone: true,
	}
	if p == nil || !w.direct(&b) {
		return knowledge.Receipt{}, away
	}
	done, err := w.up.breaker.Allow()
	if err != nil {
		return knowledge.Receipt{}, away
	}
	rec, err := w.up.apply(context.WithoutCancel(ctx), p, b, 1, done)
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && !u.NotDone {
		return rec, away
	}
	return rec, err
}

// said is the primary's answer to a write.
type said[T any] struct {
	v   T
	err error
}

// direct reports whether a batch may go to the primary: not in an outage, and not past a waiting batch that writes the
// same documents or their parents.
func (w *writer) direct(b *knowledge.Batch) bool {
	switch mode := w.modes.mode(); mode {
	case knowledge.ModeDegraded, knowledge.ModeDiverged, knowledge.ModeCold:
		return mode == knowledge.ModeCold && w.up.current() != nil
	case knowledge.ModeNormal, knowledge.ModeRecovering:
	}
	if refuses, due := w.modes.refusesWrites(); refuses && !due {
		return false // the primary takes no writes: a standby, a full disk
	}
	if !w.waits.any() {
		return true
	}
	written, referred := touched(b)
	return !w.waits.on(written...) && !w.waits.on(referred...)
}

// drainTime is how long a write waits for earlier ones to be replayed. Without this wait a few documents with many
// writers would keep an instance recovering forever: each write would be queued behind the one before.
const drainTime = 250 * time.Millisecond

// drained waits while the batches are replayed that a batch would have to wait for, and reports whether the batch may
// then go to the primary. The primary checks what it was made on top of: it compares the named batch with the current
// one.
func (w *writer) drained(ctx context.Context, b *knowledge.Batch) (bool, error) {
	t := time.NewTimer(drainTime)
	defer t.Stop()
	for {
		rung := w.board.next(batchFinished)
		refuses, _ := w.modes.refusesWrites()
		if now := w.modes.now(); now.mode != knowledge.ModeRecovering || refuses || now.halted() != "" {
			return false, nil
		}
		if w.direct(b) {
			return true, nil
		}
		select {
		case <-rung:
		case <-t.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
