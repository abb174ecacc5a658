package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Scopes: sets of answers whose membership or order changes together.
const (
	scopeAll      = "all"      // lists of a kind without a category
	scopeCategory = "category" // lists of a kind and a category
	scopeMoved    = "moved"    // lists of any category of a kind: a document left one, and nobody knows which
	scopeUpdated  = "updated"  // lists of a kind whose order every change moves
	scopeText     = "text"     // searches over a kind
)

// depsOf returns what the membership and the order of a list depend on.
func (s *Store) depsOf(q *knowledge.Query) []stripe {
	switch {
	case q.Order == knowledge.OrderUpdated || !q.UpdatedSince.IsZero():
		return []stripe{s.stamps.ofScope(scopeUpdated, q.Kind, "")}
	case q.Category != "":
		return []stripe{s.stamps.ofScope(scopeCategory, q.Kind, q.Category), s.stamps.ofScope(scopeMoved, q.Kind, "")}
	default:
		return []stripe{s.stamps.ofScope(scopeAll, q.Kind, "")}
	}
}

// List implements [store.Store]. A list is kept as what is on it; a body that has changed is taken from the records, so that
// an edit that moves nothing costs one record and no list.
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.hot == nil || store.Fresh(ctx) {
		return s.next.List(ctx, q)
	}
	at := slot{'l', q.Kind, listKey(&q)}
	deps := s.depsOf(&q)
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, it.deps...) {
		if page, err := s.current(ctx, at, it); page != nil || err != nil {
			s.stats.lists.hot.Add(1)
			return page, err
		}
	}
	it, err := s.fly(ctx, at, deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.stats.lists.miss.Add(1)
		began := time.Now()
		page, err := s.next.List(ctx, q)
		s.stats.loaded(began)
		if err != nil {
			return nil, err
		}
		it := s.pageItem(page, asOf, deps)
		s.hot.Set(at, it)
		return it, nil
	})
	if err != nil {
		return nil, err
	}
	if it.loaded == knowledge.SourceHot {
		return it.page, nil
	}
	first := *it.page
	first.Source = it.loaded
	return &first, nil
}

// pageItem keeps a page, and its records as records of their own.
func (s *Store) pageItem(page *knowledge.Page, asOf uint64, deps []stripe) *item {
	kept := &knowledge.Page{Next: page.Next, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Records: make([]*knowledge.Record, len(page.Records))}
	size := 0
	for i, r := range page.Records {
		it := recordItem(r, asOf)
		kept.Records[i] = it.rec
		size += len(r.JSON)
		at := slot{'r', r.Key.Kind, r.Key.ID}
		if old, ok := s.hot.GetEntryQuietly(at); !ok || old.Value.asOf < asOf && (old.Value.rec == nil || old.Value.rec.Version < r.Version) {
			s.hot.Set(at, it)
		}
	}
	// The bodies are counted as the encoded page, which the first answer makes of them; the records count for themselves.
	return &item{asOf: asOf, pageAt: asOf, deps: deps, page: kept, loaded: page.Source, weight: uint32(size+16*len(page.Records)) + 2*overhead}
}

// current returns the page of an item whose membership holds, with every body as it is now; nil when a document is gone after
// all.
func (s *Store) current(ctx context.Context, at slot, it *item) (*knowledge.Page, error) {
	asOf := s.stamps.now()
	stale := false
	for _, r := range it.page.Records {
		if !s.stamps.valid(it.pageAt, s.stamps.ofKey(r.Key)) {
			stale = true
			break
		}
	}
	if !stale {
		return it.page, nil
	}
	page := &knowledge.Page{Next: it.page.Next, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Records: make([]*knowledge.Record, len(it.page.Records))}
	for i, r := range it.page.Records {
		page.Records[i] = r
		if s.stamps.valid(it.pageAt, s.stamps.ofKey(r.Key)) {
			continue
		}
		now, err := s.Get(ctx, r.Key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, nil //nolint:nilnil // the caller asks the source
		case err != nil:
			return nil, err
		}
		page.Records[i] = now.From(knowledge.SourceHot)
	}
	// What was read here is not older than asOf, and what was found valid still was at asOf: both were looked at later.
	fresh := &item{asOf: it.asOf, pageAt: asOf, deps: it.deps, page: page, loaded: knowledge.SourceHot, weight: it.weight}
	s.hot.Set(at, fresh)
	if !s.stamps.valid(it.asOf, it.deps...) {
		return nil, nil //nolint:nilnil // what is on the list has changed meanwhile: the caller asks the source
	}
	return page, nil
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.hot == nil || store.Fresh(ctx) {
		return s.next.Search(ctx, q)
	}
	kinds := q.Kinds
	if len(kinds) == 0 {
		kinds = knowledge.SearchKinds()
	}
	deps := make([]stripe, len(kinds))
	for i, k := range kinds {
		deps[i] = s.stamps.ofScope(scopeText, k, "")
	}
	at := slot{'s', "", searchKey(&q)}
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, it.deps...) {
		s.stats.searches.hot.Add(1)
		return it.hits, nil
	}
	it, err := s.fly(ctx, at, deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.stats.searches.miss.Add(1)
		began := time.Now()
		hits, err := s.next.Search(ctx, q)
		s.stats.loaded(began)
		if err != nil {
			return nil, err
		}
		it := hitsItem(hits, asOf, deps)
		s.hot.Set(at, it)
		return it, nil
	})
	if err != nil {
		return nil, err
	}
	first := *it.hits
	first.Source = it.loaded
	return &first, nil
}

func hitsItem(hits *knowledge.Hits, asOf uint64, deps []stripe) *item {
	kept := &knowledge.Hits{Bounded: hits.Bounded, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Hits: make([]knowledge.Hit, len(hits.Hits))}
	size := 0
	for i, h := range hits.Hits {
		h.Record = h.Record.From(knowledge.SourceHot)
		kept.Hits[i] = h
		size += 2*len(h.Record.JSON) + 2*len(h.Snippet) + 24*len(h.Marks) + overhead
	}
	return &item{asOf: asOf, deps: deps, hits: kept, loaded: hits.Source, weight: uint32(size) + 2*overhead}
}

// listKey and searchKey spell a question in one way. They separate by a byte that no valid parameter holds.
func listKey(q *knowledge.Query) string {
	since := ""
	if !q.UpdatedSince.IsZero() {
		since = q.UpdatedSince.Format(knowledge.TimeLayout)
	}
	return strings.Join([]string{
		q.Category, q.Tag, q.Language, q.Severity, q.Enforcement, q.Status, q.Rule, q.Repository, string(q.Activity), since,
		string(q.Order), fmt.Sprint(q.Limit), q.Cursor,
	}, "\x00")
}

func searchKey(q *knowledge.SearchQuery) string {
	kinds := make([]string, len(q.Kinds))
	for i, k := range q.Kinds {
		kinds[i] = string(k)
	}
	return strings.Join([]string{q.Text, strings.Join(kinds, ","), q.Category, q.Tag, q.Language, q.Severity, fmt.Sprint(q.Limit)}, "\x00")
}
