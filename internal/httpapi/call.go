package httpapi

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
)

// A call is one request with its answer. It stands in for the ResponseWriter, so that every answer, whoever writes it,
// carries the headers of the house and is counted.
type call struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	route  *route // nil until one matched
	start  time.Time
	direct bool   // its route was found without the mux
	docID  string // of a document, where the path was read without the mux
	// request is the request's context with who is calling, and ctx what the store gets; of one request, like the call itself.
	request *access.Request
	ctx     context.Context
	cancel  context.CancelFunc
	level   knowledge.Level
	source  knowledge.Source // where the answer came from; "" when it came from no document
	status  int              // 0 until the head was written
	bytes   int64
	queued  bool   // it wrote a batch that waits for the primary
	slot    bool   // it holds one of the handler's slots
	taken   bool   // its body was read, or as much of it as came
	held    int64  // bytes of the budget of bodies
	share   *share // of the caller; nil where nobody known is calling, and for probes
	// conditional says that a write named what it expects to be there, and unmatched why that was found not to hold.
	conditional bool
	unmatched   *refusal
	cause       error         // of a problem that is the answer
	values      [12][1]string // of the headers, so that they need no slices of their own
	used        int
}

// Header implements [http.ResponseWriter].
func (c *call) Header() http.Header { return c.w.Header() }

// WriteHeader implements [http.ResponseWriter].
func (c *call) WriteHeader(status int) {
	if c.status == 0 {
		hurry(c)
		c.head(status)
		c.status = status
		refused(c, status)
	}
	c.w.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	n, err := c.w.Write(b) //nolint:gosec // what is written is said by who writes; a browser is told its type and not to guess
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] find what the server gave.
func (c *call) Unwrap() http.ResponseWriter { return c.w }

// Flush implements [http.Flusher], for streams.
func (c *call) Flush() {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(c.w).Flush() // who can't flush has nothing held back
}

// Hijack implements [http.Hijacker], for WebSockets.
func (c *call) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.status = http.StatusSwitchingProtocols
	return http.NewResponseController(c.w).Hijack()
}

// answered returns the level of the answer, and fills in where it came from.
func (c *call) answered() knowledge.Level {
	level := c.level
	switch c.source {
	case "":
		c.source = usualSource(&level)
	case knowledge.SourceMirror, knowledge.SourceSeed:
		// The primary may have gone since the level was asked: never claim to be fresher than the mirror was.
		now := c.h.o.Level()
		level = knowledge.Level{Mode: now.Mode, AsOf: earlier(level.AsOf, now.AsOf), Local: earlier(level.Local, now.Local)}
	case knowledge.SourceHot, knowledge.SourceWarm, knowledge.SourcePrimary:
	}
	if c.source != knowledge.SourcePrimary && !level.Local.IsZero() {
		level.AsOf = level.Local
	}
	if c.queued && level.Mode == knowledge.ModeNormal {
		level.Mode = knowledge.ModeDegraded // it is now, whatever it was when the request came
	}
	return level
}

func earlier(a, b knowledge.Time) knowledge.Time {
	if b.Before(a.Time) {
		return b
	}
	return a
}

// usualSource is where answers come from in a mode.
func usualSource(l *knowledge.Level) knowledge.Source {
	switch l.Mode {
	case knowledge.ModeNormal:
		if !l.Local.IsZero() {
			return knowledge.SourceMirror
		}
		return knowledge.SourcePrimary
	case knowledge.ModeCold:
		return knowledge.SourceSeed
	case knowledge.ModeDegraded, knowledge.ModeRecovering, knowledge.ModeDiverged:
	}
	return knowledge.SourceMirror
}

// Media types of answers, shared by all of them: nobody appends to a header that was set.
const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	mediaPatch   = "application/merge-patch+json"
	mediaYAML    = "application/yaml"
	mediaHTML    = "text/html; charset=utf-8"
)

// buffer returns an empty buffer, and what gives it back once it was sent.
func (c *call) buffer() (*[]byte, func()) {
	b := c.h.buffers.Get().(*[]byte) // the pool holds nothing else
	*b = (*b)[:0]
	return b, func() {
		if cap(*b) <= 1<<20 { // a rare giant is not kept
			c.h.buffers.Put(b)
		}
	}
}
