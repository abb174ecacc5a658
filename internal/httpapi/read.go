package httpapi

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// The path of a read that memory answers, from the request to the last byte, in the order in which it is walked: the route, the
// token, the question, the condition, the answer, the measures. Its other half is read.go of package cache; between the two lie
// the one-line methods of access and observe, and at its end conn.go, which hands a page to the system in one piece. Nothing on
// it encodes a document or asks anybody outside the process.

// apiPrefix begins the path of every document.
const apiPrefix = "/api/v1/"

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.calls.Get().(*call) // the pool holds nothing else
	*c = call{h: h, w: w, r: r, start: time.Now(), request: &access.Request{
		Context: r.Context(), Given: givenID(r.Header), Number: rand.Uint64() | 1<<63, //nolint:gosec // no secret
	}}
	c.request.Origin = origin{c}
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
		c.fail(refuse(errURLTooLong, "the URL has %d bytes: at most %d fit", len(r.RequestURI), h.o.Limits.MaxURL))
		return
	}
	h.mux.ServeHTTP(c, r)
}

// directReads are the routes of a collection that most requests are for.
type directReads struct{ one, many *route }

// direct returns the route of a read of one document or of a list, and the document's id: what the mux would find, without
// its work. It returns nil for everything else, and for every path that needs a second look.
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
	if err := c.enter(); err != nil {
		c.fail(err)
		return
	}
	defer c.leave()
	if err := rt.handler.run(c); err != nil {
		c.fail(err)
	}
}

// enter does what comes before every route: a slot, the caller, the deadline.
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
	if !c.route.raw && !accepts(c.r.Header["Accept"], c.route.media()) && !c.wants(c.route.also()) {
		return refuse(errNotAcceptable, "this path answers with %s", c.route.media())
	}
	if c.h.o.Fresh != nil && wantsFresh(c.r.Header["Cache-Control"]) {
		c.ctx = c.h.o.Fresh(c.ctx)
	}
	return c.wish()
}

// wish reads what a caller wishes for of its reads beyond the freshness.
func (c *call) wish() error {
	least, require := c.r.Header["Tenet-Min-Seq"], c.r.Header["Tenet-Require"]
	if least == nil && require == nil {
		return nil
	}
	w := store.WishOf(c.ctx)
	if least != nil {
		n, err := strconv.ParseInt(least[0], 10, 64)
		if err != nil || n < 0 || len(least) > 1 {
			return knowledge.BadQuery("Tenet-Min-Seq", "%q: want one number, the newest Tenet-Seq that was seen", strings.Join(least, ", "))
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
	if name := c.r.Header["Tenet-Agent"]; len(name) > 0 && name[0] != "" && !caller.Agent {
		less := *caller // shared by all calls
		less.Agent = true
		caller = &less
	}
	c.request.Caller = caller
	if c.route.probe {
		return nil
	}
	return takeShare(c, caller.ID)
}

// bearer returns the token of an Authorization header.
func bearer(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

// key returns the key that the path names. What can't be an id names nothing.
func (l *collection) key(c *call) (knowledge.Key, error) {
	key := knowledge.Key{Kind: l.kind, ID: c.docID}
	if key.ID != "" {
		return key, nil
	}
	key.ID = c.r.PathValue("id")
	if !plainID(key.ID) {
		if _, err := knowledge.ParseKey(string(l.kind) + "/" + key.ID); err != nil {
			return key, &refusal{store.ErrNotFound, err.Error(), &store.NotFoundError{Key: key}}
		}
	}
	return key, nil
}

// plainID tells most good ids without allocating.
func plainID(id string) bool { return len(id) > 2 && len(id) <= knowledge.MaxID && sane(id) }

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

// answerRecord answers with a document, unless the caller has it.
func (c *call) answerRecord(rec *knowledge.Record) error {
	c.source = rec.Source
	if tag := etag(rec); !c.unchanged(tag, len(rec.JSON)) {
		c.set("Etag", tag)
		c.send(http.StatusOK, mediaJSON, rec.JSON)
	}
	return nil
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
		return linked(c, newReady(body, pageTag(page, view)), page.Next), err
	})
	if err != nil {
		return err
	}
	c.source = page.Source
	c.placed(at)
	c.sendReady(a)
	return nil
}

func search(c *call, p *searchParams, f faultList) error {
	q := p.query(&f)
	if len(f) > 0 {
		_, _, err := q.Check() // what else is wrong is told at once
		f.merge(err)
		return f.err(true)
	}
	at := c.h.position()
	if p.Label != "" {
		at = "" // that is of now
	}
	found, err := hitsOf(c, p.Label, q)
	if err != nil {
		return err
	}
	a, err := p.ready(c, found)
	if err != nil {
		return err
	}
	c.source = found.Source
	c.placed(at)
	c.sendReady(a)
	return nil
}

// A ready answer is a page or hits as they are sent. It is made once and lives as long as they stay in memory.
type ready struct {
	body   []byte
	tag    string
	length string
	link   string // to the next page
	packed [codingCount]atomic.Pointer[packed]
}

// packed is a ready answer in one of the codings, made when somebody first accepts it.
type packed struct {
	body        []byte
	tag, length string
}

func newReady(body []byte, tag string) *ready {
	return &ready{body: body, tag: tag, length: strconv.Itoa(len(body))}
}

// in returns the answer in a coding.
func (a *ready) in(h *Handler, k coding) *packed {
	if p := a.packed[k].Load(); p != nil {
		return p
	}
	body := h.pack(k, a.body, nil)
	p := &packed{body: body, tag: tagIn(a.tag, k), length: strconv.Itoa(len(body))}
	a.packed[k].Store(p) // two at once make the same
	return p
}

// sendReady writes a ready answer, or that the caller has it already.
func (c *call) sendReady(a *ready) {
	if c.unchanged(a.tag, len(a.body)) {
		return
	}
	body, tag, length := a.body, a.tag, a.length
	if c.packable(len(a.body)) {
		if k, ok := preferred(c.r.Header["Accept-Encoding"]); ok {
			p := a.in(c.h, k)
			body, tag, length = p.body, p.tag, p.length
			c.set("Content-Encoding", k.String())
		}
	}
	c.set("Etag", tag)
	if a.link != "" {
		c.set("Link", a.link)
	}
	c.whole(http.StatusOK, mediaJSON, body, length)
}

// unchanged answers a caller who has what a tag names already, and reports whether it did.
func (c *call) unchanged(tag string, size int) bool {
	same, ok := fresh(c, tag)
	if !ok {
		return false
	}
	c.packable(size)
	c.set("Etag", same)
	c.set("Cache-Control", privately)
	c.nothing(http.StatusNotModified)
	return true
}

// privately lets a caller keep an answer, and ask each time whether it still holds.
const privately = "private, no-cache"

// send writes a whole answer, compressed when the caller accepts that and it is long enough.
func (c *call) send(status int, media string, body []byte) {
	if c.packable(len(body)) {
		if packed, done := c.compress(body); packed != nil {
			defer done()
			body = packed
		}
	}
	c.whole(status, media, body, strconv.Itoa(len(body)))
}

// packable reports whether a body is long enough to be compressed, and says in a header that the answer depends on that.
func (c *call) packable(size int) bool {
	from := c.h.o.Limits.CompressFrom
	if from <= 0 || size < from {
		return false
	}
	if c.route != nil && c.route.also() != "" {
		vary(c, "Accept, Accept-Encoding")
	} else {
		vary(c, "Accept-Encoding")
	}
	return true
}

// whole writes an answer whose bytes are ready.
func (c *call) whole(status int, media string, body []byte, length string) {
	c.set("Content-Type", media)
	if c.w.Header()["Cache-Control"] == nil {
		c.set("Cache-Control", privately)
	}
	c.set("Content-Length", length)
	c.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return
	}
	if len(body) > shortAnswer {
		_ = c.writeAtOnce(body)
		return
	}
	_, _ = c.Write(body) // a caller that went away has nothing to be told
}

// head sets the headers that every answer with a status has. Each costs a little for every answer: so the id of a request that
// was answered well is told only to those who can find it somewhere.
func (c *call) head(status int) {
	level := c.answered()
	c.set("Tenet-Source", string(c.source))
	c.set("Tenet-Mode", string(level.Mode))
	if !level.AsOf.IsZero() {
		c.set("Tenet-As-Of", c.h.moment(level.AsOf))
	}
	if c.h.o.Seq != nil && c.w.Header()["Tenet-Seq"] == nil {
		c.set("Tenet-Seq", c.h.seq(c.h.o.Seq()))
	}
	if !c.direct || c.request.Given != "" || status >= http.StatusBadRequest || c.h.o.AccessLog != nil {
		c.set("X-Request-Id", c.request.RequestID())
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

// finish does what comes after every request, whatever became of it.
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

// nextURL returns the path and query of the next page.
func nextURL(u *url.URL, cursor string) string {
	q := u.Query()
	q.Set("cursor", cursor)
	return u.EscapedPath() + "?" + q.Encode()
}
