package mcp

import (
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
)

// A session is one of the older protocol.
type session struct {
	of    string    // its principal
	ready bool      // the client has said that it is
	heard time.Time // when the SDK last got a message of it
}

// admit counts a session of the older protocol, and refuses it above the limit.
func (d *Door) admit(req mcp.Request) error {
	opened, ok := req.GetSession().(*mcp.ServerSession)
	x := req.GetExtra()
	if !ok || x == nil || x.TokenInfo == nil {
		return nil // standard input has one session
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	open := map[*mcp.ServerSession]bool{}
	for s := range d.server.Sessions() {
		open[s] = true
	}
	own := 0
	for s, kept := range d.sessions {
		if !open[s] {
			delete(d.sessions, s)
			delete(d.byID, s.ID())
			d.wanted.ended(s)
		} else if kept.of == x.TokenInfo.UserID {
			own++
		}
	}
	switch {
	case len(d.sessions) >= d.o.Limits.Sessions:
		return refuse("%d sessions are open, which is as many as there may be: try again later", len(d.sessions))
	case own >= d.o.Limits.PerPrincipal:
		return refuse("%d sessions of yours are open, which is as many as there may be: end one with DELETE", own)
	}
	kept := &session{of: x.TokenInfo.UserID, heard: time.Now()}
	d.sessions[opened], d.byID[opened.ID()] = kept, kept
	return nil
}

// hear notes that the SDK got a message of a session.
func (d *Door) hear(req mcp.Request, method string) {
	s, ok := req.GetSession().(*mcp.ServerSession)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if kept := d.sessions[s]; kept != nil {
		kept.heard, kept.ready = time.Now(), kept.ready || method == "notifications/initialized"
	}
}

// forget leaves a session that is about to end to the SDK.
func (d *Door) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byID, id)
}

// pastSDK is how long a session of the older protocol may be served without the SDK, which would otherwise take it for
// idle and end it, or has ended it.
func (d *Door) pastSDK() time.Duration { return min(time.Minute, d.o.Limits.Idle/4) }

// inSession reports whether a request belongs to an open session of its caller.
func (d *Door) inSession(r *http.Request) bool {
	if v := r.Header.Get(eraHeader); v != "2025-11-25" && v != "2025-06-18" {
		return false
	}
	id := r.Header.Get(sessionHeader)
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.byID[id]
	return s != nil && s.ready && s.of == access.CallerFrom(r.Context()).ID && time.Since(s.heard) < d.pastSDK()
}
