package failover

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// changes answers from the mirror's part of the log. If that part may be incomplete, changes returns it only to a
// caller that takes a part and tells it where the part begins; otherwise it returns a [store.GoneError] of a mirror,
// which means unavailable.
func (c *mirror) changes(
	ctx context.Context, q *knowledge.ChangeQuery, part *store.Partial,
) ([]knowledge.Change, error) {
	if !c.complete() {
		return nil, cold()
	}
	changes, err := c.file.Changes(ctx, *q)
	trimmed, begins := errors.AsType[*store.GoneError](err)
	switch {
	case begins:
		return nil, &store.GoneError{Oldest: trimmed.Oldest, Mirror: true} // the primary keeps more
	case err != nil:
		return nil, err
	case wholeOf(q, changes):
		return changes, nil
	}
	oldest, err := c.logStart(ctx)
	if err != nil {
		return nil, err
	}
	if oldest <= 1 || !q.Filtered() || q.Batch == (knowledge.BatchID{}) && !q.Newest && q.After >= oldest-1 ||
		q.Newest && q.Full(changes) && changes[len(changes)-1].Seq >= oldest {
		return changes, nil
	}
	if part != nil && len(changes) > 0 {
		part.Oldest = oldest
		if q.Key != (knowledge.Key{}) { // the mirror keeps more of one document's history than of the log
			part.Oldest = min(changes[0].Seq, changes[len(changes)-1].Seq)
		}
		return changes, nil
	}
	return nil, &store.GoneError{Oldest: oldest, Mirror: true}
}

// logStart returns the oldest seq in the mirror's part of the log.
func (c *mirror) logStart(ctx context.Context) (knowledge.Seq, error) {
	_, err := c.file.Changes(ctx, knowledge.ChangeQuery{Limit: 1})
	if trimmed, ok := errors.AsType[*store.GoneError](err); ok {
		return trimmed.Oldest, nil
	}
	return 0, err
}

// wholeOf reports whether the changes that a mirror has of a batch or a document are all of them, although it keeps
// only a part of the log.
func wholeOf(q *knowledge.ChangeQuery, changes []knowledge.Change) bool {
	switch {
	case q.Key != (knowledge.Key{}) && q.Version > 0:
		return len(changes) > 0
	case q.Batch != (knowledge.BatchID{}):
		return len(changes) > 0 && !q.Newest
	case q.Key != (knowledge.Key{}):
		return len(changes) > 0 &&
			(changes[0].Version == 1 || changes[len(changes)-1].Version == 1 || q.Newest && q.Full(changes))
	}
	return false
}

// wait returns when the mirror has followed the primary beyond a seq.
func (c *mirror) wait(ctx context.Context, after knowledge.Seq) error {
	if err := c.life.checkOpen(); err != nil {
		return err
	}
	rung := c.board.next(mirrorFollowed)
	if c.followedTo() > after {
		return nil
	}
	select {
	case <-rung:
		return c.life.checkOpen()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mirrored is the mirror's part of the log as a feed.
type mirrored struct{ c *mirror }

// Changes implements [store.Feed].
func (m mirrored) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := m.c.life.checkOpen(); err != nil {
		return nil, err
	}
	if !m.c.complete() {
		return nil, &store.UnavailableError{
			Reason:     "this instance has no mirror of the primary yet",
			RetryAfter: 5 * time.Second,
		}
	}
	return m.c.file.Changes(ctx, q)
}

// Wait implements [store.Feed].
func (m mirrored) Wait(ctx context.Context, after knowledge.Seq) error { return m.c.wait(ctx, after) }
