package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// hold keeps the writer busy until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	busy, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.do(t.Context(), "busy", func(context.Context, *tx) error {
			close(busy)
			<-free
			return nil
		})
		if err != nil {
			t.Errorf("busy: %v", err)
		}
	})
	<-busy
	return func() {
		close(free)
		wg.Wait()
	}
}

// queued waits until so many jobs wait for the writer, which must be held.
func queued(t *testing.T, s *Store, n int) {
	t.Helper()
	for len(s.jobs) < n {
		if t.Context().Err() != nil {
			t.Fatal("the call never came")
		}
		runtime.Gosched()
	}
}

// together hands jobs to the writer while it is busy, in their order, so that it finds them all at once, and returns
// their errors.
func together(t *testing.T, s *Store, calls ...func() error) []error {
	t.Helper()
	release := hold(t, s)
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
		queued(t, s, i+1)
	}
	release()
	wg.Wait()
	return errs
}

func TestBatchesOfOneTransactionDoNotDisturbEachOther(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	a, b := storetest.Rule(), storetest.Rule()
	try := func(ops ...knowledge.Op) func() error {
		return func() error {
			_, err := s.Apply(t.Context(), storetest.Batch(ops...))
			return err
		}
	}
	errs := together(t, s,
		try(knowledge.Put(a, 0)),
		try(knowledge.Put(b, 0), knowledge.Put(a, 7)), // a conflict, after a write
		try(knowledge.Put(b, knowledge.NoVersion)),
		try(knowledge.Put(a, 1)), // sees what the first has left
		try(knowledge.Op{Verb: knowledge.VerbPurge, Key: b.Key()}),
		try(knowledge.Put(b, 0), knowledge.Put(general(), 0)),
	)
	for i, err := range errs {
		if conflict := errors.Is(err, store.ErrConflict); conflict != (i == 1) || !conflict && err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if list := feed(t, s, 0); len(list) != 7 {
		t.Errorf("the log holds %d changes, want 7", len(list))
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Errorf("VerifyChanges: %v", err)
	}
	sound(t, s)
}

func TestBrokenJobTakesNoOthersWithIt(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	rules := []*knowledge.Rule{storetest.Rule(), storetest.Rule()}
	writes := func(r *knowledge.Rule) func() error {
		return func() error {
			_, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(r, knowledge.NoVersion)))
			return err
		}
	}
	errs := together(t, s, writes(rules[0]), func() error {
		return s.do(t.Context(), "broken", func(ctx context.Context, tx *tx) error {
			return tx.exec(ctx, "SELECT no_such_function()")
		})
	}, writes(rules[1]))
	if errs[0] != nil || !errors.Is(errs[1], store.ErrUnavailable) || errs[2] != nil {
		t.Errorf("errors %v; want only the broken job's", errs)
	}
	if list := feed(t, s, 1); len(list) != 2 {
		t.Errorf("the log holds %d changes after the first, want 2", len(list))
	}
}

func TestCallGivenUpBeforeItsTurnWritesNothing(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	ctx, cancel := context.WithCancel(t.Context())
	rule := storetest.Rule()
	release := hold(t, s)
	given := make(chan error, 1)
	go func() {
		_, err := s.Apply(ctx, storetest.Batch(knowledge.Put(rule, 0)))
		given <- err
	}()
	queued(t, s, 1)
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("Apply that was given up: %v, want the context's error", err)
	}
	release()
	put(t, s, storetest.Rule()) // whatever waited was before this one
	if _, err := s.Get(t.Context(), rule.Key()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what was given up: %v, want ErrNotFound", err)
	}
}

// TestWhoIsRefusedFindsTheReason has a write refused for what another one of the same transaction has written. Whoever
// is refused looks for the reason at once.
func TestWhoIsRefusedFindsTheReason(t *testing.T) {
	t.Parallel()
	s := openTest(t, Options{})
	put(t, s, general())
	for range 50 {
		r := storetest.Rule()
		write := func() error {
			_, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(r, knowledge.NoVersion)))
			return err
		}
		errs := together(t, s, write, func() error {
			err := write()
			if _, missing := s.Get(t.Context(), r.Key()); missing != nil {
				t.Errorf("refused by %v, and what stands in the way is not there: %v", err, missing)
			}
			return err
		})
		if errs[0] != nil || !errors.Is(errs[1], store.ErrConflict) {
			t.Fatalf("errors %v, want that the second is refused", errs)
		}
	}
}
