package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A bell wakes callers that wait for changes. Its zero value is ready to use.
type bell struct {
	rung   store.Bell
	mu     sync.Mutex // guards the fields below
	seq    knowledge.Seq
	closed bool
}

// ring announces changes up to seq. Seq may be lower than before, after a swap of the mirror: that wakes callers too.
func (b *bell) ring(seq knowledge.Seq) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq != seq {
		b.seq = seq
		b.rung.Ring()
	}
}

func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.rung.Ring()
}

func (b *bell) wait(ctx context.Context, after knowledge.Seq) error {
	next := b.rung.Next()
	if there, err := b.look(after); there || err != nil {
		if err != nil {
			return err
		}
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
	}
	_, err := b.look(after)
	return err
}

// look reports whether there is a change after seq.
func (b *bell) look(after knowledge.Seq) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, store.ErrClosed
	}
	return b.seq > after, nil
}

// Wait returns when there may be changes after seq.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.bell.wait(ctx, after)
}

// Newest returns the seq of the newest change, 0 while there is none.
func (s *Store) Newest(ctx context.Context) (knowledge.Seq, error) {
	var newest knowledge.Seq
	err := s.read(ctx, "newest", "SELECT coalesce(max(seq), 0) FROM changes", nil,
		func(r *sql.Rows) error { return r.Scan(&newest) })
	return newest, err
}

// Seq is [Store.Newest] from memory. It may lack a change that is being acknowledged just now.
func (s *Store) Seq() knowledge.Seq {
	s.bell.mu.Lock()
	defer s.bell.mu.Unlock()
	return s.bell.seq
}
