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
)

// faulty is a primary that fails on demand. Its store is a real engine.
type faulty struct {
	store.Store
	fault   atomic.Int32
	writing sync.RWMutex // held for reading by a write, for writing by a snapshot: what the engine's isolation gives elsewhere
	system  string
}

func (f *faulty) set(to fault) { f.fault.Store(int32(to)) }

// fail returns the error of the present fault for a read, nil when there is none.
func (f *faulty) fail(ctx context.Context) error {
	switch fault(f.fault.Load()) {
	case refused:
		return &store.UnavailableError{Reason: "connection refused", NotDone: true}
	case hangs:
		<-ctx.Done()
		return &store.UnavailableError{Reason: "timeout", Err: ctx.Err()}
	case halts:
		return &store.UnavailableError{Reason: "relation does not exist", Halt: true, NotDone: true}
	case slow:
		<-time.After(20 * time.Millisecond)
	case healthy, losesReply, readonly:
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.Store.List(ctx, q)
}

func (f *faulty) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.Store.Search(ctx, q)
}

func (f *faulty) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := f.fail(ctx); err != nil {
		return nil, err
	}
	return f.Store.Changes(ctx, q)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

func (f *faulty) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := f.fail(ctx); err != nil {
		return knowledge.Receipt{}, err
	}
	if fault(f.fault.Load()) == readonly {
		return knowledge.Receipt{}, &store.UnavailableError{Reason: "read-only", ReadOnly: true, NotDone: true}
	}
	f.writing.RLock()
	rec, err := f.Store.Apply(context.WithoutCancel(ctx), b)
	f.writing.RUnlock()
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
	last, err := f.Store.Changes(ctx, knowledge.ChangeQuery{Newest: true, Limit: 1})
	if err != nil {
		return knowledge.Position{}, err
	}
	pos := knowledge.Position{System: f.system, Timeline: 1}
	if len(last) == 1 {
		pos.Seq, pos.Chain, pos.At = last[0].Seq, last[0].Chain, last[0].At
	}
	return pos, nil
}

// Snapshot implements [failover.Primary].
func (f *faulty) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	pos, err := f.Position(ctx)
	if err != nil {
		return err
	}
	if err := sink.Begin(pos); err != nil {
		return err
	}
	for _, kind := range knowledge.Kinds() {
		q := knowledge.Query{Kind: kind, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
		if err := store.All(ctx, f.Store, q, sink.Record); err != nil {
			return err
		}
	}
	if versions == 0 {
		return nil
	}
	for after := knowledge.Seq(0); ; {
		changes, err := f.Store.Changes(ctx, knowledge.ChangeQuery{After: after})
		if err != nil || len(changes) == 0 {
			return err
		}
		for i := range changes {
			if err := sink.Change(&changes[i]); err != nil {
				return err
			}
		}
		after = changes[len(changes)-1].Seq
	}
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
