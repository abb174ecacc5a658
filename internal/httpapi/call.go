package httpapi

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Handler answers HTTP requests. Make one with [New].
type Handler struct {
	o          Options
	mux        *http.ServeMux
	routes     []*route
	reads      map[string]directReads // by the plural of their kind
	nowhere    *route                 // what matches no other
	working    atomic.Int64           // requests at work
	bodies     atomic.Int64           // bytes of bodies that requests at work hold
	answers    atomic.Int64           // bytes of long answers that are on their way
	shares     shares                 // what each caller has of the door
	lastTime   writtenTime            // in the headers of answers
	lastSeq    writtenSeq
	lastMark   writtenMark
	waiting    chan struct{} // one for each long poll; a full one refuses
	drained    chan struct{} // closed when long polls should end
	drain      sync.Once
	spec       func() (*specification, error) // made when first asked for
	compressor compressor
	buffers    sync.Pool // of *[]byte
	calls      sync.Pool // of *call
}

// directReads are the routes of a collection that most requests are for.
type directReads struct{ one, many *route }

// A specification is the OpenAPI document, ready to send.
type specification struct {
	json, yaml []byte
	tag        string // its ETag
}

// A route is one operation: its method and path, its answers, and its part of the OpenAPI document.
type route struct {
	method, path string
	id           string // the operation's id in the OpenAPI document
	tag          string
	summary      string
	description  string
	handler      handler
	body         *payload // what it reads; nil for nothing
	answers      []answer // what it answers when all goes well
	refusals     []int    // the statuses of its problems besides those that every operation has
	storeless    bool     // it never asks the store
	public       bool     // it answers without a token
	probe        bool     // it is not counted among the requests at work
	limit        int64    // of the body, in bytes; 0 for Limits.MaxBody
	sample       string   // the id of the example document, for the path
	kind         knowledge.Kind
	raw          bool   // it writes its answer itself
	door         string // of a mount, as the audit names it; "" for this one
	// of a mount whose callers sign in by other means than the Authorization header
	token   func(*http.Request) string
	name    string // method and path, for measures and logs
	queries *querySet
	observe func() func(status int, took time.Duration) // see measure
}

// A handler is the function of a route, with the type of its parameters.
type handler struct {
	params reflect.Type
	of     *knowledge.Description // whose filters are the parameters of a list; nil for anything else
	run    func(c *call) error
}

// An answer is a status with the Go type of its body.
type answer struct {
	status int
	text   string
	body   reflect.Type // nil for none
	media  string       // application/json when empty
	also   string       // another media type, for who accepts that only; "" for none
	heads  []string     // names of headers that it carries besides those of every answer
	sample any          // an example of the body
}

// A payload describes the body of a request.
type payload struct {
	media   string
	also    string // another media type that means the same; "" for none
	body    reflect.Type
	samples []sample
	free    bool // it may be left out
}

// A sample is a named example.
type sample struct {
	name, summary string
	value         any
}

// A call is one request with its answer. It replaces the ResponseWriter, so that every answer, also that of another
// door, carries the common headers and is counted.
type call struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	route  *route // nil until one matched
	start  time.Time
	direct bool   // its route was found without the mux
	docID  string // of a document, where the path was read without the mux
	// request is the request's context with its caller, and ctx the context for the store. Both live as long as the
	// call.
	request *access.Request
	ctx     context.Context
	cancel  context.CancelFunc
	level   knowledge.Level
	source  knowledge.Source // where the answer came from; "" when it came from no document
	status  int              // 0 until the head was written
	bytes   int64
	queued  bool             // it wrote a batch that waits for the primary
	slot    bool             // it holds one of the handler's slots
	taken   bool             // its body was read, or as much of it as came
	held    int64            // bytes of the budget of bodies
	sending int64            // bytes of the budget of answers
	share   *share           // of the caller; nil where nobody known is calling, and for probes
	cond    api.Precondition // of a write
	cause   error            // the error that is answered
	values  [12][1]string    // of the headers, so that they need no slices of their own
	used    int
}

// Header implements [http.ResponseWriter].
func (c *call) Header() http.Header { return c.w.Header() }

// WriteHeader implements [http.ResponseWriter].
func (c *call) WriteHeader(status int) {
	if c.status == 0 {
		answerAtOnce(c)
		c.head(status)
		c.status = status
		reportRefusal(c, status)
	}
	c.w.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (c *call) Write(b []byte) (int, error) {
	// of a mount, which writes its answers itself: it is counted, and goes on
	if c.sending == 0 && len(b) > uncountedAnswer {
		_ = holdAnswer(c, len(b))
		defer letAnswerGo(c)
	}
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	n, err := c.w.Write(b) //nolint:gosec // what is written is said by who writes; a browser is told its type and not to guess
	c.bytes += int64(n)
	return n, err
}

// Unwrap returns the server's ResponseWriter, for [http.ResponseController].
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
		// The primary may have failed since the level was read: never claim to be fresher than the mirror was.
		now := c.h.o.Level()
		level = knowledge.Level{
			Mode: now.Mode, AsOf: earlier(level.AsOf, now.AsOf),
			Local: earlier(level.Local, now.Local), Lacking: max(level.Lacking, now.Lacking),
		}
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

// buffer returns an empty buffer, and a function that returns it to the pool once it is sent.
func (c *call) buffer() (*[]byte, func()) {
	b := c.h.buffers.Get().(*[]byte) // the pool holds nothing else
	*b = (*b)[:0]
	return b, func() {
		if cap(*b) <= 1<<20 { // a rare giant is not kept
			c.h.buffers.Put(b)
		}
	}
}

// head sets the headers that every answer with a status has. Each costs a little for every answer: so the id of a
// request that was answered well is told only to those who can find it somewhere.
func (c *call) head(status int) {
	level := c.answered()
	c.set("Tenet-Source", string(c.source))
	c.set("Tenet-Mode", string(level.Mode))
	if !level.AsOf.IsZero() {
		c.set("Tenet-As-Of", c.h.lastTime.text(level.AsOf))
	}
	if level.Lacking > 0 {
		c.set(lackingHeader, decimal(int64(level.Lacking)))
	}
	if c.h.o.Seq != nil && c.w.Header()["Tenet-Seq"] == nil {
		c.set("Tenet-Seq", c.h.lastSeq.text(c.h.o.Seq()))
	}
	if !c.direct || c.request.Given != "" || status >= http.StatusBadRequest || c.h.o.AccessLog != nil {
		c.set("X-Request-Id", c.request.RequestID())
	}
	if marked := c.request.Marks.Categories(); len(marked) > 0 && status < http.StatusBadRequest {
		c.set(confidentialHeader, strings.Join(marked, ","))
	}
	c.set("X-Content-Type-Options", "nosniff") // a document's text is never a page
}

// set sets a header, whose name must be in canonical form, to one value without allocating.
func (c *call) set(name, value string) {
	if c.used == len(c.values) {
		c.w.Header()[name] = []string{value}
		return
	}
	slot := &c.values[c.used]
	c.used++
	slot[0] = value
	c.w.Header()[name] = slot[:]
}

// answerAtOnce makes net/http answer at once where the body was not read: by itself it would first wait, without a
// deadline, for what the caller has announced and may never send.
func answerAtOnce(c *call) {
	if c.r.ContentLength == 0 || c.taken {
		return
	}
	rc := http.NewResponseController(c.w)
	_ = rc.EnableFullDuplex() // HTTP/2 has no need of it
	_ = rc.SetReadDeadline(time.Now().Add(unread))
	c.w.Header().Set("Connection", "close")
}

// unread is how long a peer may take to end a body that is not read.
const unread = time.Second

// reportRefusal reports a refused request when its answer gets its status, so that the refusals of every door are
// reported. The store has reported its own refusals already, with more detail.
func reportRefusal(c *call, status int) {
	if status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests ||
		c.h.o.Refused == nil || c.request.Told.Load() {
		return
	}
	r := access.Refusal{
		Caller: c.request.Caller, Method: access.MethodRequest, Reason: http.StatusText(status),
		RequestID: c.request.RequestID(), Peer: c.peer(),
		Door: c.request.Door,
	}
	if status == http.StatusUnauthorized {
		r.Method, r.Reason = access.MethodAuthenticate, "no token"
	}
	if no, ok := errors.AsType[*store.UnauthenticatedError](c.cause); ok {
		r.Reason = no.Reason
		if no.ID != "" {
			r.Caller = &access.Caller{ID: no.ID}
		}
	} else if c.cause != nil && status != http.StatusUnauthorized {
		r.Reason = api.ProblemOf(c.cause).Detail
	}
	if c.route != nil {
		r.Reason += ": " + c.route.name
	}
	c.request.Told.Store(true)
	c.h.o.Refused(c.r.Context(), r)
}

// An origin returns the address of a request while it is answered.
type origin struct{ c *call }

// Peer implements [access.Origin].
func (o origin) Peer() string { return o.c.peer() }

// peer returns the address that the request comes from.
func (c *call) peer() string { return peerOf(c.r, c.h.o.Trusted) }
