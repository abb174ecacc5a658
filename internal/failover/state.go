package failover

import (
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
)

// keptErrors is how many of the primary's last errors the status shows.
const keptErrors = 5

// counts are totals since the start.
type counts struct {
	hedged, fellBack, noSlot, queued, replayed, parked, mirrorErrors, resyncs, transitions atomic.Int64
}

// move changes the mode, and says so.
func (s *Store) move(to knowledge.Mode, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moveLocked(to, why)
}

// moveLocked needs s.mu.
func (s *Store) moveLocked(to knowledge.Mode, why string) {
	if s.mode == to {
		return
	}
	from := s.mode
	s.mode, s.since, s.why = to, time.Now(), why
	s.counts.transitions.Add(1)
	s.o.Log.Warn("mode changed", "from", string(from), "to", string(to), "why", why)
	s.event(Event{Mode: to, From: from, Why: why})
	s.bell.ring()
	s.ring()
}

// awayLocked returns the mode of an instance without its primary. It needs s.mu.
func (s *Store) awayLocked() knowledge.Mode {
	if s.ready {
		return knowledge.ModeDegraded
	}
	return knowledge.ModeCold
}

// event fills in the rest of an event and announces it. It needs s.mu.
func (s *Store) event(e Event) {
	if s.o.Event == nil {
		return
	}
	e.At, e.Mode = knowledge.At(time.Now()), s.mode
	s.o.Event(e)
}

// ring wakes the keeper.
func (s *Store) ring() {
	select {
	case s.kick <- struct{}{}:
	default: // it is about to look anyway
	}
}

// breakerMoved is told by the breaker, which holds its own lock meanwhile.
func (s *Store) breakerMoved(from, to gobreaker.State) {
	s.o.Log.Info("breaker moved", "from", from.String(), "to", to.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event(Event{Breaker: to.String()})
	if to != gobreaker.StateOpen {
		return
	}
	if s.mode == knowledge.ModeNormal || s.mode == knowledge.ModeRecovering {
		s.moveLocked(s.awayLocked(), "the primary failed several times in a row")
	}
}

// noteError keeps the primary's last errors for the status, and what a person must act on.
func (s *Store) noteError(c class, err error) {
	switch c {
	case fine:
		if s.halt.Load() != nil {
			s.halt.Store(nil)
		}
		return
	case gone:
		return
	case halted:
		text := err.Error()
		if s.halt.Swap(&text) == nil {
			s.o.Log.Error("the primary's schema or rights are wrong: reads come from the mirror, writes are refused until a person has acted", "error", text)
		}
	case infra, readOnly:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, time.Now().UTC().Format(time.RFC3339)+" "+err.Error())
	if len(s.errs) > keptErrors {
		s.errs = s.errs[len(s.errs)-keptErrors:]
	}
}

// modeNow returns the mode.
func (s *Store) modeNow() knowledge.Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}
