package httpapi

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// This file walks the path of a read that memory answers, in order: the route, the token, the question. The answer is
// made and sent by answer.go, and conn.go hands a page to the system in one piece. The other half is read.go of package
// cache; between the two lie the one-line methods of access and observe. Nothing on the path encodes a document or asks
// anybody outside the process.

// apiPrefix begins the path of every document.
const apiPrefix = "/api/v1/"

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.calls.Get().(*call) // the pool holds nothing else
	*c = call{h: h, w: w, r: r, start: time.Now(), request: &access.Request{
		Context: r.Context(), Given: givenID(r.Header), Number: rand.Uint64() | 1<<63, Door: "rest", //nolint:gosec // no secret
	}}
	c.request.Origin = origin{c}
	if len(r.Header[leavingHeader]) > 0 {
		c.request.Context = store.WithLeaving(c.request.Context)
	}
	defer c.finish()
	c.level = h.o.Level()
	if len(h.o.Origins) > 0 && crossOrigin(c) {
		return
	}
	if rt, id := h.direct(r); rt != nil {
		c.direct, c.docID = true, id
		c.serve(rt)
		return
	}
	if len(r.RequestURI) > h.o.Limits.MaxURL {
		c.fail(api.Refuse(api.ErrURLTooLong, "the URL has %d bytes: at most %d fit", len(r.RequestURI),
			h.o.Limits.MaxURL))
		return
	}
	h.mux.ServeHTTP(c, r)
}

// direct returns the route of a read of one document or of a list, and the document's id, faster than the mux would. It
// returns nil for all other requests, which the mux routes.
func (h *Handler) direct(r *http.Request) (*route, string) {
	rest, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	if !ok || r.Method != http.MethodGet || len(r.RequestURI) > h.o.Limits.MaxURL {
		return nil, ""
	}
	plural, id, one := strings.Cut(rest, "/")
	reads, ok := h.reads[plural]
	switch {
	case !ok:
		return nil, ""
	case !one:
		return reads.many, ""
	case plainID(id):
		return reads.one, id
	}
	return nil, ""
}

// serve runs a route.
func (c *call) serve(rt *route) {
	c.route = rt
	if rt.door != "" { // before anybody is refused there
		c.request.Door = rt.door
	}
	if err := c.enter(); err != nil {
		c.fail(err)
		return
	}
	defer c.leave()
	if err := rt.handler.run(c); err != nil {
		c.fail(err)
	}
}

// enter prepares a request for its route: a slot, the caller, the wishes for its reads.
func (c *call) enter() error {
	c.ctx = c.request
	if !c.route.probe {
		c.slot = true
		if c.h.working.Add(1) > int64(c.h.o.Limits.MaxConcurrent) {
			return busy("too many requests at once")
		}
	}
	if !c.route.public {
		if err := c.authenticate(); err != nil {
			return err
		}
	}
	if c.route.token != nil {
		if err := recognise(c); err != nil {
			return err
		}
	}
	if err := mayAnswer(c); err != nil {
		return err
	}
	if !c.route.raw && !accepts(c.r.Header["Accept"], c.route.media()) && !c.wants(c.route.also()) {
		return api.Refuse(api.ErrNotAcceptable, "this path answers with %s", c.route.media())
	}
	if c.h.o.Fresh != nil && wantsFresh(c.r.Header["Cache-Control"]) {
		c.ctx = c.h.o.Fresh(c.ctx)
	}
	return c.wish()
}

// wish reads the headers Tenet-Min-Seq and Tenet-Require.
func (c *call) wish() error {
	least, require := c.r.Header["Tenet-Min-Seq"], c.r.Header["Tenet-Require"]
	if least == nil && require == nil {
		return nil
	}
	w := store.WishOf(c.ctx)
	if least != nil {
		n, err := strconv.ParseInt(least[0], 10, 64)
		if err != nil || n < 0 || len(least) > 1 {
			return knowledge.BadQuery("Tenet-Min-Seq", "%q: want one number, the newest Tenet-Seq that was seen",
				strings.Join(least, ", "))
		}
		w.MinSeq = knowledge.Seq(n)
	}
	if require != nil {
		if w.Required = len(require) == 1 && require[0] == "fresh"; !w.Required {
			return knowledge.BadQuery("Tenet-Require", "%q: want fresh", strings.Join(require, ", "))
		}
		w.Fresh = true
	}
	c.ctx = store.WithWish(c.ctx, w)
	return nil
}

// maxAgentName is how many bytes of the name an agent gives itself are kept; of a longer one none is.
const maxAgentName = 100

func (c *call) authenticate() error {
	token, ok := bearer(c.r.Header["Authorization"])
	if !ok {
		if c.route.path == metricsPath && c.h.o.MetricsOpen {
			return nil
		}
		return store.ErrUnauthenticated
	}
	caller, err := c.h.o.Authenticate(token)
	if err != nil {
		return err
	}
	if c.r.Header["Tenet-Agent"] != nil && !caller.Agent { // even where its name is a variable that is not set
		less := *caller // shared by all calls
		less.Agent = true
		if name := c.r.Header.Get("Tenet-Agent"); knowledge.TextFault(name) == "" && len(name) <= maxAgentName {
			less.Using = strings.TrimSpace(name)
		}
		caller = &less
	}
	c.request.Caller = caller
	if c.route.probe {
		return nil
	}
	return takeShare(c, caller.ID)
}

type getParams struct {
	documentPath
	knownHeader
}

func (l *collection) get(c *call, _ *getParams) error {
	key, err := l.key(c)
	if err != nil {
		return err
	}
	rec, err := l.h.o.Store.Get(c.ctx, key)
	if err != nil {
		return err
	}
	return c.answerRecord(rec)
}

func (l *collection) list(c *call, p *listParams, f faultList) error { return l.listed(c, p, "", f) }

// listAtParams are those of the lists of a kind whose documents are read at labels too.
type listAtParams struct {
	listParams
	labelsParam
}

func (l *collection) listAt(c *call, p *listAtParams, f faultList) error {
	return l.listed(c, &p.listParams, p.Label, f)
}

// listed answers with a page of documents as they stand at a label, as they are now without one.
func (l *collection) listed(c *call, p *listParams, label string, f faultList) error {
	q := p.query(&f)
	q.Kind = l.kind
	fields := p.wanted(l.kind, &f)
	if len(f) > 0 {
		_, _, err := q.Check() // what else is wrong is told at once
		f.merge(err)
		return f.err(true)
	}
	at := l.h.position()
	if label != "" {
		at = "" // that is of now
	}
	page, err := l.page(c, label, q)
	if err != nil {
		return err
	}
	view := strings.Join(fields, ",")
	a, err := viewsOf(page.Memo).ready(view, func() (*ready, error) {
		body, err := encodePage(page, fields, q.Total)
		return withNextPage(c, newReady(body, pageTag(page, view)), page.Next), err
	})
	if err != nil {
		return err
	}
	c.source = page.Source
	c.placed(at)
	c.sendReady(a)
	return nil
}

// finish releases the resources of a request and records it, also after a panic.
func (c *call) finish() {
	abort := false
	if v := recover(); v != nil {
		abort = c.panicked(v)
	}
	if c.slot {
		c.h.working.Add(-1)
	}
	if c.held > 0 {
		c.h.bodies.Add(-c.held)
	}
	letAnswerGo(c)
	leaveShare(c)
	took := time.Since(c.start)
	rt := c.route
	if rt == nil {
		rt = c.h.nowhere
	}
	rt.observe()(c.status, took)
	if c.h.o.AccessLog != nil {
		c.logAccess(rt.name, took)
	}
	if abort {
		panic(http.ErrAbortHandler)
	}
	if c.direct { // the server has copied the headers, and nobody has kept the call
		c.h.calls.Put(c)
	}
}

// recognise sets the caller of a mounted door by its own token. Without a valid one, the other door shows its public
// part.
func recognise(c *call) error {
	token := c.route.token(c.r)
	if token == "" {
		return nil
	}
	caller, err := c.h.o.Authenticate(token)
	if err != nil {
		return nil //nolint:nilerr // a caller whose token has expired is a stranger again, and is asked to sign in
	}
	c.request.Caller = caller
	return takeShare(c, caller.ID)
}

type getAtParams struct {
	getParams
	labelParam
}

// getAt is get for a kind whose documents are read at labels too.
func (l *collection) getAt(c *call, p *getAtParams) error {
	if p.Label == "" {
		return l.get(c, &p.getParams)
	}
	key, err := l.key(c)
	if err != nil {
		return err
	}
	rec, err := atLabel(c, p.Label, key)
	if err != nil {
		return err
	}
	return c.answerRecord(rec)
}
