package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// mountRoutes lead to the other doors.
func mountRoutes(list []Mount) []*route {
	var routes []*route
	for i := range list {
		m := &list[i]
		for _, name := range m.Routes {
			method, path, _ := strings.Cut(name, " ")
			rt := &route{
				method: method, path: path, tag: m.Tag, door: m.Door, raw: true, public: m.Token != nil,
				token: m.Token,
			}
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
		body, err := takeBody(c, c.h.o.Limits.MaxBody)
		if err != nil {
			return err
		}
		if m.Streams(c.r.Method, body) {
			yieldSlot(c)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return m.Serve(c, r)
}
