package cache

import (
	"context"
	"errors"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// List implements [store.Store]. A list is kept as what is on it; a body that has changed is taken from the records, so that
// an edit that moves nothing costs one record and no list.
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
	at := slot{askList, kind, listKey(&q)}
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, it.deps...) {
		page, err := s.current(ctx, at, it)
		if err != nil {
			return nil, err
		}
		if page != nil {
			s.stats.found(at).hot.Add(1)
			return page, nil
		}
	}
	it, err := s.loadList(ctx, q, at)
	if err != nil {
		return nil, err
	}
	// The load may have been under way when a body changed, and this caller may have come after that.
	page, err := s.current(ctx, at, it)
	if err != nil {
		return nil, err
	}
	if page == nil {
		return s.freshList(ctx, q)
	}
	first := *page
	first.Source = it.from
	return &first, nil
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

func (s *Store) loadList(ctx context.Context, q knowledge.Query, at slot) (*item, error) {
	deps := listDeps(&q)
	return s.fly(ctx, at, deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.stats.found(at).miss.Add(1)
		began := time.Now()
		page, err := s.next.List(ctx, q)
		s.stats.loaded(began, err)
		if err != nil {
			return nil, err
		}
		it := s.takeIn(page, asOf, deps)
		s.keep(at, it)
		return it, nil
	})
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

// takeIn makes an item of a page, and items of the records on it.
func (s *Store) takeIn(page *knowledge.Page, asOf uint64, deps []stripe) *item {
	kept := &knowledge.Page{
		Next: page.Next, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Records: make([]*knowledge.Record, len(page.Records)),
	}
	bodies, since := make([]stripe, len(page.Records)), make([]uint64, len(page.Records))
	for i, r := range page.Records {
		bodies[i] = stripeOf(r.Key)
		kept.Records[i], since[i] = s.takeInRecord(r, asOf, bodies[i])
	}
	it := pageItem(kept, asOf, deps, bodies, page.Source)
	it.passing = it.passing || page.Source == knowledge.SourceSeed
	now := s.stamps.now()
	for i := range bodies {
		if !s.stamps.holds(since[i], bodies[i]) {
			return it
		}
	}
	it.bodyAt = now
	return it
}

// takeInRecord keeps a record of a page, and returns what a reader of the page shall see and as of when that holds. It is never
// an older version than another reader was shown.
func (s *Store) takeInRecord(r *knowledge.Record, asOf uint64, dep stripe) (*knowledge.Record, uint64) {
	if r.Version < s.seen[dep].Load() {
		if newer := s.held(r.Key); newer != nil && newer.Version > r.Version {
			return newer.From(knowledge.SourceHot), 0
		}
	}
	asOf = s.noticed(r, dep, asOf)
	it := recordItem(r, asOf, dep)
	kind, ok := kindIndex(r.Key.Kind)
	if !ok || !s.stamps.holds(asOf, dep) {
		return it.rec, asOf
	}
	at := slot{askRecord, kind, r.Key.ID}
	if e, ok := s.hot.GetEntryQuietly(at); ok && s.stamps.holds(e.Value.asOf, dep) && e.Value.rec != nil && e.Value.rec.Version == r.Version {
		return e.Value.rec, e.Value.asOf // one copy of the bytes is enough
	}
	s.keep(at, it)
	return it.rec, asOf
}

// current returns the page of an item whose membership holds, with every body as it is now; nil when a document is gone after
// all.
func (s *Store) current(ctx context.Context, at slot, it *item) (*knowledge.Page, error) {
	asOf := s.stamps.now()
	if s.stamps.valid(it.bodyAt, it.bodies...) {
		return it.page, nil
	}
	page := &knowledge.Page{
		Next: it.page.Next, Source: knowledge.SourceHot, Memo: new(knowledge.Memo), Records: make([]*knowledge.Record, len(it.page.Records)),
	}
	for i, r := range it.page.Records {
		page.Records[i] = r
		if s.stamps.holds(it.bodyAt, it.bodies[i]) {
			continue
		}
		now, err := s.Get(ctx, r.Key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, nil //nolint:nilnil // the caller asks the source
		case err != nil:
			return nil, err
		}
		if now.Category != r.Category || now.Active != r.Active || now.Rank != r.Rank {
			return nil, nil //nolint:nilnil // it has moved, whatever the stamps say so far
		}
		page.Records[i] = now.From(knowledge.SourceHot)
	}
	if !s.stamps.valid(it.asOf, it.deps...) {
		return nil, nil //nolint:nilnil // what is on the list has changed meanwhile: the caller asks the source
	}
	// What was read here is not older than asOf, and what was found valid still was at asOf: both were looked at later.
	fresh := pageItem(page, it.asOf, it.deps, it.bodies, it.from)
	fresh.bodyAt = asOf
	s.keep(at, fresh)
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
	if s.hot == nil {
		return s.next.Search(ctx, q)
	}
	if store.Fresh(ctx) {
		return s.askSearch(ctx, q)
	}
	at := slot{askSearch, 0, searchKey(&q)}
	if it, ok := s.hot.GetIfPresent(at); ok && s.stamps.valid(it.asOf, it.deps...) {
		s.stats.found(at).hot.Add(1)
		return it.hits, nil
	}
	it, err := s.loadSearch(ctx, q, at)
	if err != nil {
		return nil, err
	}
	first := *it.hits
	first.Source = it.from
	return &first, nil
}

func (s *Store) loadSearch(ctx context.Context, q knowledge.SearchQuery, at slot) (*item, error) {
	deps := searchDeps(&q)
	return s.fly(ctx, at, deps, func(ctx context.Context, asOf uint64) (*item, error) {
		s.stats.found(at).miss.Add(1)
		began := time.Now()
		found, err := s.askSearch(ctx, q)
		s.stats.loaded(began, err)
		if err != nil {
			return nil, err
		}
		it := hitsItem(found, asOf, deps)
		s.keep(at, it)
		return it, nil
	})
}

// askSearch asks the source, and lets everybody know what it did not hold yet.
func (s *Store) askSearch(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	found, err := s.next.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	for i := range found.Hits {
		s.noticed(found.Hits[i].Record, stripeOf(found.Hits[i].Record.Key), 0)
	}
	return found, nil
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
