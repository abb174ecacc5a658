package httpapi

import (
	"bytes"
	"io"
	"net/http"
)

const mcpPath = "/mcp"

// assistantRoutes lead to the door for assistants. They are no operations of the OpenAPI document: the Model Context Protocol
// describes itself.
func assistantRoutes(door http.Handler) []*route {
	var routes []*route
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		routes = append(routes, &route{
			method: method, path: mcpPath, tag: "assistants", raw: true, probe: method != http.MethodPost,
			handler: handler{params: typeOf[noParams](), run: func(c *call) error {
				r := c.r.WithContext(c.ctx)
				if c.r.Method == http.MethodPost {
					body, err := take(c, c.h.o.Limits.MaxBody)
					if err != nil {
						return err
					}
					if bytes.Contains(body, []byte("subscriptions/listen")) {
						yield(c) // a listening stream is no request at work; the door bounds them by itself
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				door.ServeHTTP(c, r)
				return nil
			}},
		})
	}
	return routes
}
