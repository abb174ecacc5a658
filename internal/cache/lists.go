package cache

import (
	"context"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

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

func (s *Store) list(ctx context.Context, q knowledge.Query, at slot) (*knowledge.Page, error) {
	it, found, err := s.answer(ctx, at, &question{
		deps: listDeps(&q),
		load: func(ctx context.Context, asOf uint64, deps []stripe) (*item, error) {
			page, err := s.next.List(ctx, q)
			if err != nil {
				return nil, err
			}
			return s.takeIn(at, page.Records, &listing{next: page.Next}, page.Source, asOf, deps), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if it == nil {
		return s.freshList(ctx, q)
	}
	page := *it.page
	page.Source = found
	return &page, nil
}

// freshList asks the source, and lets everybody know what it did not hold yet.
func (s *Store) freshList(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := s.next.List(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, r := range page.Records {
		s.noticed(r, stripeOf(r.Key), 0)
	}
	return page, nil
}

// listDeps returns what the membership and the order of a list depend on.
func listDeps(q *knowledge.Query) []stripe {
	switch {
	case q.Order == knowledge.OrderUpdated || !q.UpdatedSince.IsZero():
		return []stripe{scopeOf(scopeUpdated, q.Kind, "")}
	case q.Category != "":
		return []stripe{scopeOf(scopeCategory, q.Kind, q.Category), scopeOf(scopeMoved, q.Kind, "")}
	default:
		return []stripe{scopeOf(scopeAll, q.Kind, "")}
	}
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

func (s *Store) search(ctx context.Context, q knowledge.SearchQuery, at slot) (*knowledge.Hits, error) {
	it, found, err := s.answer(ctx, at, &question{
		deps: searchDeps(&q),
		load: func(ctx context.Context, asOf uint64, deps []stripe) (*item, error) {
			hits, err := s.next.Search(ctx, q)
			if err != nil {
				return nil, err
			}
			list := &listing{bounded: hits.Bounded, parts: make([]part, len(hits.Hits))}
			records := make([]*knowledge.Record, len(hits.Hits))
			for i, h := range hits.Hits {
				records[i], list.parts[i] = h.Record, part{Score: h.Score, Snippet: h.Snippet, Marks: h.Marks}
			}
			return s.takeIn(at, records, list, hits.Source, asOf, deps), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if it == nil {
		return s.freshSearch(ctx, q)
	}
	hits := *it.hits
	hits.Source = found
	return &hits, nil
}

// freshSearch asks the source, and lets everybody know what it did not hold yet.
func (s *Store) freshSearch(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	hits, err := s.next.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range hits.Hits {
		s.noticed(hits.Hits[i].Record, stripeOf(hits.Hits[i].Record.Key), 0)
	}
	return hits, nil
}

// searchDeps returns what a search depends on: every text of its kinds.
func searchDeps(q *knowledge.SearchQuery) []stripe {
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = knowledge.SearchKinds()
	}
	deps := make([]stripe, len(kinds))
	for i, k := range kinds {
		deps[i] = scopeOf(scopeText, k, "")
	}
	return deps
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
