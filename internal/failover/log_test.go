package failover_test

import (
	"errors"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestTheMirrorsPartOfTheLogIsNotItsBeginning asks for the log from its start, of an instance whose mirror was made
// without the past. A follower who were told that the log is gone would begin anew for nothing.
func TestTheMirrorsPartOfTheLogIsNotItsBeginning(t *testing.T) {
	engine := openEngine(t)
	const n = 5
	for range n {
		if _, err := engine.Apply(t.Context(), storetest.Batch(knowledge.Put(storetest.Category(), 0))); err != nil {
			t.Fatal(err)
		}
	}
	p := &faulty{Store: engine, system: "one"}
	s, _ := openInstance(t, t.TempDir(), p, func(o *failover.Options) {
		o.Wait(failover.Waits{ReadTimeout: 30 * time.Second})
	})
	run(t, s)
	waitMode(t, s, knowledge.ModeNormal)
	waitMirror(t, s)
	all := func() (int, error) {
		list, err := s.Changes(t.Context(), knowledge.ChangeQuery{})
		return len(list), err
	}
	p.set(slow)
	if got, err := all(); got != n || err != nil {
		t.Errorf("of a slow primary: %d changes and %v, want %d", got, err, n)
	}
	p.set(refused)
	waitMode(t, s, knowledge.ModeDegraded)
	_, err := all()
	e, ok := errors.AsType[*store.GoneError](err)
	if !ok || !e.Mirror || e.Oldest != n+1 || errors.Is(err, store.ErrGone) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without the primary: %v, want unavailable, with %d as the oldest that the mirror has", err, n+1)
	}
	if seq, err := store.Tail(t.Context(), s); seq != n || err != nil {
		t.Errorf("without the primary the log ends at %d and %v, want %d", seq, err, n)
	}
	p.set(healthy)
	waitMode(t, s, knowledge.ModeNormal)
	if got, err := all(); got != n || err != nil {
		t.Errorf("with the primary again: %d changes and %v, want %d", got, err, n)
	}
}
