// Package httpapi is the REST door: it turns HTTP requests into questions to a store, and their answers into HTTP.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

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
	}
	h.compressor.init()
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
		o.Batches = batchLog{o.Store}
	}
	if o.Notes == nil {
		o.Notes = func() []string { return nil }
	}
	if o.Ready == nil {
		o.Ready = func(ctx context.Context) []string { return pingReasons(ctx, o.Store) }
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
	if l.MaxAnswers == 0 {
		l.MaxAnswers = 256 << 20
	}
	if l.BodyWindow == 0 {
		l.BodyWindow = 10 * time.Second
	}
	l.MaxWaiting = orInt(l.MaxWaiting, 512)
	// What fits the first packets of a connection arrives no sooner when it is compressed, which costs more than all
	// the rest.
	l.CompressFrom = orInt(l.CompressFrom, 12<<10)
	return o
}

// Drain ends the requests that wait for a change, now and from now on, so that a server can stop without waiting for
// them. They answer with the changes so far.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.drained) }) }

func (h *Handler) register(rt *route) {
	rt.name = rt.method + " " + rt.path
	rt.queries = newQuerySet(rt.handler.params, rt.handler.of)
	h.routes = append(h.routes, rt)
	h.measure(rt)
	h.mux.HandleFunc(rt.name, func(w http.ResponseWriter, _ *http.Request) {
		w.(*call).serve(rt) // ServeHTTP hands the mux nothing else
	})
	if plural, ok := strings.CutPrefix(rt.path, apiPrefix); ok && rt.method == http.MethodGet && rt.kind != "" {
		reads := h.reads[rt.kind.Plural()]
		switch plural {
		case rt.kind.Plural():
			reads.many = rt
		case rt.kind.Plural() + "/{id}":
			reads.one = rt
		}
		h.reads[rt.kind.Plural()] = reads
	}
}

// measure creates the metrics of a route when it is first used.
func (h *Handler) measure(rt *route) {
	rt.observe = sync.OnceValue(func() func(int, time.Duration) {
		if h.o.Observe == nil {
			return func(int, time.Duration) {}
		}
		return h.o.Observe(rt.name)
	})
}

// table returns every route.
func (h *Handler) table() []*route {
	var all []*route
	for _, part := range [][]*route{
		h.documentRoutes(), tokenRoutes(), proposalRoutes(h), h.searchRoutes(), guidanceRoutes(), fleetDoor{h}.routes(),
		effectDoor{h}.routes(), checkDoor{h}.routes(), batchRoutes(h), templateRoutes(), changeRoutes(),
		conflictRoutes(h), jobRoutes(), erasureRoutes(),
		opsRoutes(h), mountRoutes(h.o.Mounts),
	} {
		all = append(all, part...)
	}
	return all
}

// unmatched answers requests that match no route: the path does not exist, or does not have the method.
func (h *Handler) unmatched(w http.ResponseWriter, r *http.Request) {
	c := w.(*call) // ServeHTTP hands the mux nothing else
	var allowed []string
	probe := *r
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete,
	} {
		probe.Method = m
		if _, pattern := h.mux.Handler(&probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		c.fail(api.Refuse(api.ErrNoPath, "there is nothing at this path; /docs shows what there is"))
		return
	}
	list := strings.Join(allowed, ", ")
	c.Header().Set("Allow", list)
	c.fail(api.Refuse(api.ErrMethod, "this path knows %s", list))
}
