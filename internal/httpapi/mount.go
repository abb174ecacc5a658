package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// A Mount is another door that callers reach through this one, which finds out who is calling, bounds what each may take, counts and logs. Its
// routes are no operations of the OpenAPI document: its protocol describes itself.
type Mount struct {
	Tag string // of its requests, for people who read the routes
	// Routes are a method and a path each, as in "GET /search".
	Routes []string
	// Serve answers a request; the context says who is calling. An error is answered as any other of this door.
	Serve func(w http.ResponseWriter, r *http.Request) error
	// Token returns the token that a request signed in with, "" for a stranger, who is let through. If nil, the token is in the Authorization
	// header, and a request without one is refused.
	Token func(r *http.Request) string
	// Streams reports whether the answer to a request is a stream, which the other door bounds by itself; the body is nil for methods without
	// one. If nil, every request is a request at work, and its body is not read before Serve.
	Streams func(method string, body []byte) bool
}

// mountRoutes lead to the other doors.
func mountRoutes(list []Mount) []*route {
	var routes []*route
	for i := range list {
		m := &list[i]
		for _, name := range m.Routes {
			method, path, _ := strings.Cut(name, " ")
			rt := &route{method: method, path: path, tag: m.Tag, raw: true, public: m.Token != nil, token: m.Token}
			rt.probe = m.Streams != nil && m.Streams(method, nil)
			rt.handler = handler{params: typeOf[noParams](), run: func(c *call) error { return m.serve(c) }}
			routes = append(routes, rt)
		}
	}
	return routes
}

// serve hands a request to the other door.
func (m *Mount) serve(c *call) error {
	r := c.r.WithContext(c.ctx)
	if m.Streams != nil && c.r.Method == http.MethodPost {
		body, err := take(c, c.h.o.Limits.MaxBody)
		if err != nil {
			return err
		}
		if m.Streams(c.r.Method, body) {
			yield(c)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return m.Serve(c, r)
}

// recognise finds out who has signed in. Whoever has not is a stranger, to whom the other door shows its public part.
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
