package sqlite

import (
	"context"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A bell wakes those who wait for changes. Its zero value is ready to use.
type bell struct {
	mu     sync.Mutex // guards what follows
	seq    knowledge.Seq
	next   chan struct{} // closed when seq grows; nil while nobody waits
	closed bool
}

// ring says that there are changes up to seq. A swapped mirror may have gone back: that wakes them too.
func (b *bell) ring(seq knowledge.Seq) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq == seq {
		return
	}
	b.seq = seq
	b.wake()
}

func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wake()
}

func (b *bell) wake() {
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

func (b *bell) wait(ctx context.Context, after knowledge.Seq) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return store.ErrClosed
	}
	if b.seq > after {
		b.mu.Unlock()
		return ctx.Err()
	}
	if b.next == nil {
		b.next = make(chan struct{})
	}
	next := b.next
	b.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return store.ErrClosed
	}
	return nil
}

// Wait returns when there may be changes after seq.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.bell.wait(ctx, after)
}
