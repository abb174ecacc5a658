package labels

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// make makes a copy, and then releases it for its maker.
func (c *Copies) make(ctx context.Context, h *held, l *knowledge.Label) {
	defer c.leave(h)
	began := time.Now()
	made, n, err := c.fill(ctx, l)
	for err == nil {
		purged, done := c.publish(h, made)
		if done {
			c.o.Log.InfoContext(ctx, "documents of a label are ready for lists and searches", "label", l.LabelID,
				"seq", int64(l.Seq),
				"documents", n, "took", time.Since(began).Round(time.Millisecond).String())
			return
		}
		err = made.Foresee(ctx, purged)
	}
	c.fail(h, made, err)
}

// publish hands a copy to the calls that wait for it, unless something was purged while it was made: that must be
// removed first.
func (c *Copies) publish(h *held, made Copy) (purged []store.Left, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if purged = h.purged; len(purged) > 0 {
		h.purged = nil
		return purged, false
	}
	h.copy, h.err = made, c.outdated(h)
	close(h.ready)
	return nil, true
}

// fail returns an error to the calls that wait for a copy. The next call tries again, unless the error is permanent.
func (c *Copies) fail(h *held, made Copy, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.copy, h.err = made, err
	if old := c.outdated(h); old != nil {
		h.err = old
	} else if h.off {
		h.err = &store.UnavailableError{
			Reason:     "the documents at the label were being put together, and another caller had fewer: ask again",
			RetryAfter: notYet, NotDone: true,
		}
	}
	close(h.ready)
	if !errors.Is(h.err, store.ErrGone) { // a trimmed log does not come back
		c.drop(h)
	}
}

// outdated returns why a new copy can't be used, nil if it can. The caller holds c.mu.
func (c *Copies) outdated(h *held) error {
	switch {
	case c.closed:
		return store.ErrClosed
	case h.era != c.era:
		return errReplaced
	}
	return nil
}

// fill returns a new copy with the documents of a label, and their number.
func (c *Copies) fill(ctx context.Context, l *knowledge.Label) (Copy, int, error) {
	select {
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	s := &scan{source: c.o.Source, label: l, moved: map[knowledge.Key]bool{}, upto: l.Seq}
	made, err := c.o.Make(ctx, func(sink store.Sink) error { return s.run(ctx, sink) })
	return made, s.n, err
}

// A scan reads the documents of a label: unchanged ones from the current lists, and the others from the log.
type scan struct {
	source store.Past
	label  *knowledge.Label
	upto   knowledge.Seq // the log was read up to here
	// documents written after the label: true for those that may have been there before, which are read from the log
	moved map[knowledge.Key]bool
	kind  int    // kind of the last document passed on, by its index among the labelled kinds
	id    string // and its id
	n     int    // documents passed on
}

// run passes the documents to a sink.
func (s *scan) run(ctx context.Context, sink store.Sink) error {
	if err := sink.Begin(knowledge.Position{}); err != nil {
		return err
	}
	for text := range s.label.Holds {
		if key, err := knowledge.ParseKey(text); err == nil {
			s.moved[key] = true
		}
	}
	for i, kind := range knowledge.LabelledKinds() {
		s.kind, s.id = i, ""
		if err := s.list(ctx, kind, sink); err != nil {
			return err
		}
	}
	return s.older(ctx, sink)
}

// older passes on the documents that were changed since, as the log has them. The error names all that it does not
// have.
func (s *scan) older(ctx context.Context, sink store.Sink) error {
	var lost *store.GoneError
	keys := slices.SortedFunc(maps.Keys(s.moved),
		func(a, b knowledge.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if !s.moved[key] {
			continue // it was not there
		}
		rec, err := store.AtLabel(ctx, s.source, s.label, key)
		gone, trimmed := errors.AsType[*store.GoneError](err)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case trimmed && len(gone.Keys) > 0:
			if lost == nil {
				lost = &store.GoneError{Oldest: gone.Oldest, At: s.label.Seq}
			}
			if lost.Keys = append(lost.Keys, key); len(lost.Keys) == store.MaxGoneKeys {
				return lost
			}
		case err != nil:
			return err
		case lost == nil:
			if err := s.pass(sink, rec); err != nil {
				return err
			}
		}
	}
	if lost != nil {
		return lost
	}
	return nil
}

// list passes on the documents of a kind that have not changed since the label.
func (s *scan) list(ctx context.Context, kind knowledge.Kind, sink store.Sink) error {
	q := knowledge.Query{
		Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID,
		Limit: knowledge.MaxLimit,
	}
	for {
		page, err := s.source.List(ctx, q)
		if err != nil {
			return err
		}
		// The log contains every change that the page shows: a document without a change is as of the label.
		if err := s.follow(ctx); err != nil {
			return err
		}
		for _, rec := range page.Records {
			_, moved := s.moved[rec.Key]
			switch {
			case rec.Pending != knowledge.BatchID{}:
				s.moved[rec.Key] = true
			case !moved:
				if err := s.pass(sink, rec); err != nil {
					return err
				}
			}
			s.id = rec.Key.ID
		}
		if page.Next == "" {
			return nil
		}
		q.Cursor = page.Next
	}
}

func (s *scan) pass(sink store.Sink, rec *knowledge.Record) error {
	s.n++
	return sink.Record(rec)
}

// follow reads the log to its end. A document already passed on had not changed up to then.
func (s *scan) follow(ctx context.Context) error {
	for {
		changes, err := s.source.Changes(ctx, knowledge.ChangeQuery{After: s.upto})
		if gone, ok := errors.AsType[*store.GoneError](err); ok && !gone.Mirror {
			return &store.GoneError{Oldest: gone.Oldest, At: s.label.Seq}
		}
		if err != nil || len(changes) == 0 {
			return err
		}
		for i := range changes {
			key := changes[i].Key
			kind := slices.Index(knowledge.LabelledKinds(), key.Kind)
			if _, known := s.moved[key]; !known && (kind > s.kind || kind == s.kind && key.ID > s.id) {
				s.moved[key] = !store.Came(s.label, &changes[i])
			}
		}
		s.upto = changes[len(changes)-1].Seq
	}
}
