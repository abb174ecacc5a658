package cache

import (
	"context"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The path of an answer that is in memory and ready, from the question to the record, page or hits: a key, a look into the hot
// tier, a look at the stamps. Its other half is read.go of package httpapi. Whatever is not ready leaves this file: loadRecord
// brings in one document, answer puts together a list or a search.

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind, known := kindIndex(key.Kind)
	if s.hot == nil || !known {
		return s.next.Get(ctx, key)
	}
	if store.Fresh(ctx) {
		return s.freshGet(ctx, key)
	}
	at := slot{ask: askRecord, kind: kind, id: key.ID}
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.holds(it.asOf, it.dep) {
		s.stats.found(at).hot.Add(1)
		return it.rec, it.absent
	}
	it, err := s.loadRecord(ctx, key, at)
	if err != nil {
		return nil, err
	}
	if it.rec != nil {
		return it.rec.From(it.from), nil // the first who ask hear where it came from
	}
	return nil, &store.NotFoundError{Key: key, Source: it.from}
}

// List implements [store.Store]. A list is kept as what is on it, with the bodies in the records' own items, so that an edit
// that moves nothing costs one record and no list. What is asked for often is kept ready to send beside it.
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind, known := kindIndex(q.Kind)
	if s.hot == nil || !known {
		return s.next.List(ctx, q)
	}
	if store.Fresh(ctx) {
		return s.freshList(ctx, q)
	}
	at := slot{ask: askList, kind: kind, id: listKey(&q)}
	if it := s.ready(at); it != nil {
		return it.page, nil
	}
	return s.list(ctx, q, at)
}

// Search implements [store.Store]. Hits are kept like a list.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.hot == nil {
		return s.next.Search(ctx, q)
	}
	if store.Fresh(ctx) {
		return s.freshSearch(ctx, q)
	}
	at := slot{ask: askSearch, id: searchKey(&q)}
	if it := s.ready(at); it != nil {
		return it.hits, nil
	}
	return s.search(ctx, q, at)
}

// ready returns the answer for a slot that is ready to send and holds, nil for none.
func (s *Store) ready(at slot) *item {
	at.ready = true
	it, ok := s.hot.GetIfPresent(at)
	if !ok {
		return nil
	}
	// While the clock stands nothing was changed, and what was valid is: most answers are spared a look at fifty stamps.
	if now := s.stamps.now(); it.checked.Load() != now {
		if !s.stamps.valid(it.asOf, it.deps...) || !s.stamps.valid(it.bodyAt, it.list.bodies...) {
			return nil
		}
		it.checked.Store(now)
	}
	s.stats.found(at).hot.Add(1)
	return it
}

// keyBytes is room for the key of a usual question.
const keyBytes = 256

// listKey and searchKey spell a question in one way. They separate by a byte that no valid parameter holds.
func listKey(q *knowledge.Query) string {
	b, order := make([]byte, 0, keyBytes), q.Order
	if order == "" && q.UpdatedSince.IsZero() {
		order = knowledge.OrderHouse
	}
	for _, part := range [...]string{
		q.Category, q.Tag, q.Language, q.Severity, q.Enforcement, q.Status, q.Rule, q.Repository, string(q.Activity), string(order), q.Cursor,
	} {
		b = append(append(b, part...), 0)
	}
	limit := q.Limit
	if limit == 0 {
		limit = knowledge.DefaultLimit
	}
	b = strconv.AppendInt(b, int64(limit), 10)
	if !q.UpdatedSince.IsZero() {
		b = q.UpdatedSince.UTC().AppendFormat(append(b, 0), time.RFC3339Nano)
	}
	return string(b)
}

func searchKey(q *knowledge.SearchQuery) string {
	b := make([]byte, 0, keyBytes)
	for _, part := range [...]string{q.Text, q.Category, q.Tag, q.Language, q.Severity} {
		b = append(append(b, part...), 0)
	}
	limit := q.Limit
	if limit == 0 {
		limit = knowledge.DefaultHits
	}
	b = strconv.AppendInt(b, int64(limit), 10)
	for _, k := range q.Kinds {
		b = append(append(b, 0), k...)
	}
	return string(b)
}
