package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	over, err := q.cover(ctx)
	if err != nil {
		q.mirror.failed(ctx, err) // a failing mirror must not keep the instance from starting
	}
	laid := err == nil
	for after := int64(0); ; {
		entries, err := q.journal.Oldest(ctx, after, overlayPage)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if len(entries) == 0 {
			break
		}
		if q.mirror.complete() {
			if err := q.layPage(ctx, entries, &over); err != nil {
				laid = false
				for i := range entries {
					q.waits.hide(entries[i].Batch.ID)
				}
				q.mirror.failed(ctx, err)
			}
		}
		after = entries[len(entries)-1].Seq
		q.waits.note(entries...)
	}
	q.waits.known.Store(true)
	if laid {
		q.waits.laid()
	}
	if err := q.sweep(ctx); err != nil {
		q.mirror.failed(ctx, err)
	}
	if took := time.Since(began); took > time.Second {
		q.o.Log.LogAttrs(ctx, slog.LevelInfo, "waiting batches are laid over the mirror again",
			slog.Int("batches", q.waits.len()),
			slog.String("took", took.Round(time.Millisecond).String()))
	}
	close(q.restored)
	return nil
}

// A cover is what is laid over a mirror.
type cover struct {
	of map[knowledge.BatchID][]knowledge.Key // the documents of each batch that are
	// anew holds the documents over which a batch was laid just now: later ones belong on top of it
	anew map[knowledge.Key]bool
}

// cover returns what is laid over the mirror.
func (q *queue) cover(ctx context.Context) (cover, error) {
	c := cover{anew: map[knowledge.Key]bool{}}
	var err error
	if q.mirror.complete() || q.mirror.laying.Load() {
		c.of, err = q.mirror.file.Overlaid(ctx)
	}
	return c, err
}

// lacks reports whether a waiting batch is not laid, or only in part, or below what belongs under it.
func (c *cover) lacks(e *store.Entry) bool {
	lie := c.of[e.Batch.ID]
	return len(lie) < len(e.Left) || !whole(e) ||
		slices.ContainsFunc(lie, func(key knowledge.Key) bool { return c.anew[key] })
}

// layJournal lays the waiting batches over the mirror that are not laid yet, page by page, with between called after
// each. No batch may be journalled meanwhile but between pages.
func (q *queue) layJournal(ctx context.Context, between func()) error {
	over, err := q.cover(ctx)
	if err != nil {
		return onDisk(err)
	}
	for after := int64(0); ; between() {
		entries, err := q.journal.Oldest(ctx, after, overlayPage)
		if err != nil {
			return onDisk(err)
		}
		if len(entries) == 0 {
			q.waits.laid()
			return nil
		}
		if err := q.layPage(ctx, entries, &over); err != nil {
			return onDisk(fmt.Errorf("lay what waits over the mirror: %w", err))
		}
		after = entries[len(entries)-1].Seq
	}
}

// layHidden lays the batches over the mirror that it could not take when they were journalled.
func (q *queue) layHidden(ctx context.Context) error {
	q.turns.gate.Lock()
	defer q.turns.gate.Unlock()
	return q.layJournal(ctx, func() {})
}

// layPage lays those of the next waiting batches over the mirror that it lacks. Of a batch that lies below what belongs
// under it, what lies there is taken off first.
func (q *queue) layPage(ctx context.Context, entries []store.Entry, over *cover) error {
	missing := make([]store.Entry, 0, len(entries))
	lay := func() error {
		if len(missing) == 0 {
			return nil
		}
		defer func() { missing = missing[:0] }()
		return q.mirror.file.Overlay(ctx, missing...)
	}
	for i := range entries {
		e := &entries[i]
		if !over.lacks(e) {
			continue
		}
		if lie := over.of[e.Batch.ID]; len(lie) > 0 {
			q.waits.hide(e.Batch.ID) // until all is laid
			if err := q.mirror.file.Settle(ctx, e.Batch.ID, lie, nil); err != nil {
				return err
			}
		}
		if !whole(e) { // what it leaves is worked out over those before it
			if err := errors.Join(lay(), q.ground.complete(ctx, e)); err != nil {
				return err
			}
		}
		for _, l := range e.Left {
			over.anew[l.Key] = true
		}
		missing = append(missing, *e)
	}
	return lay()
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
	if !q.mirror.complete() {
		return nil
	}
	q.turns.gate.Lock() // batches that are being journalled wait
	defer q.turns.gate.Unlock()
	overlaid, err := q.mirror.file.Overlaid(ctx)
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
			err == nil && out.State == knowledge.BatchApplied && out.Seq > knowledge.Seq(q.mirror.applied.Load()):
			continue
		}
		if err := q.mirror.file.Settle(ctx, id, keys, nil); err != nil {
			return fmt.Errorf("remove the overlay of batch %s: %w", id, err)
		}
		q.board.invalidate(keys)
	}
	return nil
}
