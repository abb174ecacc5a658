package store

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
)

// Follow calls fn with every change after seq, in order, whole transactions together, for as long as ctx lasts. It returns
// the first error of fn, of the feed, or of ctx; the caller decides whether to follow again, from what fn has seen. A
// doorbell that was missed costs at most floor, the longest time between two looks (a second when 0).
func Follow(ctx context.Context, feed Feed, after knowledge.Seq, floor time.Duration, fn func([]knowledge.Change) error) error {
	if floor == 0 {
		floor = time.Second
	}
	for {
		changes, err := feed.Changes(ctx, knowledge.ChangeQuery{After: after})
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			if err := fn(changes); err != nil {
				return err
			}
			after = changes[len(changes)-1].Seq
			continue
		}
		if err := wait(ctx, feed, after, floor); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, feed Feed, after knowledge.Seq, floor time.Duration) error {
	short, cancel := context.WithTimeout(ctx, floor)
	defer cancel()
	err := feed.Wait(short, after)
	if err != nil && short.Err() != nil {
		return ctx.Err() // the floor was reached, or the follower's own end
	}
	return err
}

// Tail returns the seq of the newest change, 0 while there is none. Of a copy that was made without its past, and has seen no
// change yet, it is the one at which it was made.
func Tail(ctx context.Context, feed Feed) (knowledge.Seq, error) {
	changes, err := feed.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(changes) > 0 {
		return changes[0].Seq, nil
	}
	_, err = feed.Changes(ctx, knowledge.ChangeQuery{Limit: 1})
	if gone, ok := errors.AsType[*GoneError](err); ok {
		return gone.Oldest - 1, nil
	}
	return 0, err
}

// All calls fn with every record of a list, page by page.
func All(ctx context.Context, r Reader, q knowledge.Query, fn func(*knowledge.Record) error) error {
	if q.Limit == 0 {
		q.Limit = knowledge.MaxLimit
	}
	for {
		page, err := r.List(ctx, q)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			if err := fn(rec); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}
