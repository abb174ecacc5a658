package failover

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// soonBytes is the largest journal that Open lays over the mirror before anything is answered; Run lays a larger one.
const soonBytes = 4 << 20

// restore lays the waiting batches over the mirror again, and removes overlays that wait no longer: a crash may have
// come between journal and overlay. Batches that are laid already are only read.
func (q *queue) restore(ctx context.Context) error {
	began := time.Now()
	lies, err := q.lying(ctx)
	if err != nil {
		q.copy.failed(ctx, err) // a failing mirror must not keep the instance from starting
	}
	for after := int64(0); ; {
		entries, err := q.journal.Oldest(ctx, after, overlayPage)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if len(entries) == 0 {
			break
		}
		if err := q.overlayMissing(ctx, entries, lies); err != nil {
			q.copy.failed(ctx, err)
		}
		after = entries[len(entries)-1].Seq
		q.waits.note(entries...)
	}
	if err := q.sweep(ctx); err != nil {
		q.copy.failed(ctx, err)
	}
	if took := time.Since(began); took > time.Second {
		q.o.Log.LogAttrs(ctx, slog.LevelInfo, "waiting batches are laid over the mirror again",
			slog.Int("batches", q.waits.len()),
			slog.String("took", took.Round(time.Millisecond).String()))
	}
	close(q.restored)
	return nil
}

// lying returns the batches that are laid over the mirror.
func (q *queue) lying(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error) {
	if !q.copy.complete() {
		return nil, nil
	}
	return q.copy.mirror.Overlaid(ctx)
}

// overlayMissing lays the entries over the mirror that are not laid yet, or only in part.
func (q *queue) overlayMissing(
	ctx context.Context, entries []store.Entry, lies map[knowledge.BatchID][]knowledge.Key,
) error {
	if !q.copy.complete() {
		return nil
	}
	missing := make([]store.Entry, 0, len(entries))
	for i := range entries {
		if e := &entries[i]; len(lies[e.Batch.ID]) < len(e.Left) || !whole(e) {
			missing = append(missing, entries[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return q.layOver(ctx, missing)
}

// restoreFirst does at the beginning of Run what Open has left to do, and tries until the journal can be read.
func (q *queue) restoreFirst(ctx context.Context) {
	select {
	case <-q.restored:
		return
	default:
	}
	for ctx.Err() == nil {
		err := q.restore(ctx)
		if err == nil {
			return
		}
		q.o.Log.ErrorContext(ctx, "journal can't be read: no write is taken until it can", "error", err.Error())
		store.Pause(ctx, q.o.soon)
	}
}

// awaitRestored makes a write wait until the waiting batches are known, for at most the time that a write may take.
func (q *queue) awaitRestored(ctx context.Context) error {
	select {
	case <-q.restored:
		return nil
	default:
	}
	t := time.NewTimer(q.o.writeTimeout)
	defer t.Stop()
	select {
	case <-q.restored:
		return nil
	case <-t.C:
		return &store.UnavailableError{
			Reason:     "this instance has just started and is still reading its journal: send the write again soon",
			RetryAfter: time.Second, NotDone: true,
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweep removes overlays of batches that no longer wait in the journal.
func (q *queue) sweep(ctx context.Context) error {
	if !q.copy.complete() {
		return nil
	}
	q.turns.gate.Lock() // batches that are being journalled wait
	defer q.turns.gate.Unlock()
	overlaid, err := q.copy.mirror.Overlaid(ctx)
	if err != nil {
		return fmt.Errorf("read the mirror's overlays: %w", err)
	}
	for id, keys := range overlaid {
		if q.waits.has(id) {
			continue
		}
		_, out, err := q.journal.Find(ctx, id)
		switch {
		case err != nil && !isNotFound(err):
			return fmt.Errorf("look for batch %s in the journal: %w", id, err)
		case err == nil && out.State == knowledge.BatchQueued,
			// Its overlay stays until the feed brings the batch, and is removed then.
			err == nil && out.State == knowledge.BatchApplied && out.Seq > knowledge.Seq(q.copy.applied.Load()):
			continue
		}
		if err := q.copy.mirror.Settle(ctx, id, keys, nil); err != nil {
			return fmt.Errorf("remove the overlay of batch %s: %w", id, err)
		}
		q.board.invalidate(keys)
	}
	return nil
}
