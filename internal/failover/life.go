package failover

import (
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// counts are totals since the start.
type counts struct {
	fellBack, passed, queued, replayed, parked, mirrorErrors, resyncs, transitions, breakerMoves atomic.Int64
}

// A life is the lifetime of one process: its start, its end, and the calls still running.
type life struct {
	began  time.Time
	closed atomic.Bool
	work   sync.WaitGroup // calls to the primary that outlive their callers
}

func (l *life) checkOpen() error {
	if l.closed.Load() {
		return store.ErrClosed
	}
	return nil
}

// An Event is a change of this instance's mode or breaker, or a batch put in the journal.
type Event struct {
	At   knowledge.Time `json:"at"`
	Mode knowledge.Mode `json:"mode"`
	From knowledge.Mode `json:"from,omitempty"` // for a change of mode
	Why  string         `json:"why,omitempty"`  // in words
	// Breaker is the breaker's new state, when it has changed: closed, half-open or open.
	Breaker string             `json:"breaker,omitempty"`
	Queued  *knowledge.BatchID `json:"queued,omitempty"` // for a batch put in the journal
}
