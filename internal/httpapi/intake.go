package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"tenet/internal/api"
)

// Reading of request bodies. Only bytes that have arrived count, not an announced length, against one budget for all
// bodies in flight. A peer that sends too slowly is cut off.
const (
	bodyStart = 16 << 10 // room for a body before its first byte; it grows as bytes come
	bodyPace  = 16 << 10 // bytes that must come in a window, see [Limits]
)

// takeBody reads the body of a request, up to limit bytes.
func takeBody(c *call, limit int64) ([]byte, error) {
	if c.r.ContentLength == 0 {
		return []byte{}, nil
	}
	c.taken = true
	yieldSlot(c) // a peer that is slow holds no slot
	defer resumeSlot(c)
	in := &intake{c: c, from: http.MaxBytesReader(c.w, c.r.Body, limit), rc: http.NewResponseController(c.w)}
	b, err := in.read()
	if err == nil {
		err = in.rest()
	}
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, errTooMuch):
		return nil, busy("too many bytes of bodies are on their way at once")
	case errors.Is(err, errShare):
		return nil, shareUsed("bytes of bodies on their way", c.h.o.Limits.MaxBodies/bodyShare)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		c.set("Connection", "close")
		return nil, api.Refuse(api.ErrSlow, "fewer than %d bytes of the body came in %s: send it again, faster",
			bodyPace, c.h.o.Limits.BodyWindow)
	case c.r.Context().Err() != nil:
		return nil, c.r.Context().Err()
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, api.Refuse(api.ErrTooLarge, "the body has more than the %d bytes that fit", limit)
	}
	return nil, api.Refuse(api.ErrMalformed, "the body broke off: send it again")
}

// An intake reads one body.
type intake struct {
	c     *call
	from  io.Reader
	rc    *http.ResponseController
	began time.Time // of the window
	came  int       // in it
}

// read reads to the end. It counts the allocated memory and not the bytes.
func (in *intake) read() ([]byte, error) {
	size := bodyStart
	if n := in.c.r.ContentLength; n > 0 && n < bodyStart {
		size = int(n) + 1
	}
	if err := holdBytes(in.c, size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	for {
		if len(b) == cap(b) {
			if err := holdBytes(in.c, cap(b)); err != nil { // it doubles; the old room is free soon
				return nil, err
			}
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
		if err := in.pace(); err != nil {
			return nil, err
		}
		n, err := in.from.Read(b[len(b):cap(b)])
		b, in.came = b[:len(b)+n], in.came+n
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// pace sets the deadline of the window, and begins another one when enough has come in this one.
func (in *intake) pace() error {
	if in.began.IsZero() || in.came >= bodyPace {
		in.began, in.came = time.Now(), 0
		return supported(in.rc.SetReadDeadline(in.began.Add(in.c.h.o.Limits.BodyWindow)))
	}
	return nil
}

// rest removes the deadline: the connection may serve another request.
func (in *intake) rest() error { return supported(in.rc.SetReadDeadline(time.Time{})) }

// supported passes over connections without deadlines, as tests have them.
func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// yieldSlot releases the request's slot while it waits for its peer. resumeSlot takes one again, also above the limit:
// the bytes that have arrived are kept.
func yieldSlot(c *call) {
	if c.slot {
		c.h.working.Add(-1)
		c.slot = false
	}
}

func resumeSlot(c *call) {
	c.h.working.Add(1)
	c.slot = true
}

// holdBytes counts bytes of the request's body until the request ends, and tells when the budget of all, or the
// caller's share of it, does not allow them.
func holdBytes(c *call, n int) error {
	if c.h.bodies.Add(int64(n)) > c.h.o.Limits.MaxBodies {
		c.h.bodies.Add(-int64(n))
		return errTooMuch
	}
	c.held += int64(n)
	if c.share != nil && c.share.bodies.Add(int64(n)) > c.h.o.Limits.MaxBodies/bodyShare {
		return errShare // finish gives it back
	}
	return nil
}

// takeShare counts the request among those of its caller.
func takeShare(c *call, id string) error {
	c.share = c.h.shares.get(id)
	if most := int64(c.h.o.Limits.MaxEach); c.share.inside.Add(1) > most {
		return shareUsed("requests at a time", most)
	}
	return nil
}

// leaveShare releases the request's part of its caller's share.
func leaveShare(c *call) {
	if c.share != nil {
		c.share.inside.Add(-1)
		if c.held > 0 {
			c.share.bodies.Add(-c.held)
		}
		c.share = nil
	}
}

// takeWaitingPlace takes one of the caller's places for long polls, and waited gives it back, also where none was free.
func takeWaitingPlace(c *call) (waited func(), err error) {
	if c.share == nil {
		return func() {}, nil
	}
	waited = func() { c.share.waiting.Add(-1) }
	if most := int64(max(c.h.o.Limits.MaxWaiting/waitShare, 1)); c.share.waiting.Add(1) > most {
		return waited, shareUsed("requests that wait for a change", most)
	}
	return waited, nil
}
