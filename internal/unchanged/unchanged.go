// Package unchanged finds writes that would leave documents as they are: of those they make no version, no change of
// the log and no event. Of a batch that would leave all of its documents so the engine keeps only the id.
package unchanged

import (
	"context"
	"slices"

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
	records := s.look(ctx, &b)
	all := records != nil && !slices.Contains(records, nil)
	if b.Dry && all {
		return knowledge.Receipt{Batch: b.ID, Records: records, Dry: true, Unchanged: true}, nil
	}
	if b.Same = records; all {
		b.Found, b.Same = s.found(ctx, records), nil
	}
	r, err := s.next.Apply(ctx, b)
	if err != nil {
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

// look returns the documents that a batch leaves as they are, nil for each other one; nil if it changes all. It looks
// at the nearest copy first, which shows of most writes that they change something; only where it does not is the
// primary asked, whose answer counts. A batch of the past or of invalid documents, which only restores write, is always
// done.
func (s *Store) look(ctx context.Context, b *knowledge.Batch) []*knowledge.Record {
	if !b.At.IsZero() || b.Invalid || b.Validate() != nil {
		return nil
	}
	var records []*knowledge.Record
	for i := range b.Ops {
		if s.same(ctx, &b.Ops[i]) == nil {
			continue
		}
		now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
		if rec := s.same(now, &b.Ops[i]); rec != nil {
			if records == nil {
				records = make([]*knowledge.Record, len(b.Ops))
			}
			records[i] = rec
		}
	}
	return records
}

// found returns for documents the seq of the change that left each of them; nil if that is not known.
func (s *Store) found(ctx context.Context, records []*knowledge.Record) []knowledge.Seq {
	now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
	found := make([]knowledge.Seq, len(records))
	for i, rec := range records {
		made, err := s.next.Changes(now, knowledge.ChangeQuery{Key: rec.Key, Version: rec.Version, Limit: 1})
		if err != nil {
			return nil
		}
		if len(made) > 0 { // it is not where the log was trimmed
			found[i] = made[0].Seq
		}
	}
	return found
}

// fill adds to a receipt the documents that were left as they were and that the log no longer has, as they are now.
func (s *Store) fill(ctx context.Context, b *knowledge.Batch, r *knowledge.Receipt) error {
	now := store.WithWish(ctx, store.Wish{Fresh: true, Required: true})
	for i, rec := range r.Records {
		if rec != nil || !r.Left(i) {
			continue
		}
		rec, err := s.next.Get(now, b.Ops[i].Key)
		if err != nil {
			return err
		}
		r.Records[i] = rec.From(knowledge.SourcePrimary) // which has said that it holds
	}
	return nil
}

// same returns the document that an op is about if it leaves it as it is, and nil otherwise.
func (s *Store) same(ctx context.Context, op *knowledge.Op) *knowledge.Record {
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
	return rec
}
