package store

import "sync"

// A Bell wakes the goroutines that wait for something to happen; its zero value is ready to use. It carries no data: a
// woken goroutine checks the state itself. To miss nothing, take the channel first, then check, then wait.
type Bell struct {
	mu   sync.Mutex    // guards rung
	rung chan struct{} // nil if nobody waits
}

// Next returns a channel that is closed the next time the bell rings.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// Ring wakes the goroutines that wait now.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
