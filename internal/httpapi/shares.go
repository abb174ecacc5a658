package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/store"
)

// The limits of one caller, so that one that asks for too much is refused with 429 while the others are answered. The
// limits of all callers together are in [Limits]: beyond those, every caller gets 503.
const (
	bodyShare = 2 // the part of the bytes of all bodies, and of all answers: the largest batch must fit
	waitShare = 4 // the part of the places for long polls
)

// A share counts the resources that one principal uses now.
type share struct {
	inside  atomic.Int64 // requests, and of those whose body is on its way
	bodies  atomic.Int64 // bytes of bodies
	answers atomic.Int64 // bytes of long answers
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

// shareUsed is the refusal of a caller that has used up its share.
func shareUsed(what string, n int64) error {
	return &store.UnavailableError{
		Reason: fmt.Sprintf("this token has its share of %s already, %d: ask again when one of its requests "+
			"has ended", what, n),
		TooMany: true, NotDone: true, RetryAfter: time.Second,
	}
}

// uncountedAnswer is the length up to which answers are not counted: the bound of the requests at work bounds them too.
// A problem is never longer.
const uncountedAnswer = 64 << 10

// holdAnswer counts the bytes of an answer until it is let go, and returns the refusal where the budget of all answers,
// or the caller's share of it, does not allow them: peers that read slowly, or not at all, would hold any number of
// them. How many answers are made at one time, and are not counted yet, the engines' connections bound.
func holdAnswer(c *call, n int) error {
	most := c.h.o.Limits.MaxAnswers
	c.sending += int64(n)
	all, own := c.h.answers.Add(int64(n)), int64(0)
	if c.share != nil {
		own = c.share.answers.Add(int64(n))
	}
	switch {
	case own > most/bodyShare:
		return shareUsed("bytes of answers on their way", most/bodyShare)
	case all > most:
		return busy("too many bytes of answers are on their way at once")
	}
	return nil
}

// letAnswerGo releases an answer's part of the budget.
func letAnswerGo(c *call) {
	if c.sending == 0 {
		return
	}
	c.h.answers.Add(-c.sending)
	if c.share != nil {
		c.share.answers.Add(-c.sending)
	}
	c.sending = 0
}

// admits counts a long answer that is about to be sent, or refuses it where nothing was done: to a read.
func (c *call) admits(n int) bool {
	if n <= uncountedAnswer || c.r.Method == http.MethodHead {
		return true
	}
	if err := holdAnswer(c, n); err != nil && c.r.Method == http.MethodGet {
		letAnswerGo(c)
		c.fail(err)
		return false
	}
	return true
}

// mayAnswer refuses a request before anything is done for it, where the answers to its caller take all that they may,
// or those to all callers do and the answer is one that its route writes itself and that can't be refused later.
func mayAnswer(c *call) error {
	most := c.h.o.Limits.MaxAnswers
	switch {
	case c.share != nil && c.share.answers.Load() >= most/bodyShare:
		return shareUsed("bytes of answers on their way", most/bodyShare)
	case c.route.raw && !c.route.probe && c.h.answers.Load() >= most:
		return busy("too many bytes of answers are on their way at once")
	}
	return nil
}

// nearlyFull is the fraction of a limit at which the server reports that it has no room for more callers.
const nearlyFull = 0.95

// busy is the refusal while the server has no room for more requests.
func busy(reason string) error {
	return &store.UnavailableError{Reason: reason + ": ask again soon", RetryAfter: time.Second, NotDone: true}
}

// errTooMuch says that the budget of all bodies in flight is used up.
var errTooMuch = errors.New("the budget of bodies is used up")
