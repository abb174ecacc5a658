package sqlite

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
)

// A cut context ends when it is asked for the n-th time whether it has, and lets everybody notice who waits for that.
type cut struct {
	context.Context
	end context.CancelFunc
	n   atomic.Int32
}

func (c *cut) Done() <-chan struct{} {
	if c.n.Add(-1) == 0 {
		c.end()
		for range 100 {
			runtime.Gosched()
		}
	}
	return c.Context.Done()
}

// TestAReadThatIsCutOffLeavesNoTransactionBehind ends reads at every step. Whoever uses the same connection next finds
// it as it should be: the driver may call a statement cut off that was done.
func TestAReadThatIsCutOffLeavesNoTransactionBehind(t *testing.T) {
	t.Parallel()
	s := openTest(t, Options{Readers: 1})
	nothing := func(context.Context, view) error { return nil }
	for i := range 400 {
		ctx, end := context.WithCancel(t.Context())
		c := &cut{Context: ctx, end: end}
		c.n.Store(int32(1 + i%20))
		_ = s.look(t.Context(), func(_ context.Context, v view) error { return v.moment(c, nothing) })
		end()
		if err := s.agree(t.Context(), nothing); err != nil {
			t.Fatalf("the read after one that was cut off: %v", err)
		}
	}
}
