package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// How a body is taken. What a caller announces costs nothing; what has come counts against one budget over all bodies in flight, and
// a peer that is slow on purpose holds its place for no longer than its pace allows.
const (
	bodyStart = 16 << 10 // room for a body before its first byte; it grows as bytes come
	bodyPace  = 16 << 10 // bytes that must come in a window, see [Limits]
)

// take reads the body of a request, up to limit bytes.
func take(c *call, limit int64) ([]byte, error) {
	if c.r.ContentLength == 0 {
		return []byte{}, nil
	}
	c.taken = true
	yield(c) // a peer that is slow holds no slot
	defer resume(c)
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
		return nil, enough("bytes of bodies on their way", c.h.o.Limits.MaxBodies/bodyShare)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		c.set("Connection", "close")
		return nil, refuse(errSlow, "fewer than %d bytes of the body came in %s: send it again, faster", bodyPace, c.h.o.Limits.BodyWindow)
	case c.r.Context().Err() != nil:
		return nil, c.r.Context().Err()
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refuse(errTooLarge, "the body has more than the %d bytes that fit", limit)
	}
	return nil, refuse(errMalformed, "the body broke off: send it again")
}

// errTooMuch says that the budget of all bodies in flight is used up.
var errTooMuch = errors.New("the budget of bodies is used up")

// An intake reads one body.
type intake struct {
	c     *call
	from  io.Reader
	rc    *http.ResponseController
	began time.Time // of the window
	came  int       // in it
}

// read reads to the end. The room is counted, not the bytes: it is what the process pays.
func (in *intake) read() ([]byte, error) {
	size := bodyStart
	if n := in.c.r.ContentLength; n > 0 && n < bodyStart {
		size = int(n) + 1
	}
	if err := hold(in.c, size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	for {
		if len(b) == cap(b) {
			if err := hold(in.c, cap(b)); err != nil { // it doubles; the old room is free soon
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

// rest takes the deadline away: the connection may serve another request.
func (in *intake) rest() error { return supported(in.rc.SetReadDeadline(time.Time{})) }

// supported passes over connections without deadlines, as tests have them.
func supported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// yield gives the request's slot back while it waits for its peer, and resume takes one again: what has come so far is not thrown
// away for want of one.
func yield(c *call) {
	if c.slot {
		c.h.working.Add(-1)
		c.slot = false
	}
}

func resume(c *call) {
	c.h.working.Add(1)
	c.slot = true
}

// unread is how long a peer may take to end a body that nobody will read.
const unread = time.Second

// hurry makes net/http answer at once where the body was not read: by itself it would first wait, without a deadline, for what the
// caller has announced and may never send.
func hurry(c *call) {
	if c.r.ContentLength == 0 || c.taken {
		return
	}
	rc := http.NewResponseController(c.w)
	_ = rc.EnableFullDuplex() // HTTP/2 has no need of it
	_ = rc.SetReadDeadline(time.Now().Add(unread))
	c.w.Header().Set("Connection", "close")
}

// hold counts bytes of the request's body until the request ends, and tells when the budget of all, or the caller's share of it, does
// not allow them.
func hold(c *call, n int) error {
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
