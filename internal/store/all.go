package store

import (
	"context"
	"math"

	"tenet/internal/knowledge"
)

// Tail returns the seq of the newest change; see [End].
func Tail(ctx context.Context, feed Feed) (knowledge.Seq, error) {
	m, err := End(ctx, feed)
	return m.Seq, err
}

// End returns the mark of the newest change, or of the log's start if it is empty. A mirror built from a snapshot that
// has seen no change since returns the change of the snapshot, without its chain value.
func End(ctx context.Context, feed Feed) (knowledge.Mark, error) {
	at, err := Newest(ctx, feed)
	if err != nil || !at.Known {
		return knowledge.Mark{Seq: at.Seq}, err
	}
	return knowledge.MarkAt(at.Seq, at.Chain), nil
}

// Find looks up a mark in a log, and returns it with its chain value if the log still has that. A mark of another
// history is a [GoneError]. For a mark beyond the end Find returns the end: only the caller knows what that means.
func Find(ctx context.Context, feed Feed, m knowledge.Mark) (knowledge.Mark, error) {
	switch m.Seq {
	case 0:
		return m, nil
	case math.MaxInt64: // no log is that long, and the query below would overflow
		return End(ctx, feed)
	}
	changes, err := feed.Changes(ctx, knowledge.ChangeQuery{Newest: true, After: m.Seq + 1, Limit: 1})
	switch {
	case err != nil:
		return m, err
	case len(changes) == 0: // the log is empty, or its oldest change is newer
		end, err := End(ctx, feed)
		if err != nil || end.Seq < m.Seq {
			return end, err
		}
		return m, nil
	case changes[0].Seq == m.Seq && !m.Fits(changes[0].Chain):
		return m, &GoneError{Other: true}
	}
	return knowledge.MarkAt(changes[0].Seq, changes[0].Chain), nil
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
