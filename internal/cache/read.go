package cache

import (
	"context"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// This file is the path of an answer that is ready in memory: build the key, look into the hot tier, check the stamps.
// The other half of the path is read.go of package httpapi. Other answers leave this file: loadRecord loads one
// document, answer assembles a list or a search.

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if s.mem.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind, known := kindIndex(key.Kind)
	if s.mem.hot == nil || !known {
		return s.next.Get(ctx, key)
	}
	if s.past(ctx) {
		return s.freshGet(ctx, key)
	}
	at := slot{ask: askRecord, kind: kind, id: key.ID}
	if it, ok := s.mem.hot.GetIfPresent(at); ok && s.mem.stamps.holds(it.asOf, it.dep) {
		s.mem.stats.found(at).hot.Add(1)
		return it.rec, it.absent
	}
	it, err := s.loadRecord(ctx, key, at)
	if err != nil {
		return nil, err
	}
	if it.rec != nil {
		return it.rec.From(it.from), nil // the callers of the load itself hear the original source
	}
	return nil, &store.NotFoundError{Key: key, Source: it.from}
}

// List implements [store.Store]. A list is kept as its keys in order, with the bodies in the records' own items, so an
// edit that moves nothing reloads one record and no list. Lists that are asked for often are also kept ready to send.
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if s.mem.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kind, known := kindIndex(q.Kind)
	if s.mem.hot == nil || !known {
		return s.next.List(ctx, q)
	}
	if s.past(ctx) {
		return s.freshList(ctx, q)
	}
	at := slot{ask: askList, kind: kind, id: listKey(&q)}
	if it := s.mem.ready(at); it != nil {
		return it.page, nil
	}
	return s.list(ctx, q, at)
}

// Search implements [store.Store]. Hits are kept like a list.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.mem.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.mem.hot == nil {
		return s.next.Search(ctx, q)
	}
	if s.past(ctx) {
		return s.freshSearch(ctx, q)
	}
	at := slot{ask: askSearch, id: searchKey(&q)}
	if it := s.mem.ready(at); it != nil {
		return it.hits, nil
	}
	return s.search(ctx, q, at)
}

// past reports whether a read bypasses the cache: it asks for a current answer, or for a change that the cache has not
// followed yet.
func (s *Store) past(ctx context.Context) bool {
	w := store.WishOf(ctx)
	return w.Fresh || w.Required || w.MinSeq > 0 && w.MinSeq > knowledge.Seq(s.feed.place.seq.Load())
}

// ready returns the valid, ready-to-send answer for a slot, nil for none.
func (m *memory) ready(at slot) *item {
	at.ready = true
	it, ok := m.hot.GetIfPresent(at)
	if !ok {
		return nil
	}
	// While the clock stands still nothing has changed: most answers are spared the check of some fifty stamps.
	if now := m.stamps.now(); it.checked.Load() != now {
		if !m.stamps.valid(it.asOf, it.deps...) || !m.stamps.valid(it.bodyAt, it.list.bodies...) {
			return nil
		}
		it.checked.Store(now)
	}
	m.stats.found(at).hot.Add(1)
	return it
}

// keyBytes is room for a typical key.
const keyBytes = 256

// listKey and searchKey encode a query so that equal queries have equal keys. The separator is a byte that no valid
// parameter holds.
func listKey(q *knowledge.Query) string {
	b, order := make([]byte, 0, keyBytes), q.Order
	if order == "" && q.UpdatedSince.IsZero() {
		order = knowledge.OrderHouse
	}
	for _, part := range [...]string{
		q.Category, q.Tag, q.Language, q.Severity, q.Enforcement, q.Status, q.Rule, q.Repository, string(q.Activity),
		string(order), q.Cursor, q.Without,
	} {
		b = append(append(b, part...), 0)
	}
	limit := q.Limit
	if limit == 0 {
		limit = knowledge.DefaultLimit
	}
	b = strconv.AppendInt(b, int64(limit), 10)
	if q.Total {
		b = append(b, 't')
	}
	if !q.UpdatedSince.IsZero() {
		b = q.UpdatedSince.UTC().AppendFormat(append(b, 0), time.RFC3339Nano)
	}
	return string(b)
}

func searchKey(q *knowledge.SearchQuery) string {
	b := make([]byte, 0, keyBytes)
	for _, part := range [...]string{q.Text, q.Category, q.Tag, q.Language, q.Severity, q.Cursor, q.Without} {
		b = append(append(b, part...), 0)
	}
	b = strconv.AppendBool(strconv.AppendBool(b, q.Facets), q.Literal)
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
