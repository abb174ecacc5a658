package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A tally is an engine that counts how often it is written to.
type tally struct {
	fail   error
	writes int
	counts map[string]int64
	during func()
}

func (c *tally) AddUses(_ context.Context, counts map[string]int64) error {
	c.writes++
	if c.during != nil {
		c.during()
	}
	if c.fail != nil {
		return c.fail
	}
	for id, n := range counts {
		c.counts[id] += n
	}
	return nil
}

func (c *tally) Uses(context.Context, []string) (map[string]int64, error) {
	return maps.Clone(c.counts), nil
}

func TestUsesAreWrittenManyAtATime(t *testing.T) {
	engine := &tally{counts: map[string]int64{}}
	u := newUses(engine, slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				u.Use("a")
				u.Use("b")
			}
		})
	}
	wg.Wait()
	want := map[string]int64{"a": 8000, "b": 8000}
	known := func(when string) {
		t.Helper()
		if got, err := u.Uses(t.Context(), []string{"a", "b"}); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %v, %v, want %v", when, got, err, want)
		}
	}
	known("before they were written")
	if engine.writes != 0 {
		t.Errorf("%d writes, and nobody was asked to", engine.writes)
	}

	engine.fail = errors.New("away")
	u.flush(t.Context())
	known("after a write that failed")

	engine.fail, engine.during = nil, func() {
		known("while they are written")
		u.Use("a")
	}
	u.flush(t.Context())
	if want["a"]++; engine.writes != 2 || engine.counts["a"] != 8000 || engine.counts["b"] != 8000 {
		t.Errorf("after two flushes: %+v", engine)
	}
	known("after they were written")
	engine.during = nil
	u.flush(t.Context())
	u.flush(t.Context()) // there is nothing to write
	if engine.writes != 3 || !cmp.Equal(want, engine.counts) {
		t.Errorf("at the end: %+v, want %v in three writes", engine, want)
	}
}
