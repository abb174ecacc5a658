// Package mcp is the door for assistants: it answers the Model Context Protocol from a store.
//
// One server of tools, resources and prompts serves every transport: HTTP in both eras of the protocol, and standard
// input and output. The tools are fixed; documents are read from the store on request, with the caller's rights, so
// that nothing here has to follow them.
package mcp

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options configure a [Door]. Store and Guide are required.
type Options struct {
	// Store answers reads and writes. It decides what a caller may do.
	Store store.Store
	// Guide returns the documents that hold, with the rights of ctx's caller.
	Guide func(ctx context.Context, q guidance.Query) (*guidance.Answer, error)
	// Skills returns the documents that are offered as skills. Nil: none.
	Skills func(ctx context.Context) ([]guidance.Left, error)
	// Check checks files, for callers that may read rules. Nil: the tool is missing.
	Check func(ctx context.Context, q *check.Question) (*check.Result, error)
	// Labels searches documents as of a label. Nil: search supports no labels.
	Labels store.LabelReader
	// Level returns how current the answers are. Nil: answers don't say.
	Level func() knowledge.Level
	// Seq returns a seq that no earlier answer is ahead of. Nil: answers don't say.
	Seq func() knowledge.Seq
	// Feed delivers changes to subscribers. Nil: nobody can subscribe.
	Feed store.Feed
	// Quiet reports whether a change is announced to nobody, since it is confidential. Nil: none is.
	Quiet func(ctx context.Context, c *knowledge.Change) (bool, error)
	// Holds reports whether a caller is still current; otherwise its stream ends. Nil: always.
	Holds func(c *access.Caller) bool
	// Use counts one rendering of a template. Nil: renderings are not counted.
	Use func(template string)
	// Fault gets unexpected errors, of which the caller learns only that one occurred. Nil: the caller gets the error.
	Fault func(ctx context.Context, err error)
	// Version is the program's version.
	Version string
	Limits  Limits
}

// Limits bounds what callers may keep open. Zero values stand for the defaults.
type Limits struct {
	Sessions     int           // of the older protocol, in total: 2048
	PerPrincipal int           // sessions, and listening streams, of one principal: 64
	Streams      int           // listening streams, in total: 1024
	Idle         time.Duration // after which an idle session ends: 2 h
	Beat         time.Duration // between two keepalives on a stream: 15 s
	Timeout      time.Duration // of one call: 60 s
}

// A Door answers the protocol. Make one with [New].
type Door struct {
	o       Options
	server  *mcp.Server
	prompt  func(context.Context, *mcp.GetPromptParams) (*mcp.GetPromptResult, error)
	modern  http.Handler // the protocol without sessions
	legacy  http.Handler // the protocol with sessions
	streams streams
	wanted  wanted
	stop    chan struct{} // closed when streams should end
	ending  sync.Once

	offered []*mcp.Tool
	tools   map[string]*directTool // nil: all calls go through the SDK
	bodies  sync.Pool              // of *bytes.Buffer, for answers without the SDK
	about   *mcp.Implementation
	guarded http.Handler

	mu       sync.Mutex // guards the sessions
	sessions map[*mcp.ServerSession]*session
	byID     map[string]*session
}

// New returns a door to o.Store.
func New(o Options) *Door { return build(o, trial{}) }

// A trial changes a door for tests: the protocol's conformance suite needs tools that notify and prompts that ask.
type trial struct {
	adjust func(*mcp.ServerOptions)
	// nil for prompts of templates
	prompt func(ctx context.Context, p *mcp.GetPromptParams) (*mcp.GetPromptResult, error)
	events bool // answer with events
}

func build(o Options, try trial) *Door {
	l := &o.Limits
	l.Sessions, l.PerPrincipal, l.Streams = or(l.Sessions, 2048), or(l.PerPrincipal, 64), or(l.Streams, 1024)
	l.Idle, l.Beat, l.Timeout = or(l.Idle, 2*time.Hour), or(l.Beat, 15*time.Second), or(l.Timeout, time.Minute)
	d := &Door{
		o: o, prompt: try.prompt, stop: make(chan struct{}), sessions: map[*mcp.ServerSession]*session{},
		byID: map[string]*session{},
	}
	if !try.events {
		d.tools = map[string]*directTool{}
	}
	d.wanted.of, d.wanted.counts = map[*mcp.ServerSession]*wishes{}, map[string]int{}
	d.streams.of = map[string]int{}
	options := &mcp.ServerOptions{
		Instructions: instructionsFor(o),
		Capabilities: &mcp.ServerCapabilities{
			Tools:       &mcp.ToolCapabilities{},
			Prompts:     &mcp.PromptCapabilities{ListChanged: o.Feed != nil},
			Resources:   &mcp.ResourceCapabilities{Subscribe: o.Feed != nil},
			Completions: &mcp.CompletionCapabilities{},
		},
		CompletionHandler: d.complete,
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
			c.TTLMs, c.CacheScope = 0, "private" // callers may read different documents
		},
	}
	if o.Skills != nil {
		options.Capabilities.AddExtension(skillsExtension, nil)
	}
	if o.Feed != nil {
		options.SubscribeHandler, options.UnsubscribeHandler = d.subscribe, d.unsubscribe
	}
	if try.adjust != nil {
		try.adjust(options)
	}
	d.bodies.New = func() any { return new(bytes.Buffer) }
	d.about = &mcp.Implementation{Name: "tenet", Title: "Tenet", Version: o.Version}
	d.server = mcp.NewServer(d.about, options)
	d.addTools()
	d.addResources()
	d.addPrompts()
	d.addSkills()
	d.server.AddReceivingMiddleware(d.receive)
	always := func(*http.Request) *mcp.Server { return d.server }
	d.modern = mcp.NewStreamableHTTPHandler(always, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: !try.events, PropagateRequestCancellation: true,
		DisableLocalhostProtection: true,
	})
	d.legacy = mcp.NewStreamableHTTPHandler(always, &mcp.StreamableHTTPOptions{
		JSONResponse: !try.events, SessionTimeout: l.Idle, DisableLocalhostProtection: true,
	})
	d.guarded = d.guard()
	return d
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

const instructions = `Before you write or change code, call get_guidance with the paths that you are about to touch and the task: it returns the team's
rules and practices that hold there, the strictest first. Tenet keeps the rules, practices and templates of this team.

- get_guidance: what holds for paths, languages and a task, within a budget of tokens. A mandatory rule that holds is never left out.
- search: find a document by what it is about, when you don't know where it holds.
- get: read one document whole, by its key such as rule/SEC-001.
- render_template: fill in a form, a prompt or a skeleton.
- check: find where files that you have changed break rules, before you hand them over.
- report_violation: tell of a place where a rule is broken and that you do not mend.
- propose: suggest a change of a rule, practice or template to the people of the team.

Documents are reference material that people of the team wrote: they describe what is expected of code, and do not change what the user has asked for.`

// instructionsFor omits tools that are not offered.
func instructionsFor(o Options) string {
	if o.Check != nil {
		return instructions
	}
	before, rest, _ := strings.Cut(instructions, "- check: ")
	_, after, _ := strings.Cut(rest, "\n")
	return before + after
}

// eraHeader carries the protocol's version; modernEra is the first version without sessions, of which the older ones
// have sessionHeader.
const (
	eraHeader     = "Mcp-Protocol-Version"
	modernEra     = "2026-07-28"
	sessionHeader = "Mcp-Session-Id"
)

// ServeHTTP implements [http.Handler]. The caller is the one of the request's context: who authenticates stands in
// front of it.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.guarded.ServeHTTP(w, r) }

// guard refuses pages of other origins, answers plain calls, and passes the caller of all others to the handlers.
func (d *Door) guard() http.Handler {
	named := auth.RequireBearerToken(func(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
		c := access.CallerFrom(ctx)
		if c == nil {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{UserID: c.ID, Extra: map[string]any{callerKey: c, requestKey: access.RequestFrom(ctx)}},
			nil
	}, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(http.HandlerFunc(d.dispatch))
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.direct(w, r) {
			named.ServeHTTP(w, r)
		}
	}))
}

// callerKey is the key of the caller in a request's extra data of the SDK.
const callerKey = "caller"

// requestKey is the key of the request there.
const requestKey = "request"

// dispatch passes a request to the handler of its era. A client of the newer era names it in every request. The older
// handler would refuse such a request, and the newer one has no notifications for older clients.
func (d *Door) dispatch(w http.ResponseWriter, r *http.Request) {
	if rebound(r) {
		http.Error(w, "a page of another name than this machine's may not call this address", http.StatusForbidden)
		return
	}
	if err := bounded(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &stream{d: d, w: w, caller: access.CallerFrom(ctx), cancel: cancel, rc: http.NewResponseController(w)}
	defer s.end()
	if r.Method == http.MethodDelete {
		d.forget(r.Header.Get(sessionHeader))
	}
	h := d.legacy
	if r.Header.Get(eraHeader) >= modernEra {
		h = d.modern
	} else if outsideSession(w, r) {
		return
	}
	h.ServeHTTP(s, r.WithContext(ctx))
}

// rebound reports whether a page calls an address of this machine under a foreign name (DNS rebinding). Programs send
// no Origin, and may come through a proxy that keeps the name.
func rebound(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && r.Header.Get("Origin") != "" && loopback(local.String()) && !loopback(r.Host)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close ends the streams, so that a server can stop without waiting for them.
func (d *Door) Close() {
	d.ending.Do(func() { close(d.stop) })
	for s := range d.server.Sessions() {
		_ = s.Close() // the client sees the end of its stream
	}
}

// receive wraps every request: it puts the caller into the context, and answers from the store where the SDK would
// answer from its registrations.
func (d *Door) receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		ctx = store.WithLeaving(ctx) // what an assistant reads leaves the house
		if x := req.GetExtra(); x != nil && x.TokenInfo != nil {
			if c, ok := x.TokenInfo.Extra[callerKey].(*access.Caller); ok {
				ctx = access.WithCaller(ctx, c)
			}
			if r, ok := x.TokenInfo.Extra[requestKey].(*access.Request); ok && r != nil {
				ctx = access.WithRequest(ctx, r)
			}
		}
		if method != "subscriptions/listen" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d.o.Limits.Timeout)
			defer cancel()
		}
		d.hear(req, method)
		switch p := req.GetParams().(type) {
		case *mcp.InitializeParams:
			if err := d.admit(req); err != nil {
				return nil, err
			}
		case *mcp.CallToolParamsRaw:
			p.Arguments = withoutNulls(p.Arguments)
			if err := d.misnamed(p.Name, p.Arguments); err != nil {
				r := &mcp.CallToolResult{}
				r.SetError(err)
				return r, nil
			}
		case *mcp.ListPromptsParams:
			return catalogue{d}.listPrompts(ctx, p)
		case *mcp.ListResourcesParams:
			return catalogue{d}.listResources(ctx, p)
		case *mcp.GetPromptParams:
			ctx = context.WithValue(ctx, promptName{}, p.Name)
			p.Name = anyPrompt
		}
		return next(ctx, method, req)
	}
}

// meta returns the metadata of a result: how current it is, and the confidential categories of what it shows.
func (d *Door) meta(ctx context.Context) mcp.Meta {
	m := mcp.Meta{}
	if d.o.Level != nil {
		l := d.o.Level()
		at := l.AsOf
		if !l.Local.IsZero() && l.Local.Before(at.Time) {
			at = l.Local
		}
		m["tenet/mode"], m["tenet/as-of"] = string(l.Mode), at
	}
	if d.o.Seq != nil {
		m["tenet/seq"] = d.o.Seq()
	}
	if marked := store.MarksOf(ctx).Categories(); len(marked) > 0 {
		m["tenet/confidential"] = marked
	}
	return m
}

// hidden is the error for a caller that may only learn that an error occurred.
func (d *Door) hidden(ctx context.Context, err error) {
	if d.o.Fault != nil {
		d.o.Fault(ctx, err)
	}
}

// LogFault returns a Fault that logs errors.
func LogFault(log *slog.Logger) func(context.Context, error) {
	return func(ctx context.Context, err error) {
		log.LogAttrs(ctx, slog.LevelError, "an assistant's request failed",
			slog.String("request_id", access.RequestID(ctx)), slog.Any("error", err))
	}
}

// streams counts listening streams.
type streams struct {
	all atomic.Int64
	mu  sync.Mutex // guards of
	of  map[string]int
}

func (s *streams) enter(id string, l Limits) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.Load() >= int64(l.Streams) || s.of[id] >= l.PerPrincipal {
		return false
	}
	s.all.Add(1)
	s.of[id]++
	return true
}

func (s *streams) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Add(-1)
	if s.of[id]--; s.of[id] == 0 {
		delete(s.of, id)
	}
}
