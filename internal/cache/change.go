package cache

import (
	"context"
	"errors"
	"slices"

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

// fewOps bounds the batches whose documents are compared with what they replace, which costs two decodings each. A larger one
// is taken to move everything.
const fewOps = 32

// Apply implements [store.Store]: what a batch touches is invalid before its writer hears that it is done. Where the
// outcome is unknown it is invalid too.
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if s.closed.Load() {
		return knowledge.Receipt{}, store.ErrClosed
	}
	receipt, err := s.next.Apply(ctx, b)
	if s.hot == nil {
		return receipt, err
	}
	_, invalid := errors.AsType[*knowledge.InvalidError](err)
	switch {
	case err == nil:
		list := s.touchedBy(&b, &receipt)
		s.stamps.change(list...)
		if !receipt.Queued {
			s.own.add(b.ID, list)
			for _, r := range receipt.Records {
				s.told(r)
			}
		}
	case invalid:
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrReused):
		// Nothing was done. But the writer was mistaken, perhaps by what stands here: let them read afresh.
		list := make([]stripe, len(b.Ops))
		for i := range b.Ops {
			list[i] = stripeOf(b.Ops[i].Key)
		}
		s.stamps.change(list...)
	default:
		s.stamps.change(s.touchedBy(&b, &knowledge.Receipt{})...)
	}
	return receipt, err
}

// told notes that everybody who asks was told of a version.
func (s *Store) told(r *knowledge.Record) {
	if r != nil {
		s.seen.raise(stripeOf(r.Key), r.Version)
	}
}

// touchedBy returns what a batch touches that left the records of a receipt behind.
func (s *Store) touchedBy(b *knowledge.Batch, receipt *knowledge.Receipt) []stripe {
	list := make([]stripe, 0, 4*len(b.Ops))
	for i := range b.Ops {
		if i < len(receipt.Records) {
			list = s.touched(list, b.Ops[i].Key, receipt.Records[i], len(b.Ops) <= fewOps)
		} else {
			list = s.touched(list, b.Ops[i].Key, nil, false)
		}
	}
	return list
}

// Invalidate makes everything about some documents be asked again.
func (s *Store) Invalidate(keys ...knowledge.Key) {
	var list []stripe
	for _, key := range keys {
		list = s.touched(list, key, nil, false)
	}
	s.stamps.change(list...)
}

// InvalidateAll makes everything be asked again. It is for what the log does not tell: batches that were replayed from a
// journal and parked, since their documents are again what they were.
func (s *Store) InvalidateAll() { s.stamps.changeAll() }

// touched appends what a change of a document touches: the document, the lists ordered by change, the searches, and, where
// it may have moved on or off a list or within one, the lists of its kind. After is nil when nothing was left or nobody knows
// what. Only with compare is it tried to find out how far the document has moved.
func (s *Store) touched(list []stripe, key knowledge.Key, after *knowledge.Record, compare bool) []stripe {
	kind := key.Kind
	list = append(list, stripeOf(key), scopeOf(scopeUpdated, kind, ""), scopeOf(scopeText, kind, ""))
	if after != nil && after.Version == 1 { // it stood on no list before
		return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeCategory, kind, after.Category))
	}
	var before *knowledge.Record
	if compare && after != nil {
		before = s.held(key)
	}
	if before == nil || before.Version+1 != after.Version {
		return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeMoved, kind, ""))
	}
	if sameShape(before, after) {
		return list
	}
	return append(list, scopeOf(scopeAll, kind, ""), scopeOf(scopeCategory, kind, before.Category), scopeOf(scopeCategory, kind, after.Category))
}

// sameShape reports whether two states of a document, one right after the other, stand in the same places of the same lists,
// but for those ordered by change.
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
	if x.Text().Title != y.Text().Title {
		return false
	}
	switch x := x.(type) {
	case *knowledge.Rule:
		y, ok := y.(*knowledge.Rule)
		return ok && x.Severity == y.Severity && x.Enforcement == y.Enforcement && x.Status == y.Status && sameCommon(&x.Common, &y.Common)
	case *knowledge.Practice:
		y, ok := y.(*knowledge.Practice)
		return ok && sameCommon(&x.Common, &y.Common)
	case *knowledge.Template:
		y, ok := y.(*knowledge.Template)
		return ok && sameCommon(&x.Common, &y.Common)
	case *knowledge.Violation:
		y, ok := y.(*knowledge.Violation)
		return ok && x.Severity == y.Severity && x.Status == y.Status && x.RuleID == y.RuleID && x.Repository == y.Repository
	case *knowledge.Category, *knowledge.Principal:
		return true
	}
	return false
}

// sameCommon compares what lists are filtered by.
func sameCommon(a, b *knowledge.Common) bool {
	return slices.Equal(a.Tags, b.Tags) && slices.Equal(a.Scope.Languages, b.Scope.Languages)
}
