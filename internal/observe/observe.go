// Package observe provides metrics, and the loggers.
package observe

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Store measures every call to the store below it, by method and result. It changes nothing.
type Store struct {
	next  store.Store
	name  string
	calls *prometheus.HistogramVec
	// observers are created on first use, so that unused ones make no time series.
	observers [methods][results]atomic.Pointer[prometheus.Observer]
}

var _ store.Store = (*Store)(nil)

// New returns a store over next. name is its label in the metrics: the engine's, or "all" for the whole chain.
func New(next store.Store, name string, m *Metrics) *Store {
	return &Store{next: next, name: name, calls: m.calls}
}

// A method is a store method, as an index.
type method int

const (
	get method = iota
	list
	search
	apply
	changes
	wait
	ping
	methods
)

// String returns the method's label.
func (m method) String() string {
	return [methods]string{"get", "list", "search", "apply", "changes", "wait", "ping"}[m]
}

// done measures a call from its beginning until now.
func (s *Store) done(m method, began time.Time, err error) {
	took, r := time.Since(began).Seconds(), resultOf(err)
	o := s.observers[m][r].Load()
	if o == nil {
		found := s.calls.WithLabelValues(s.name, m.String(), r.String())
		o = &found
		s.observers[m][r].Store(o) // two goroutines at once get the same one
	}
	(*o).Observe(took)
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	began := time.Now()
	r, err := s.next.Get(ctx, key)
	s.done(get, began, err)
	return r, err
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	began := time.Now()
	p, err := s.next.List(ctx, q)
	s.done(list, began, err)
	return p, err
}

// Search implements [store.Store].
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	began := time.Now()
	h, err := s.next.Search(ctx, q)
	s.done(search, began, err)
	return h, err
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	began := time.Now()
	r, err := s.next.Apply(ctx, b)
	s.done(apply, began, err)
	return r, err
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	began := time.Now()
	c, err := s.next.Changes(ctx, q)
	s.done(changes, began, err)
	return c, err
}

// Wait implements [store.Store]. Its duration is the time without changes: long if there are few writes.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	began := time.Now()
	err := s.next.Wait(ctx, after)
	s.done(wait, began, err)
	return err
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	began := time.Now()
	err := s.next.Ping(ctx)
	s.done(ping, began, err)
	return err
}

// Close closes the store below. It is not measured.
func (s *Store) Close() error { return s.next.Close() }
