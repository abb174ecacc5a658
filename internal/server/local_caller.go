package server

import (
	"context"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// asCaller is a store that one caller calls: a command that opens the database itself.
type asCaller struct {
	next   store.Store
	caller *access.Caller
}

var _ store.Store = (*asCaller)(nil)

func (s *asCaller) as(ctx context.Context) context.Context { return access.WithCaller(ctx, s.caller) }

// Get implements [store.Store].
func (s *asCaller) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return s.next.Get(s.as(ctx), key)
}

// List implements [store.Store].
func (s *asCaller) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.next.List(s.as(ctx), q)
}

// Search implements [store.Store].
func (s *asCaller) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.next.Search(s.as(ctx), q)
}

// Apply implements [store.Store].
func (s *asCaller) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	return s.next.Apply(s.as(ctx), b)
}

// Changes implements [store.Store].
func (s *asCaller) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return s.next.Changes(s.as(ctx), q)
}

// Wait implements [store.Store].
func (s *asCaller) Wait(ctx context.Context, after knowledge.Seq) error {
	return s.next.Wait(s.as(ctx), after)
}

// Ping implements [store.Store].
func (s *asCaller) Ping(ctx context.Context) error { return s.next.Ping(s.as(ctx)) }

// Close implements [store.Store].
func (s *asCaller) Close() error { return s.next.Close() }
