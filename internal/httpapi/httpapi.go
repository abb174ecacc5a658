// Package httpapi is the REST door: it turns HTTP requests into questions to a store, and their answers into HTTP.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

// Options is what a door is made of. Only Store is needed.
type Options struct {
	// Store answers. It decides what a caller may do; the door only says who is calling.
	Store store.Store
	// Authenticate returns who holds a token. Nil: nobody does, and only the public paths answer.
	Authenticate func(token string) (*access.Caller, error)
	// Refused is told of every call that no valid token came with. Nil: nobody is; the store tells of those it refuses itself.
	Refused func(ctx context.Context, r access.Refusal)
	// Level tells how fresh the answers are; it is asked for every request. Nil: always normal, as of now.
	Level func() knowledge.Level
	// Position returns a place in the log that every read which begins later shows; false where none is known. Nil: none is.
	Position func() (knowledge.Mark, bool)
	// Seq returns a seq that no answer given so far is ahead of; asked for every answer. Nil: answers don't say it.
	Seq func() knowledge.Seq
	// Status returns what the status page shows beyond the version and the level. Nil: nothing.
	Status func(ctx context.Context) any
	// Guidance tells what holds for a path or a task. Nil: nobody does, and there are no such paths.
	Guidance *guidance.Index
	// Labels lists and searches documents as they stand at a label. Nil: only single documents are read at labels.
	Labels store.LabelReader
	// Batches tells where a batch stands. Nil: what the log of changes knows.
	Batches BatchTeller
	// Desk keeps the conflicts of an outage. Nil: there are none.
	Desk Desk
	// Policy says what is written by proposals alone: no decision of a conflict is a way round it.
	Policy access.Policy
	// Mirror is what stands in for the primary while it is away. Nil: there is none.
	Mirror Mirror
	// Jobs is the work that comes round. Nil: there is none.
	Jobs Jobs
	// Fleet knows how repositories stand to what they take. Nil: nobody does, and there are no such paths.
	Fleet Fleet
	// Check checks files. Nil: nobody does, and there is no such path.
	Check func(ctx context.Context, q *check.Question) (*check.Result, error)
	// Effects knows what rules and practices do. Nil: nobody does, and there is no such path.
	Effects Effects
	// Audit keeps the calls that were refused. Nil: nobody does.
	Audit Audit
	// Uses counts how often templates are rendered. Nil: nobody counts.
	Uses UseCounter
	// Ready returns why tenet can't answer, nothing when it can. Nil: what the store's Ping says.
	Ready func(ctx context.Context) []string
	// Notes returns what an operator should know although tenet can answer. Nil: nothing.
	Notes func() []string
	// Crowded returns why there is no room for more callers before they reach the door, "" when there is. Nil: there always is.
	Crowded func() string
	// Trusted are the addresses of proxies, whose X-Forwarded-For tells where a call comes from.
	Trusted []netip.Prefix
	// Origins are those of other sites whose pages may ask, as [CheckOrigin] takes them. None: no other site's may.
	Origins []string
	// Fresh marks the context of a request that says Cache-Control: no-cache. Nil: such requests are like others.
	Fresh func(ctx context.Context) context.Context
	// Observe returns what is called after every request of a route, as in "GET /api/v1/rules/{id}"; it is asked once for each
	// route, when that is first used. Nil: nobody measures.
	Observe func(route string) func(status int, took time.Duration)
	// Erase erases a person. Nil: this tenet can't.
	Erase Eraser
	// MetricsOpen lets /metrics be read without a token.
	MetricsOpen bool
	// MetricsHandler answers /metrics. Nil: there is no such path.
	MetricsHandler http.Handler
	// Mounts are the other doors.
	Mounts []Mount
	// LiveDescription is the AsyncAPI document of the stream of changes, as JSON. Nil: there is no such path.
	LiveDescription []byte
	// Pages tell a browser what went wrong. Nil: it is told as programs are.
	Pages Pages
	// Log gets what a person should know: panics, errors that nobody foresaw, outages. Nil: nothing is logged.
	Log *slog.Logger
	// AccessLog gets a line for every request. Nil: none is written.
	AccessLog *slog.Logger
	// Limits bounds what a caller may ask for.
	Limits Limits
	// Version is that of the program, for the status page.
	Version string
}

// Limits bounds requests. Zero values stand for the defaults.
type Limits struct {
	// Timeout is how long the store may take for a write or a long read.
	Timeout time.Duration `name:"command-timeout" default:"60s" doc:"Longest time for one request's work"`
	// MaxBody and MaxBatchBody bound the bytes of a request's body, and of a batch.
	MaxBody      int64 `name:"max-body" default:"4194304" doc:"Bytes of a request's body"`
	MaxBatchBody int64 `name:"max-batch-body" default:"33554432" doc:"Bytes of a batch"`
	// MaxConcurrent bounds the requests at a time, probes not counted; more are refused with 503.
	MaxConcurrent int `name:"max-requests" default:"1024" least:"1" doc:"Requests at work at one time; more are told to come back"`
	// MaxEach bounds those of one principal, and of those whose body is on its way; more are refused with 429. When 0 it is a quarter of
	// MaxConcurrent, 64 at least.
	MaxEach      int           `name:"requests-each" default:"256" least:"1" doc:"Requests of one principal at one time; more are refused with 429, and the others are answered"`
	MaxWaiting   int           // of these, requests that wait for a change; more are refused with 503: 512
	MaxBodies    int64         // bytes of all bodies in flight; more are refused with 503: 256 MiB
	BodyWindow   time.Duration // in which 16 KiB of a body must come, or all that is left of it: 10 s
	MaxURL       int           // bytes of the path and query: 8 KiB
	CompressFrom int           // bytes from which an answer is compressed for clients that accept it: 12 KiB; negative: never
}

// A BatchTeller tells where a batch stands.
type BatchTeller interface {
	// Batch returns the status of a batch; an unknown one is [store.ErrNotFound].
	Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error)
}

// A UseCounter counts how often templates are rendered.
type UseCounter interface {
	// Use counts one rendering. It does not wait.
	Use(template string)
	// Uses returns how often each of these templates was rendered; those never rendered may be left out.
	Uses(ctx context.Context, ids []string) (map[string]int64, error)
}

// A Handler answers HTTP requests. Make one with [New].
type Handler struct {
	o          Options
	mux        *http.ServeMux
	routes     []*route
	reads      map[string]directReads     // by the plural of their kind
	nowhere    *route                     // what matches no other
	working    atomic.Int64               // requests at work
	bodies     atomic.Int64               // bytes of bodies that requests at work hold
	shares     shares                     // what each caller has of the door
	spelled    atomic.Pointer[spelled]    // the last time that was written to a header
	spelledSeq atomic.Pointer[spelledSeq] // the last seq that was written to one
	placed     atomic.Pointer[placed]     // the last position that was written to one
	waiting    chan struct{}              // one for each long poll; a full one refuses
	drained    chan struct{}              // closed when long polls should end
	drain      sync.Once
	spec       func() (*specification, error) // made when first asked for
	zstd       *zstd.Encoder
	gzip       sync.Pool // of *gzip.Writer
	buffers    sync.Pool // of *[]byte
	calls      sync.Pool // of *call
}

// New returns the door to o.Store.
func New(o Options) *Handler {
	o = o.withDefaults()
	h := &Handler{
		o:       o,
		mux:     http.NewServeMux(),
		reads:   map[string]directReads{},
		nowhere: &route{name: "unmatched"},
		waiting: make(chan struct{}, o.Limits.MaxWaiting),
		drained: make(chan struct{}),
		zstd:    newZstd(),
	}
	h.gzip.New = newGzip
	h.buffers.New = func() any { b := make([]byte, 0, 16<<10); return &b }
	h.calls.New = func() any { return new(call) }
	h.spec = sync.OnceValues(h.specify)
	h.measure(h.nowhere)
	for _, rt := range h.table() {
		h.register(rt)
	}
	h.mux.HandleFunc("/", h.unmatched)
	return h
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Level == nil {
		o.Level = func() knowledge.Level {
			return knowledge.Level{Mode: knowledge.ModeNormal, AsOf: knowledge.At(time.Now())}
		}
	}
	if o.Authenticate == nil {
		o.Authenticate = func(string) (*access.Caller, error) { return nil, store.ErrUnauthenticated }
	}
	if o.Batches == nil {
		o.Batches = logged{o.Store}
	}
	if o.Notes == nil {
		o.Notes = func() []string { return nil }
	}
	if o.Ready == nil {
		o.Ready = func(ctx context.Context) []string { return pinged(ctx, o.Store) }
	}
	l := &o.Limits
	if l.MaxEach == 0 && l.MaxConcurrent > 0 {
		l.MaxEach = max(l.MaxConcurrent/4, 64)
	}
	settings.Defaults(l)
	l.MaxURL = orInt(l.MaxURL, 8<<10)
	if l.MaxBodies == 0 {
		l.MaxBodies = 256 << 20
	}
	if l.BodyWindow == 0 {
		l.BodyWindow = 10 * time.Second
	}
	l.MaxWaiting = orInt(l.MaxWaiting, 512)
	// What fits the first packets of a connection arrives no sooner when it is compressed, which costs more than all the rest.
	l.CompressFrom = orInt(l.CompressFrom, 12<<10)
	return o
}

func orInt[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Drain ends the requests that wait for a change, now and from now on, so that a server can stop without waiting for them.
// They answer with what there is.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.drained) }) }
