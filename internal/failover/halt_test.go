package failover_test

import (
	"errors"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestWrongSchemaRefusesWritesAndGoesOnReading(t *testing.T) {
	w := newScene(t)
	r := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = "R-halt", "general" })
	put := func() error {
		_, err := w.s.Apply(t.Context(), knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "writer",
			Ops: []knowledge.Op{knowledge.Put(r, 0)},
		})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	w.primary.set(halts)
	waitMode(t, w.s, knowledge.ModeDegraded)
	if u, ok := errors.AsType[*store.UnavailableError](put()); !ok || !u.Halt || !u.NotDone {
		t.Errorf("a write was answered with %v, want a refusal that asks for a person", u)
	}
	if _, err := w.s.Get(t.Context(), r.Key()); err != nil {
		t.Errorf("read: %v", err)
	}
	w.primary.set(healthy)
	waitMode(t, w.s, knowledge.ModeNormal)
	if err := put(); err != nil {
		t.Errorf("write after the repair: %v", err)
	}
}
