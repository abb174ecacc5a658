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
	hedged, fellBack, noSlot, queued, replayed, parked, mirrorErrors, resyncs, transitions, breakerMoves atomic.Int64
}

// slow is how long a failed call took at least for the primary to count as one that hangs and does not refuse.
const slow = 500 * time.Millisecond

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
	e.At, e.Mode = knowledge.At(s.o.Wall()), s.mode
	s.o.Event(e)
}

// ring wakes the keeper.
func (s *Store) ring() {
	select {
	case s.kick <- struct{}{}:
	default: // it is about to look anyway
	}
}

// breakerMoved is told by the breaker, which holds its own lock meanwhile. Half-open is left out: the breaker is so from when
// it may let a call through, and the keeper, which alone asks it then, may want to wait longer.
func (s *Store) breakerMoved(to gobreaker.State) {
	if to == gobreaker.StateHalfOpen {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = time.Time{}
	if to == gobreaker.StateOpen {
		s.opened = time.Now()
	}
	s.breakerAtLocked(to)
	if to != gobreaker.StateOpen {
		return
	}
	if s.mode == knowledge.ModeNormal || s.mode == knowledge.ModeRecovering {
		s.moveLocked(s.awayLocked(), "the primary failed several times in a row")
	}
}

// breakerAtLocked tells where the breaker stands now. It needs s.mu.
func (s *Store) breakerAtLocked(at gobreaker.State) {
	if s.breakerAt == at {
		return
	}
	say := s.o.Log.Info
	if s.breakerAt == gobreaker.StateHalfOpen && at == gobreaker.StateOpen || at == gobreaker.StateHalfOpen {
		say = s.o.Log.Debug // each probe of a long outage
	}
	say("breaker moved", "from", s.breakerAt.String(), "to", at.String())
	s.breakerAt = at
	s.counts.breakerMoves.Add(1)
	s.event(Event{Breaker: at.String()})
}

// probeDue reports whether the primary behind an open breaker may be asked again. One that refuses at once costs nothing to
// ask, and one of several hosts may have been replaced by another: they are asked sooner.
func (s *Store) probeDue() bool {
	wait := s.o.Recovery
	if s.o.Hosts > 1 || s.refusing.Load() {
		wait = s.o.Soon
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened.IsZero() || time.Since(s.opened) >= wait
}

// noteRead takes note of what became of a read at the primary.
func (s *Store) noteRead(c class, err error, took time.Duration) {
	switch c {
	case fine:
		s.halt.Store(nil)
	case halted:
		text := err.Error()
		if s.halt.Swap(&text) == nil {
			s.o.Log.Error("the primary's schema or rights are wrong: reads come from the mirror, writes are refused until a person has acted", "error", text)
		}
	case infra, readOnly, gone:
	}
	s.noteError(c, err, took)
}

// noteWrite takes note of what became of a write at the primary. A primary that answers reads and takes no writes is left
// alone by writes only.
func (s *Store) noteWrite(c class, err error, took time.Duration) {
	switch c {
	case fine:
		s.haltWrites.Store(nil)
		s.refused.Store(0)
		s.writesAfter.Store(0)
	case halted:
		text := err.Error()
		if s.haltWrites.Swap(&text) == nil {
			s.o.Log.Error("the primary's schema or rights do not let this program write: writes are refused until a person has acted", "error", text)
		}
	case readOnly:
		if s.refused.Add(1) >= int64(s.o.Failures) {
			s.writesAfter.Store(int64(time.Since(s.began) + s.o.Soon))
		}
	case infra, gone:
	}
	s.noteError(c, err, took)
}

// halted returns why a person must act before writes are taken, "" while nobody must.
func (s *Store) halted() string {
	for _, why := range []*string{s.halt.Load(), s.haltWrites.Load()} {
		if why != nil {
			return *why
		}
	}
	return ""
}

// noteError keeps the primary's last errors for the status.
func (s *Store) noteError(c class, err error, took time.Duration) {
	switch c {
	case fine, gone:
		return
	case infra:
		s.refusing.Store(took < slow)
	case readOnly, halted:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, s.o.Wall().UTC().Format(time.RFC3339)+" "+err.Error())
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
