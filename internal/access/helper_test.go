package access

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// callers has somebody call: every method gets the caller that with puts into its context.
type callers struct {
	next store.Store
	with func(context.Context) context.Context
}

var _ store.Store = (*callers)(nil)

func (s *callers) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	return s.next.Get(s.with(ctx), key)
}

func (s *callers) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	return s.next.List(s.with(ctx), q)
}

func (s *callers) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	return s.next.Search(s.with(ctx), q)
}

func (s *callers) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	return s.next.Apply(s.with(ctx), b)
}

func (s *callers) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return s.next.Changes(s.with(ctx), q)
}

func (s *callers) Wait(ctx context.Context, after knowledge.Seq) error {
	return s.next.Wait(s.with(ctx), after)
}
func (s *callers) Ping(ctx context.Context) error { return s.next.Ping(s.with(ctx)) }
func (s *callers) Close() error                   { return s.next.Close() }

// faulty is a store that fails on demand, and lets a test act between a read and what follows it.
type faulty struct {
	callers
	down     atomic.Bool
	afterGet func() // called once after the next Get
}

func newFaulty(next store.Store) *faulty {
	f := &faulty{}
	f.callers = callers{next, func(ctx context.Context) context.Context { return ctx }}
	return f
}

var errDown = &store.UnavailableError{Reason: "the test says so"}

func (f *faulty) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := f.next.Get(ctx, key)
	if f.afterGet != nil {
		act := f.afterGet
		f.afterGet = nil
		act()
	}
	return rec, err
}

func (f *faulty) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.next.List(ctx, q)
}

func (f *faulty) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.next.Changes(ctx, q)
}

// openEngine opens an engine of the test's own.
func openEngine(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A house is an engine behind access, with what was refused.
type house struct {
	*Store
	t       *testing.T
	engine  *faulty
	dir     *Directory
	refused []Refusal
}

func openHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, engine: newFaulty(openEngine(t))}
	h.dir = NewDirectory(h.engine, slog.New(slog.DiscardHandler))
	h.Store = New(h.engine, h.dir, func(_ context.Context, r Refusal) { h.refused = append(h.refused, r) })
	h.must(knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory }), 0))
	return h
}

// as returns a context in which somebody of a role is calling, named like the role.
func (h *house) as(role string) context.Context {
	return WithCaller(WithRequestID(h.t.Context(), "request-7"), &Caller{ID: "the-" + role, Role: role})
}

// must applies ops as the system.
func (h *house) must(ops ...knowledge.Op) knowledge.Receipt {
	h.t.Helper()
	r, err := h.Apply(System(h.t.Context()), storetest.Batch(ops...))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// own applies ops as the system, in the name of somebody of a role.
func (h *house) own(role string, ops ...knowledge.Op) {
	h.t.Helper()
	b := storetest.Batch(ops...)
	b.Actor = "the-" + role
	if _, err := h.Apply(System(h.t.Context()), b); err != nil {
		h.t.Fatal(err)
	}
}

// try applies ops as somebody of a role.
func (h *house) try(role string, ops ...knowledge.Op) (knowledge.Receipt, error) {
	return h.Apply(h.as(role), storetest.Batch(ops...))
}

func (h *house) forbidden(what string, err error) {
	h.t.Helper()
	var no *store.ForbiddenError
	if !errors.Is(err, store.ErrForbidden) || !errors.As(err, &no) || no.Reason == "" {
		h.t.Errorf("%s: %v, want ErrForbidden with a reason", what, err)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !awaittest.Until(30*time.Second, holds) {
		t.Fatalf("%s: it did not come to that", what)
	}
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

// roleOf returns the role that an actor has now.
func roleOf(d *Directory, actor string) (string, bool) {
	c, ok := d.Caller(actor)
	if !ok {
		return "", false
	}
	return c.Role, true
}
