package failover_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A fault is what a primary does wrong.
type fault int32

const (
	healthy    fault = iota
	refused          // connections are refused: certain that nothing was done
	hangs            // answers nothing until the caller's deadline
	losesReply       // does what it is asked and loses the answer
	readonly         // answers reads, refuses writes: a standby
	halts            // the schema is wrong
	slow             // answers reads, later than the mirror would
	stalls           // answers reads, and no write in time
	keepsOut         // answers reads, and lets nobody write: the rights are wrong
	crowded          // answers reads, and takes a write in time only when there is no other beside it
)

// faulty is a primary that fails on demand. Its store is a real engine.
type faulty struct {
	store.Store
	fault     atomic.Int32
	other     atomic.Pointer[store.Store] // takes the store's place
	late      atomic.Pointer[store.Store] // still takes the batches; nil for nothing
	asked     atomic.Int64                // calls so far
	written   atomic.Int64                // of them, batches
	underway  atomic.Int64                // batches that have no answer yet
	onApply   func()                      // called within each batch; nil for nothing
	hold      chan struct{}               // a snapshot waits until it is closed; nil for not
	system    string
	promoted  atomic.Int64 // how often a standby took its place
	newest    atomic.Int64 // how often it was asked for its newest seq
	snapshots atomic.Int64 // how often one was asked for
}

// engine returns the store behind the faults.
func (f *faulty) engine() store.Store {
	if other := f.other.Load(); other != nil {
		return *other
	}
	return f.Store
}

func (f *faulty) Wait(ctx context.Context, after knowledge.Seq) error {
	return f.engine().Wait(ctx, after)
}

func (f *faulty) set(to fault) { f.fault.Store(int32(to)) }

// fail returns the error of the present fault for a read, nil when there is none.
func (f *faulty) fail(ctx context.Context) error {
	f.asked.Add(1)
	switch fault(f.fault.Load()) {
	case refused:
		return &store.UnavailableError{Reason: "connection refused", NotDone: true}
	case hangs:
		<-ctx.Done()
		return ctx.Err() // as an engine says of a deadline that came with the call
	case halts:
		return &store.UnavailableError{Reason: "relation does not exist", Halt: true, NotDone: true}
	case slow:
		<-time.After(20 * time.Millisecond)
	case healthy, losesReply, readonly, keepsOut, stalls, crowded:
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.engine().Get(ctx, key)
}

func (f *faulty) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.engine().List(ctx, q)
}

func (f *faulty) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.engine().Search(ctx, q)
}

func (f *faulty) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.engine().Changes(ctx, q)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.engine().Ping(ctx)
}

func (f *faulty) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := f.fail(ctx); err != nil {
		return knowledge.Receipt{}, err
	}
	f.written.Add(1)
	beside := f.underway.Add(1) > 1
	defer f.underway.Add(-1)
	if fault(f.fault.Load()) == crowded {
		<-time.After(20 * time.Millisecond)
		beside = beside || f.underway.Load() > 1
	}
	if now := fault(f.fault.Load()); now == stalls || now == crowded && beside {
		<-ctx.Done()
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "timeout", Err: ctx.Err()}
	}
	if f.onApply != nil {
		f.onApply()
	}
	if fault(f.fault.Load()) == keepsOut {
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "permission denied", Halt: true, NotDone: true}
	}
	if fault(f.fault.Load()) == readonly {
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "read-only", ReadOnly: true, NotDone: true}
	}
	engine := f.engine()
	if late := f.late.Load(); late != nil {
		engine = *late
	}
	rec, err := engine.Apply(context.WithoutCancel(ctx), b)
	if fault(f.fault.Load()) == losesReply {
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "connection reset", Err: errors.Join(err)}
	}
	return rec, err
}

// Position implements [failover.Primary].
func (f *faulty) Position(ctx context.Context) (knowledge.Position, error) {
	if err := f.fail(ctx); err != nil {
		return knowledge.Position{}, err
	}
	pos, err := f.engine().(*sqlite.Store).Position(ctx)
	pos.System, pos.Timeline = f.system, 1+f.promoted.Load()
	return pos, err
}

// Newest implements [failover.Primary].
func (f *faulty) Newest(ctx context.Context) (knowledge.Seq, error) {
	f.newest.Add(1)
	if err := f.fail(ctx); err != nil {
		return 0, err
	}
	return f.engine().(*sqlite.Store).Newest(ctx)
}

// Snapshot implements [failover.Primary].
func (f *faulty) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	f.snapshots.Add(1)
	if f.hold != nil {
		<-f.hold
	}
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.engine().(*sqlite.Store).Snapshot(ctx, versions, named{sink, f.system, 1 + f.promoted.Load()})
}

// named is a sink that hears another name of the primary.
type named struct {
	store.Sink
	system   string
	timeline int64
}

func (n named) Begin(at knowledge.Position) error {
	at.System, at.Timeline = n.system, n.timeline
	return n.Sink.Begin(at)
}

// run keeps a store going until the test ends or stop is called.
func run(t testing.TB, s *failover.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run the store: %v", err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}
