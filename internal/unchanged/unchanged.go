// Package unchanged finds writes that would leave every document as it is: they make no version, no change of the log
// and no event, and the engine keeps only their ids.
package unchanged

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Store looks at what is there before it hands a batch on.
type Store struct {
	next store.Store
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
	records, found := s.nothing(ctx, &b)
	if b.Dry && records != nil {
		return knowledge.Receipt{Batch: b.ID, Records: records, Dry: true, Unchanged: true}, nil
	}
	b.Found = found
	r, err := s.next.Apply(ctx, b)
	if err != nil || !r.Unchanged {
		return r, err
	}
	return r, s.fill(ctx, &b, &r)
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

// nothing returns the documents of a batch that changes nothing, and the change of each; nil for any other batch. It
// looks at the nearest copy first, which shows of most batches that they change something; only where it does not is
// the primary asked, whose answer counts. A batch of the past or of invalid documents, which only restores write, is
// always done.
func (s *Store) nothing(ctx context.Context, b *knowledge.Batch) ([]*knowledge.Record, []knowledge.Seq) {
	if !b.At.IsZero() || b.Invalid || s.same(ctx, b) == nil || b.Validate() != nil {
		return nil, nil
	}
	now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
	records := s.same(now, b)
	if records == nil {
		return nil, nil
	}
	found := make([]knowledge.Seq, len(records))
	for i, rec := range records {
		made, err := s.next.Changes(now, knowledge.ChangeQuery{Key: rec.Key, Version: rec.Version, Limit: 1})
		if err != nil {
			return nil, nil
		}
		if len(made) > 0 { // it is not where the log was trimmed
			found[i] = made[0].Seq
		}
	}
	return records, found
}

// fill adds to a receipt the documents that the log no longer has, as they are now.
func (s *Store) fill(ctx context.Context, b *knowledge.Batch, r *knowledge.Receipt) error {
	now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
	for i, rec := range r.Records {
		if rec != nil {
			continue
		}
		rec, err := s.next.Get(now, b.Ops[i].Key)
		if err != nil {
			return err
		}
		asked := *rec
		asked.Source = knowledge.SourcePrimary // which has said that it holds
		r.Records[i] = &asked
	}
	return nil
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
