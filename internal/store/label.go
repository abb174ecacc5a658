package store

import (
	"context"
	"errors"
	"fmt"

	"tenet/internal/knowledge"
)

// A Past reads documents as they are and as they were.
type Past interface {
	Reader
	Feed
}

// A LabelReader lists and searches documents as they stand at a label. A kind that is not read at labels is a
// [*knowledge.InvalidError]; a document whose state at the label was trimmed from the log is [ErrGone].
type LabelReader interface {
	ListAt(ctx context.Context, l *knowledge.Label, q knowledge.Query) (*knowledge.Page, error)
	SearchAt(ctx context.Context, l *knowledge.Label, q knowledge.SearchQuery) (*knowledge.Hits, error)
}

// LabelOf returns a label. A missing or retired one is [ErrNotFound]; there is no fallback to another position.
func LabelOf(ctx context.Context, s Reader, id string) (*knowledge.Label, error) {
	key := knowledge.Key{Kind: knowledge.KindLabel, ID: id}
	if !key.Sound() {
		return nil, &NotFoundError{Key: key}
	}
	rec, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if !rec.Active {
		return nil, &NotFoundError{Key: key}
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	l, ok := d.(*knowledge.Label)
	if !ok {
		return nil, fmt.Errorf("%s is a %T", key, d)
	}
	return l, nil
}

// AtLabel returns a document at a label: at the version that the label holds, or else at the newest change up to the
// label's position. It reads the versions of this one document. A document that did not exist yet, or was purged, is
// [ErrNotFound]; if the log is trimmed beyond that position, it is [ErrGone].
func AtLabel(ctx context.Context, s Past, l *knowledge.Label, key knowledge.Key) (*knowledge.Record, error) {
	if n := l.Holding(key); n > 0 {
		list, err := s.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: n, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			return recordOf(&list[0])
		}
		rec, err := s.Get(ctx, key)
		switch {
		case err != nil:
			return nil, err
		case rec.Version == n && rec.Pending == (knowledge.BatchID{}):
			return rec, nil
		}
		return nil, &GoneError{Oldest: l.Seq + 1, At: l.Seq, Keys: []knowledge.Key{key}}
	}
	return AsOf(ctx, s, l.Seq, key)
}

// Came reports whether a document was not there at a label, by its first change after it: most that were written later
// were made later, and need no question.
func Came(l *knowledge.Label, c *knowledge.Change) bool {
	return c.Version == 1 && l.Holding(c.Key) == 0
}

// AsOf returns a document as of a seq; see [AtLabel].
func AsOf(ctx context.Context, s Past, seq knowledge.Seq, key knowledge.Key) (*knowledge.Record, error) {
	list, err := s.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, After: seq + 1, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return recordOf(&list[0])
	}
	first, err := s.Changes(ctx, knowledge.ChangeQuery{Key: key, Limit: 1})
	switch {
	case err != nil:
		return nil, err
	case len(first) > 0 && first[0].Version == 1:
		return nil, &NotFoundError{Key: key}
	case len(first) > 0: // the version at the seq was trimmed
		return nil, &GoneError{Oldest: first[0].Seq, At: seq, Keys: []knowledge.Key{key}}
	}
	rec, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	// It was last changed before the log begins: it has been the same since then, and its earlier state is unknown.
	if _, err := s.Changes(ctx, knowledge.ChangeQuery{After: seq, Limit: 1}); err != nil {
		return nil, err
	}
	if rec.Pending != (knowledge.BatchID{}) { // a waiting write hides the document below it
		return nil, &UnavailableError{Reason: key.String() +
			" waits for the primary, and this instance has no log of its earlier state", NotDone: true}
	}
	return rec, nil
}

func recordOf(c *knowledge.Change) (*knowledge.Record, error) {
	if c.Record == nil { // purged then or later
		return nil, &NotFoundError{Key: c.Key}
	}
	return c.Record, nil
}

// PackOf returns an active pack, nil for none, as [knowledge.Compose] needs it.
func PackOf(
	ctx context.Context, get func(context.Context, knowledge.Key) (*knowledge.Record, error), id string,
) (*knowledge.Pack, error) {
	key := knowledge.Key{Kind: knowledge.KindPack, ID: id}
	if !key.Sound() {
		return nil, nil // there is none
	}
	rec, err := get(ctx, key)
	if errors.Is(err, ErrNotFound) || err == nil && !rec.Active {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	p, _ := d.(*knowledge.Pack)
	return p, nil
}
