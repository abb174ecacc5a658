package cache

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Scopes: sets of cached answers that the same changes invalidate.
const (
	scopeAll      = "all"      // lists of a kind, for any category
	scopeCategory = "category" // lists of a kind and a category
	scopeMoved    = "moved"    // lists of a kind, for every category: a document left one that is not known
	scopeUpdated  = "updated"  // lists of a kind that are ordered by time of change
	scopeText     = "text"     // searches over a kind
)

// fewOps bounds the batches whose documents are compared with their previous versions, which decodes two documents
// each. A larger batch invalidates all lists of its kinds.
const fewOps = 32

// Apply implements [store.Store]: it invalidates what a batch touches before its writer gets the receipt, also if the
// outcome is unknown.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if s.mem.closed.Load() {
		return knowledge.Receipt{}, store.ErrClosed
	}
	receipt, err := s.next.Apply(ctx, b)
	if s.mem.hot == nil || b.Dry {
		return receipt, err
	}
	_, invalid := errors.AsType[*knowledge.InvalidError](err)
	switch {
	case err == nil:
		list := s.mem.touchedBy(&b, &receipt)
		s.mem.stamps.change(list...)
		if !receipt.Queued {
			s.feed.own.add(b.ID, list)
			for _, r := range receipt.Records {
				s.mem.told(r)
			}
		}
	case invalid:
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrReused):
		// Nothing was written. But the writer may have acted on an outdated answer: let the next read load again.
		list := make([]stripe, len(b.Ops))
		for i := range b.Ops {
			list[i] = stripeOf(b.Ops[i].Key)
		}
		s.mem.stamps.change(list...)
	default:
		s.mem.stamps.change(s.mem.touchedBy(&b, &knowledge.Receipt{})...)
	}
	return receipt, err
}

// told notes that readers know of a version.
func (m *memory) told(r *knowledge.Record) {
	if r != nil {
		m.seen.raise(stripeOf(r.Key), r.Version)
	}
}

// touchedBy returns the stripes that a batch touches, given the records of its receipt.
func (m *memory) touchedBy(b *knowledge.Batch, receipt *knowledge.Receipt) []stripe {
	list := make([]stripe, 0, 4*len(b.Ops))
	for i := range b.Ops {
		if i < len(receipt.Records) {
			list = m.touched(list, b.Ops[i].Key, receipt.Records[i], len(b.Ops) <= fewOps)
		} else {
			list = m.touched(list, b.Ops[i].Key, nil, false)
		}
	}
	return list
}

// Invalidate makes later reads load everything about some documents again.
func (s *Store) Invalidate(keys ...knowledge.Key) {
	var list []stripe
	for _, key := range keys {
		list = s.mem.touched(list, key, nil, false)
	}
	s.mem.stamps.change(list...)
}

// InvalidateAll makes later reads load everything again. It is for what the log does not tell: a queued batch that was
// parked, whose documents read as before again.
func (s *Store) InvalidateAll() { s.mem.stamps.changeAll() }

// touched appends the stripes that a change of a document touches: the document, the lists ordered by change, the
// searches, and the lists of its kind if it may have moved on, off or within one. after is nil if nothing was left or
// its state is unknown. If compare is set, the previous version is compared to find the lists that really move.
func (m *memory) touched(list []stripe, key knowledge.Key, after *knowledge.Record, compare bool) []stripe {
	kind := key.Kind
	list = append(list, stripeOf(key), scopeOf(scopeUpdated, kind, ""), scopeOf(scopeText, kind, ""))
	if after != nil && after.Version == 1 { // it was on no list before
		return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeCategory, kind, after.Category))
	}
	var before *knowledge.Record
	if compare && after != nil {
		before = m.held(key)
	}
	if before == nil || before.Version+1 != after.Version {
		return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeMoved, kind, ""))
	}
	if sameShape(before, after) {
		return list
	}
	return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeCategory, kind, before.Category),
		scopeOf(scopeCategory, kind, after.Category))
}

// sameShape reports whether two successive versions of a document have the same places on the same lists, apart from
// lists ordered by change.
func sameShape(a, b *knowledge.Record) bool {
	if a.Category != b.Category || a.Active != b.Active || a.Rank != b.Rank {
		return false
	}
	x, err := a.Document()
	if err != nil {
		return false
	}
	y, err := b.Document()
	if err != nil {
		return false
	}
	return x.Text().Title == y.Text().Title && knowledge.SameFilters(x, y)
}
