package server

import (
	"context"
	"sync"

	"tenet/internal/access"
)

// turns let a few calls work at one time that take long, and of each caller fewer: the others wait for theirs until
// their contexts end. So a caller that asks for such work again and again leaves the others what they need.
type turns struct {
	all  chan struct{}
	each int

	mu sync.Mutex               // guards of
	of map[string]chan struct{} // no more than there are principals
}

// newTurns lets n calls work at one time, 2 at least, and of one caller half of them.
func newTurns(n int) *turns {
	n = max(n, 2)
	return &turns{all: make(chan struct{}, n), each: n / 2, of: map[string]chan struct{}{}}
}

// take waits for a turn of the context's caller, which lasts until it is left.
func (t *turns) take(ctx context.Context) (leave func(), err error) {
	own := t.own(ctx)
	select {
	case own <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}: // who waits here is one of a few of its caller, and comes in turn
		return func() { <-t.all; <-own }, nil
	case <-ctx.Done():
		<-own
		return nil, ctx.Err()
	}
}

func (t *turns) own(ctx context.Context) chan struct{} {
	id := ""
	if c := access.CallerFrom(ctx); c != nil {
		id = c.ID
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[id] == nil {
		t.of[id] = make(chan struct{}, t.each)
	}
	return t.of[id]
}
