package live

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// ServeHTTP answers a subscription: as a WebSocket, or as server-sent events where the request accepts them. The context says
// who is calling. Refusals come before the stream begins, but for one: a WebSocket is told in a message that its position is
// gone, since a browser shows nobody the status of a refused handshake.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, err := h.admit(r)
	switch {
	case err != nil:
		h.refuse(w, err)
	case isWebSocket(r):
		h.serveSocket(w, r, s)
	default:
		h.serveEvents(w, r, s)
	}
}

// serveSocket starts a WebSocket. It returns as soon as the handshake is done: from then on the connection is the hub's, and
// what the HTTP server kept for it is free.
func (h *Hub) serveSocket(w http.ResponseWriter, r *http.Request, s *subscriber) {
	socket, err := h.openSocket(w, r)
	if err != nil {
		h.leave(s)
		return
	}
	s.connect(socket)
	ctx := r.Context()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		s.end(socket.listen(ctx))
	}()
	go func() {
		defer h.leave(s)
		s.check()
		s.run()
		socket.Cut()
		<-heard
	}()
}

// serveEvents answers with server-sent events until the stream ends.
func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request, s *subscriber) {
	defer h.leave(s)
	stop := context.AfterFunc(r.Context(), func() { s.end(endLeft) })
	defer stop()
	s.check()
	switch ending(s.why.Load()) {
	case endGone:
		h.refuse(w, &store.GoneError{Oldest: s.oldest})
		return
	case endReplaced:
		h.refuse(w, errReplaced)
		return
	default:
	}
	s.connect(h.openStream(w, r))
	s.run()
}

// admit reads a request and finds room for it.
func (h *Hub) admit(r *http.Request) (*subscriber, error) {
	caller := access.CallerFrom(r.Context())
	if caller == nil {
		return nil, store.ErrUnauthenticated
	}
	if !caller.Has(knowledge.RoleViewer) {
		return nil, &store.ForbiddenError{Reason: fmt.Sprintf("%q is no role that may do anything", caller.Role)}
	}
	if err := h.checkOrigin(r); err != nil {
		return nil, err
	}
	if !isWebSocket(r) && !strings.Contains(strings.Join(r.Header.Values("Accept"), ","), mediaEvents) {
		return nil, errUpgrade
	}
	sub, err := subscribe(r)
	if err != nil {
		return nil, err
	}
	sub.principals = caller.Has(knowledge.RoleAdmin)
	if sub.asksForPrincipals() && !sub.principals {
		return nil, caller.Deny("only admins may see principals")
	}
	return h.join(caller, sub, sub.name())
}

// join adds a subscriber.
func (h *Hub) join(caller *access.Caller, sub *subscription, name string) (*subscriber, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.principals[caller.ID]
	switch {
	case h.closing:
		return nil, &store.UnavailableError{Reason: "this tenet stops: come back later, or to another one", RetryAfter: comeBack(h.count)}
	case !h.ready:
		return nil, &store.UnavailableError{Reason: "the log of changes can't be read now: come back later", RetryAfter: comeBack(0)}
	case h.count >= h.o.MaxConnections:
		return nil, &store.UnavailableError{
			Reason: fmt.Sprintf("%d streams are open, and no more are allowed: come back later", h.count), RetryAfter: comeBack(h.count),
		}
	case len(own) >= h.o.MaxPerPrincipal:
		return nil, &tooManyError{streams: len(own)}
	}
	s := &subscriber{h: h, caller: caller, sub: sub, quit: make(chan struct{}), after: sub.after}
	if sub.tail {
		s.after = h.ring.high
	}
	s.at.Store(-1)
	if s.group = h.groups[name]; s.group == nil {
		s.group = &group{filter: &sub.filter, name: name, bell: newBell()}
		h.groups[name] = s.group
	}
	s.group.size++
	if own == nil {
		own = map[*subscriber]struct{}{}
		h.principals[caller.ID] = own
	}
	own[s] = struct{}{}
	h.count++
	h.work.Add(1)
	return s, nil
}

// leave removes a subscriber.
func (h *Hub) leave(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.group.size--; s.group.size == 0 {
		delete(h.groups, s.group.name)
	}
	own := h.principals[s.caller.ID]
	if delete(own, s); len(own) == 0 {
		delete(h.principals, s.caller.ID)
	}
	h.count--
	h.work.Done()
}

// checkOrigin refuses pages of other hosts: a browser lets any page open a WebSocket to anywhere.
func (h *Hub) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil // no browser
	}
	u, err := url.Parse(origin)
	if err == nil && u.Host != "" {
		if strings.EqualFold(u.Host, r.Host) {
			return nil
		}
		for _, pattern := range h.o.Origins {
			target := u.Host
			if strings.Contains(pattern, "://") {
				target = u.Scheme + "://" + u.Host
			}
			if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); ok && err == nil {
				return nil
			}
		}
	}
	return &store.ForbiddenError{Reason: fmt.Sprintf("pages of %q may not subscribe: an operator can allow their host", origin)}
}
