package httpapi

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/store"
)

// What one caller may have of the door at one time, so that whoever asks for too much is told so and the others are answered. The
// bounds of all callers together are in [Limits]; whoever has reached a share gets 429, whoever meets a full house 503.
const (
	bodyShare = 2 // the part of the bytes of all bodies: the largest batch must fit
	waitShare = 4 // the part of the places for long polls
)

// A share is what one principal has of the door now.
type share struct {
	inside  atomic.Int64 // requests, and of those whose body is on its way
	bodies  atomic.Int64 // bytes of bodies
	waiting atomic.Int64 // long polls
}

// shares are those of every principal that has called. There are no more than there are principals.
type shares struct {
	mu sync.RWMutex
	of map[string]*share
}

// get returns the share of a principal.
func (s *shares) get(id string) *share {
	s.mu.RLock()
	one := s.of[id]
	s.mu.RUnlock()
	if one != nil {
		return one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]*share{}
	}
	if s.of[id] == nil {
		s.of[id] = &share{}
	}
	return s.of[id]
}

// errShare says that a caller's share of the budget of all bodies is used up.
var errShare = errors.New("the caller's share of the budget of bodies is used up")

// enough tells a caller who has had its share.
func enough(what string, n int64) error {
	return &store.UnavailableError{
		Reason:  fmt.Sprintf("this token has its share of %s already, %d: ask again when one of its requests has ended", what, n),
		TooMany: true, NotDone: true, RetryAfter: time.Second,
	}
}

// takeShare counts the request among those of its caller.
func takeShare(c *call, id string) error {
	c.share = c.h.shares.get(id)
	if most := int64(c.h.o.Limits.MaxEach); c.share.inside.Add(1) > most {
		return enough("requests at a time", most)
	}
	return nil
}

// leaveShare gives back what the request had of its caller's share.
func leaveShare(c *call) {
	if c.share != nil {
		c.share.inside.Add(-1)
		if c.held > 0 {
			c.share.bodies.Add(-c.held)
		}
		c.share = nil
	}
}

// waits takes one of the caller's places for long polls, and waited gives it back, also where none was free.
func waits(c *call) (waited func(), err error) {
	if c.share == nil {
		return func() {}, nil
	}
	waited = func() { c.share.waiting.Add(-1) }
	if most := int64(max(c.h.o.Limits.MaxWaiting/waitShare, 1)); c.share.waiting.Add(1) > most {
		return waited, enough("requests that wait for a change", most)
	}
	return waited, nil
}

// full is the part of a bound at which the door says that it has no room for more callers.
const full = 0.95

// crowded returns which bounds of the door are reached, nothing when none is.
func crowded(h *Handler) []string {
	var why []string
	if n := h.working.Load(); float64(n) >= full*float64(h.o.Limits.MaxConcurrent) {
		why = append(why, fmt.Sprintf("%d requests are at work, of %d at most", n, h.o.Limits.MaxConcurrent))
	}
	if n := h.bodies.Load(); float64(n) >= full*float64(h.o.Limits.MaxBodies) {
		why = append(why, fmt.Sprintf("bodies of %d bytes are on their way, of %d at most", n, h.o.Limits.MaxBodies))
	}
	if h.o.Crowded != nil {
		if reason := h.o.Crowded(); reason != "" {
			why = append(why, reason)
		}
	}
	return why
}
