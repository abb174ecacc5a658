package unchanged

import (
	"context"
	"errors"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func openTest(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	over := New(s)
	t.Cleanup(func() { _ = over.Close() })
	return over
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

func TestStoreKeepsTheLaws(t *testing.T) {
	storetest.Run(t, openTest)
}

// TestWhatChangedNothingKeepsTheLawsToo holds the answers that no engine gives to what the laws say of every answer.
func TestWhatChangedNothingKeepsTheLawsToo(t *testing.T) {
	s := openTest(t)
	there := knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "still" }), knowledge.AnyVersion)
	if _, err := s.Apply(t.Context(), storetest.Batch(there)); err != nil {
		t.Fatal(err)
	}
	same := storetest.Batch(there)
	first, err := s.Apply(t.Context(), same)
	if err != nil || !first.Unchanged || first.Batch != same.ID || first.Seq != 1 || first.Records[0].Version != 1 {
		t.Fatalf("what is there already is answered with %+v, %v", first, err)
	}
	again, err := s.Apply(t.Context(), same)
	if err != nil || !again.Unchanged || again.Seq != first.Seq || again.Records[0].Version != 1 {
		t.Errorf("sent again it is answered with %+v, %v", again, err)
	}
	other := same
	other.Ops = []knowledge.Op{knowledge.Put(storetest.Category(), knowledge.AnyVersion)}
	if _, err := s.Apply(t.Context(), other); !errors.Is(err, store.ErrReused) {
		t.Errorf("its id for another batch: %v, want ErrReused", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, b := range map[string]knowledge.Batch{"one of before": same, "a new one": storetest.Batch(there)} {
		if _, err := s.Apply(ended, b); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, of a caller who is gone: %v, want the error of its context", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]knowledge.Batch{"one of before": same, "a new one": storetest.Batch(there)} {
		if _, err := s.Apply(t.Context(), b); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s, after Close: %v, want ErrClosed", name, err)
		}
	}
}
