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

// shareUsed tells a caller who has had its share.
func shareUsed(what string, n int64) error {
	return &store.UnavailableError{
		Reason:  fmt.Sprintf("this token has its share of %s already, %d: ask again when one of its requests has ended", what, n),
		TooMany: true, NotDone: true, RetryAfter: time.Second,
	}
}

// nearlyFull is the part of a bound at which the door says that it has no room for more callers.
const nearlyFull = 0.95

// busy says that the door has no room now.
func busy(reason string) error {
	return &store.UnavailableError{Reason: reason + ": ask again soon", RetryAfter: time.Second, NotDone: true}
}

// errTooMuch says that the budget of all bodies in flight is used up.
var errTooMuch = errors.New("the budget of bodies is used up")
