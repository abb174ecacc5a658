package server

import (
	"bytes"
	"net/http"

	"tenet/internal/console"
	"tenet/internal/httpapi"
)

// The doors beside REST, each as it is mounted there. A new door is a function here and an element of the list in
// parts.door.

// liveDoor streams changes, as WebSockets or server-sent events.
func liveDoor(hub http.Handler) httpapi.Mount {
	return httpapi.Mount{
		Tag: "changes", Door: "live", Routes: []string{"GET /api/v1/live"}, Serve: serveWith(hub),
		Streams: func(string, []byte) bool { return true },
	}
}

// assistantDoor speaks the Model Context Protocol. Only calls are requests at work; what listens is a stream.
func assistantDoor(door http.Handler) httpapi.Mount {
	return httpapi.Mount{
		Tag: "assistants", Door: "mcp", Routes: []string{"GET /mcp", "POST /mcp", "DELETE /mcp"},
		Serve: serveWith(door),
		Streams: func(method string, body []byte) bool {
			return method != http.MethodPost || bytes.Contains(body, []byte("subscriptions/listen"))
		},
	}
}

// pageDoor is for people with a browser, who sign in with a cookie.
func pageDoor(pages *console.Door) httpapi.Mount {
	return httpapi.Mount{Tag: "pages", Door: "pages", Routes: console.Routes(), Serve: pages.Serve, Token: pages.Token}
}

func serveWith(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}
