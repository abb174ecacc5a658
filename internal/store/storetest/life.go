package storetest

import (
	"context"
	"errors"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func lifeLaws() []law {
	return []law{
		{name: "a cancelled context returns its error and has written nothing", check: cancelledContext},
		{name: "Wait and Follow end with their context", check: waitEnds},
		{name: "Ping answers within its deadline", check: pingAnswers},
		{name: "after Close every method is ErrClosed", check: closed},
		{name: "Close ends who is waiting", check: closeEndsWaiting},
		{name: "two stores know nothing of each other", check: twoStores},
	}
}

// calls returns every method of a store as a call that would succeed.
func (s *suite) calls(k knowledge.Key, b knowledge.Batch) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error { _, err := s.s.Get(ctx, k); return err },
		"List": func(ctx context.Context) error {
			_, err := s.s.List(ctx, knowledge.Query{Kind: knowledge.KindRule})
			return err
		},
		"Search": func(ctx context.Context) error {
			_, err := s.s.Search(ctx, knowledge.SearchQuery{Text: "close"})
			return err
		},
		"Apply":   func(ctx context.Context) error { _, err := s.s.Apply(ctx, b); return err },
		"Changes": func(ctx context.Context) error { _, err := s.s.Changes(ctx, knowledge.ChangeQuery{}); return err },
		"Wait":    func(ctx context.Context) error { return s.s.Wait(ctx, 1<<40) },
		"Ping":    s.s.Ping,
	}
}

func cancelledContext(s *suite) {
	r := Rule()
	s.put(r)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	late, done := context.WithDeadline(s.ctx, time.Unix(1, 0))
	defer done()
	created := Practice()
	b := Batch(knowledge.Put(created, knowledge.NoVersion))
	for name, call := range s.calls(r.Key(), b) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			s.Errorf("%s with a cancelled context: %v, want context.Canceled", name, err)
		}
		if err := call(late); !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("%s after its deadline: %v, want context.DeadlineExceeded", name, err)
		}
	}
	s.missing(created.Key())
	// The batch was not done, so it still can be.
	s.applyBatch(b)
	s.get(created.Key())
}

func waitEnds(s *suite) {
	at := s.apply(knowledge.Put(Rule(), knowledge.AnyVersion)).Seq
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan error, 2)
	go func() {
		for {
			if err := s.s.Wait(ctx, at); err != nil {
				done <- err
				return
			}
		}
	}()
	go func() { done <- follow(ctx, s.s, 0, func([]knowledge.Change) error { return nil }) }()
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			s.Errorf("waiting ended with %v, want context.Canceled", err)
		}
	}
}

func pingAnswers(s *suite) {
	if err := s.s.Ping(s.ctx); err != nil {
		s.Errorf("Ping: %v", err)
	}
	if s.o.Stall == nil {
		return
	}
	release := s.o.Stall(s, s.s)
	ctx, cancel := context.WithTimeout(s.ctx, 300*time.Millisecond)
	defer cancel()
	err := s.s.Ping(ctx)
	ended := ctx.Err() != nil
	release()
	if err == nil {
		s.Error("Ping of a stalled store succeeded")
		return
	}
	s.checkError(err)
	if !ended && !errors.Is(err, store.ErrUnavailable) {
		s.Errorf("Ping of a stalled store: %v", err)
	}
}

func closed(s *suite) {
	r := Rule()
	s.put(r)
	if err := s.s.Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second) // for a Wait that goes on waiting
	defer cancel()
	for name, call := range s.calls(r.Key(), Batch(knowledge.Put(Rule(), 0))) {
		if err := call(ctx); !errors.Is(err, store.ErrClosed) {
			s.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if err := s.s.Close(); !errors.Is(err, store.ErrClosed) {
		s.Errorf("Close after Close: %v, want ErrClosed", err)
	}
}

func closeEndsWaiting(s *suite) {
	// A position beyond the end of the log is another matter: a client over HTTP hears that it is gone.
	at := s.apply(knowledge.Put(Rule(), knowledge.AnyVersion)).Seq
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		for {
			if err := s.s.Wait(s.ctx, at); err != nil {
				done <- err
				return
			}
		}
	}()
	<-begun
	if err := s.s.Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		s.Errorf("Wait ended with %v, want ErrClosed", err)
	}
}

func twoStores(s *suite) {
	other := s.o.Open(s)
	r := Rule()
	s.put(r)
	if rec, err := other.Get(s.ctx, r.Key()); !errors.Is(err, store.ErrNotFound) {
		s.Errorf("another store has the rule: %v, %v", rec, err)
	}
	page, err := other.List(s.ctx, knowledge.Query{Kind: knowledge.KindCategory, Activity: knowledge.AnyActivity})
	if err != nil || len(page.Records) != 0 {
		s.Errorf("a fresh store has categories: %v, %v", page, err)
	}
	if s.o.NoLog || s.o.Queued {
		return
	}
	list, err := other.Changes(s.ctx, knowledge.ChangeQuery{})
	if err != nil || len(list) != s.fresh {
		s.Errorf("a fresh store has changes: %v, %v", list, err)
	}
	if seq, err := store.Tail(s.ctx, other); err != nil || seq != knowledge.Seq(s.fresh) {
		s.Errorf("Tail of a fresh store is %d, %v", seq, err)
	}
}
