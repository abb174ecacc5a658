package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/check"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// manyChecks returns a store of n rules with long patterns, in the packs p-0 to p-9, each of which holds them all.
func manyChecks(t *testing.T, n int) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ops := []knowledge.Op{knowledge.Put(storetest.Category(func(c *knowledge.Category) {
		c.ID = storetest.GeneralCategory
	}), knowledge.NoVersion)}
	for i := range 10 {
		ops = append(ops, knowledge.Put(storetest.Pack(func(p *knowledge.Pack) {
			p.PackID, p.Raise, p.Select = fmt.Sprint("p-", i), nil, knowledge.Selection{Kinds: []string{"rule"}}
		}), knowledge.NoVersion))
	}
	for i := range n {
		ops = append(ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Status, r.Scope = fmt.Sprint("R-", i), knowledge.StatusActive, knowledge.Scope{}
			r.Checks = nil
			for j := range 50 {
				r.Checks = append(r.Checks, knowledge.Check{
					ID: fmt.Sprint("c-", j), Kind: knowledge.CheckForbid,
					Pattern: fmt.Sprintf("%d-%d %s", i, j, strings.Repeat("bad ", 200)),
				})
			}
		}), knowledge.NoVersion))
	}
	if _, err := s.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestChecksOfManyListsOfPacksTakeNoMoreThanTheirRoom asks for ever other lists of packs, as a caller in a loop can.
func TestChecksOfManyListsOfPacksTakeNoMoreThanTheirRoom(t *testing.T) {
	s := manyChecks(t, 2)
	c := newChecks(s, s, nil, newTurns(1))
	ask := func(packs ...string) {
		t.Helper()
		r, err := c.Check(t.Context(), &check.Question{Packs: packs, Files: []check.File{{
			Path: "a.go", Content: []byte("1-3 " + strings.Repeat("bad ", 200)),
		}}})
		if err != nil || len(r.Findings) != 1 || r.Rules != 2 {
			t.Fatalf("packs %v: %+v, %v", packs, r, err)
		}
	}
	one := 0
	for i := range 60 { // each another part of the packs
		var packs []string
		for j := range 10 {
			if (i+1)>>j&1 == 1 {
				packs = append(packs, fmt.Sprint("p-", j))
			}
		}
		ask(packs...)
		size := 0
		for _, k := range c.kept {
			if k.set != nil {
				one = max(one, k.set.Size())
				size += k.set.Size()
			}
		}
		if len(c.kept) > checksKept || size > checksSize {
			t.Fatalf("after %d lists of packs %d are kept, of %d bytes", i+1, len(c.kept), size)
		}
	}
	if 60*one <= checksSize {
		t.Fatalf("all lists fit, of %d bytes each: the test proves nothing", one)
	}
	kept := len(c.kept)
	c.kept = map[string]*taken{}
	for range 5 {
		ask("p-1", "p-0")
		ask("p-0", "p-1", "p-0")
	}
	if len(c.kept) != 1 || kept < 2 {
		t.Errorf("the same packs in another order are kept %d times; of others %d lists", len(c.kept), kept)
	}
}

// stuck is a store whose log does not answer until it is let go.
type stuck struct {
	store.Past
	asked chan struct{}
	free  chan struct{}
}

func (s *stuck) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	s.asked <- struct{}{}
	<-s.free
	return s.Past.Changes(ctx, q)
}

// TestACheckThatWaitsForAnotherEndsWithItsContext asks for the same packs as one that is stuck.
func TestACheckThatWaitsForAnotherEndsWithItsContext(t *testing.T) {
	s := &stuck{Past: manyChecks(t, 1), asked: make(chan struct{}, 8), free: make(chan struct{})}
	c := newChecks(s, s, nil, newTurns(8))
	q := &check.Question{Files: []check.File{{Path: "a.go", Content: []byte("x")}}}
	first := make(chan error)
	go func() {
		_, err := c.Check(t.Context(), q)
		first <- err
	}()
	<-s.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(ctx, q); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	close(s.free)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
