// Package unchanged answers writes that would leave every document as it is: they make no version, no change of the log
// and no event.
package unchanged

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Store looks at what is there before it hands a batch on.
type Store struct {
	next store.Store
	said said
}

var _ store.Store = (*Store)(nil)

// New returns a store over next.
func New(next store.Store) *Store { return &Store{next: next} }

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return s.next.Get(ctx, key)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.next.List(ctx, q)
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.next.Search(ctx, q)
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if r, was, err := s.again(ctx, &b); was {
		return r, err
	}
	if r, ok := s.nothing(ctx, &b); ok {
		return r, nil
	}
	return s.next.Apply(ctx, b)
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return s.next.Changes(ctx, q)
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error { return s.next.Wait(ctx, after) }

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error { return s.next.Ping(ctx) }

// Close implements [store.Store].
func (s *Store) Close() error { return s.next.Close() }

// nothing returns the receipt of a batch that changes nothing, and whether it is one. It looks at the nearest copy
// first, which shows of most batches that they change something; only where it does not is the primary asked, whose
// answer counts. A batch of the past or of invalid documents, which only restores write, is always done.
func (s *Store) nothing(ctx context.Context, b *knowledge.Batch) (knowledge.Receipt, bool) {
	if !b.At.IsZero() || b.Invalid {
		return knowledge.Receipt{}, false
	}
	if s.same(ctx, b) == nil || b.Validate() != nil {
		return knowledge.Receipt{}, false
	}
	now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
	records := s.same(now, b)
	if records == nil {
		return knowledge.Receipt{}, false
	}
	// A batch that was done before is answered with what it did.
	if own, err := s.next.Changes(now, knowledge.ChangeQuery{Batch: b.ID, Limit: 1}); err != nil || len(own) > 0 {
		return knowledge.Receipt{}, false
	}
	r := knowledge.Receipt{Batch: b.ID, Records: records, Dry: b.Dry, Unchanged: true}
	for i := range records {
		last, err := s.next.Changes(now, knowledge.ChangeQuery{Key: records[i].Key, Newest: true, Limit: 1})
		if err != nil {
			return knowledge.Receipt{}, false
		}
		if len(last) > 0 && !b.Dry {
			r.Seq = max(r.Seq, last[0].Seq)
		}
	}
	if !b.Dry && s.said.note(b, &r) != nil {
		return knowledge.Receipt{}, false
	}
	return r, true
}

// same returns the documents that a batch is about if it leaves each of them as it is, and nil otherwise.
func (s *Store) same(ctx context.Context, b *knowledge.Batch) []*knowledge.Record {
	records := make([]*knowledge.Record, len(b.Ops))
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Verb.Removes() || op.IfVersion == knowledge.NoVersion || op.IfBatch != (knowledge.BatchID{}) {
			return nil
		}
		rec, err := s.next.Get(ctx, op.Key)
		if err != nil || rec.Pending != (knowledge.BatchID{}) || op.IfVersion > 0 && op.IfVersion != rec.Version {
			return nil
		}
		before, err := rec.Document()
		if err != nil {
			return nil
		}
		if after, err := op.Next(before); err != nil || !knowledge.SameContent(before, after) {
			return nil
		}
		records[i] = rec
	}
	return records
}
