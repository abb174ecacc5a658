package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"tenet/internal/access"
	"tenet/internal/httpapi"
	"tenet/internal/store"
)

// startRetry is when a caller who comes too early should ask again.
const startRetry = time.Second

// A gate answers on the port until the door is open: the process is alive, and not ready yet. Once the door is open,
// reads pass. Writes wait until the server has connected to PostgreSQL or has given up for now; otherwise they would be
// journalled needlessly.
type gate struct {
	starting http.Handler
	door     atomic.Pointer[http.Handler] // nil until reads can be answered
	joined   chan struct{}                // closed when writes can be taken
	open     atomic.Bool                  // both are done, and nothing has to be looked at any more
}

func newGate(version string, log *slog.Logger) *gate {
	g := &gate{joined: make(chan struct{})}
	// Every path that there will be is there: a stream that comes back while its tenet starts must not hear that there
	// is none.
	later := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	const why = "this server is starting"
	doors := []httpapi.Mount{liveDoor(later), assistantDoor(later)}
	g.starting = httpapi.New(httpapi.Options{
		Version: version, Log: log, Mounts: doors, MetricsHandler: later,
		Ready: func(context.Context) []string { return []string{why} },
		// Nobody can be told from a stranger yet, so nobody is refused as one.
		Authenticate: func(string) (*access.Caller, error) {
			return nil, &store.UnavailableError{Reason: why + ": ask again soon", RetryAfter: startRetry, NotDone: true}
		},
	})
	return g
}

// reads lets reads through to a door.
func (g *gate) reads(door http.Handler) { g.door.Store(&door) }

// writes lets everything through.
func (g *gate) writes() {
	if !g.open.Swap(true) {
		close(g.joined)
	}
}

// ServeHTTP implements [http.Handler].
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	door := g.door.Load()
	if door == nil {
		g.starting.ServeHTTP(w, r)
		return
	}
	if !g.open.Load() && r.Method != http.MethodGet && r.Method != http.MethodHead {
		select {
		case <-g.joined:
		case <-r.Context().Done():
			return
		}
	}
	(*door).ServeHTTP(w, r)
}
