package httpapi

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
)

// A route is one operation: how it is asked for, what it answers, and what the OpenAPI document says about it.
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
	raw          bool                       // it writes its answer itself
	token        func(*http.Request) string // of a mount whose callers sign in by other means than the Authorization header
	name         string                     // method and path, for measures and logs
	queries      *querySet
	observe      func() func(status int, took time.Duration) // see measure
}

// A handler is what a route runs, with the type that holds its parameters.
type handler struct {
	params reflect.Type
	of     *knowledge.Description // whose filters are the parameters of a list; nil for anything else
	run    func(c *call) error
}

// with makes a handler of a function that wants its parameters parsed.
func with[P any](fn func(c *call, p *P) error) handler {
	return collecting(func(c *call, p *P, f faultList) error {
		if len(f) > 0 {
			return f.err(true)
		}
		return fn(c, p)
	})
}

// collecting makes a handler of a function that has more to say about parameters of which some can't be read.
func collecting[P any](fn func(c *call, p *P, f faultList) error) handler {
	return handler{
		params: reflect.TypeFor[P](),
		run: func(c *call) error {
			p := new(P)
			f, err := c.route.queries.parse(c.r.URL.RawQuery, reflect.ValueOf(p).Elem())
			if err != nil {
				return err
			}
			return fn(c, p, f)
		},
	}
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

// A payload is what a request carries.
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

// measure sees to it that a route is measured from its first use on.
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
		effectDoor{h}.routes(), checkDoor{h}.routes(), batchRoutes(h), templateRoutes(), changeRoutes(), conflictRoutes(h), jobRoutes(), erasureRoutes(),
		opsRoutes(h), mountRoutes(h.o.Mounts),
	} {
		all = append(all, part...)
	}
	return all
}

// unmatched answers what no route does: a path that does not exist, or a method that a path does not have.
func (h *Handler) unmatched(w http.ResponseWriter, r *http.Request) {
	c := w.(*call) // ServeHTTP hands the mux nothing else
	var allowed []string
	probe := *r
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe.Method = m
		if _, pattern := h.mux.Handler(&probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		c.fail(refuse(errNoPath, "there is nothing at this path; /docs shows what there is"))
		return
	}
	list := strings.Join(allowed, ", ")
	c.Header().Set("Allow", list)
	c.fail(refuse(errMethod, "this path knows %s", list))
}
