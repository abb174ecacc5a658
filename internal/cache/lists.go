package cache

import (
	"context"

	"tenet/internal/knowledge"
)

func (s *Store) list(ctx context.Context, q knowledge.Query, at slot) (*knowledge.Page, error) {
	it, found, err := s.answer(ctx, at, &question{
		deps: listDeps(&q),
		load: func(ctx context.Context, asOf uint64, deps []stripe) (*item, error) {
			page, err := s.next.List(ctx, q)
			if err != nil {
				return nil, err
			}
			return s.mem.takeIn(at, page.Records, &listing{next: page.Next, total: page.Total}, page.Source, asOf,
				deps), nil
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

// freshList reads from the store under the cache, and invalidates what a newer version makes outdated.
func (s *Store) freshList(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := s.next.List(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, r := range page.Records {
		s.mem.noticed(r, stripeOf(r.Key), 0)
	}
	return page, nil
}

// listDeps returns the stripes that a list's membership and order depend on.
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

func (s *Store) search(ctx context.Context, q knowledge.SearchQuery, at slot) (*knowledge.Hits, error) {
	it, found, err := s.answer(ctx, at, &question{
		deps: searchDeps(&q),
		load: func(ctx context.Context, asOf uint64, deps []stripe) (*item, error) {
			hits, err := s.next.Search(ctx, q)
			if err != nil {
				return nil, err
			}
			head := hits.Head()
			list := &listing{head: &head, parts: make([]part, len(hits.Hits))}
			records := make([]*knowledge.Record, len(hits.Hits))
			for i := range hits.Hits {
				records[i], list.parts[i] = hits.Hits[i].Record, partOf(&hits.Hits[i])
			}
			return s.mem.takeIn(at, records, list, hits.Source, asOf, deps), nil
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

// freshSearch reads from the store under the cache, and invalidates what a newer version makes outdated.
func (s *Store) freshSearch(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	hits, err := s.next.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range hits.Hits {
		s.mem.noticed(hits.Hits[i].Record, stripeOf(hits.Hits[i].Record.Key), 0)
	}
	return hits, nil
}

// searchDeps returns the stripes that a search depends on: all texts of its kinds.
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
