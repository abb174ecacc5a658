package live

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// ServeHTTP answers a subscription: as a WebSocket, or as server-sent events if the request accepts them. The context
// holds the caller. Refusals come before the stream begins, with one exception: a WebSocket gets a message if its
// position is gone, because browsers do not show the status of a refused handshake.
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

// serveSocket starts a WebSocket. It returns after the handshake: from then on the hub owns the connection, and the
// HTTP server's memory for it is free.
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
		h.refuse(w, &store.GoneError{Other: true})
		return
	default:
	}
	s.connect(h.openStream(w, r))
	s.run()
}

// admit parses a request and reserves a place for it.
func (h *Hub) admit(r *http.Request) (*subscriber, error) {
	caller := access.CallerFrom(r.Context())
	if caller == nil {
		return nil, store.ErrUnauthenticated
	}
	if err := access.Enter(caller); err != nil {
		return nil, err
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
	sub.principals, sub.hidden = access.SeesAll(caller), h.o.Hidden(r.Context())
	for _, kind := range sub.asked() {
		if no := access.Decide(caller, access.Act{Verb: access.VerbRead, Key: knowledge.Key{Kind: kind}}); no != nil {
			return nil, caller.Deny(no)
		}
	}
	h.awaitReady(r.Context())
	s, err := h.join(caller, sub, sub.name())
	if err == nil {
		h.o.Reads.Tell(r.Context(), access.Read{Action: access.ReadFollow, Question: r.URL.RawQuery})
	}
	return s, err
}

// startPatience is how long a subscriber waits for a hub that is still starting.
const startPatience = 2 * time.Second

// awaitReady waits briefly until the log has been read to its end once.
func (h *Hub) awaitReady(ctx context.Context) {
	h.mu.Lock()
	readied := h.readied
	h.mu.Unlock()
	t := time.NewTimer(startPatience)
	defer t.Stop()
	select {
	case <-readied:
	case <-t.C:
	case <-ctx.Done():
	}
}

// join adds a subscriber.
func (h *Hub) join(caller *access.Caller, sub *subscription, name string) (*subscriber, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.principals[caller.ID]
	switch {
	case h.closing:
		return nil, &store.UnavailableError{Reason: "this instance is stopping: reconnect later, or to another " +
			"instance", RetryAfter: comeBack(h.count)}
	case !h.ready:
		return nil, &store.UnavailableError{
			Reason:     "the log of changes can't be read now: reconnect later",
			RetryAfter: comeBack(0),
		}
	case h.count >= h.o.MaxConnections:
		return nil, &store.UnavailableError{
			Reason:     fmt.Sprintf("%d streams are open, the limit: reconnect later", h.count),
			RetryAfter: comeBack(h.count),
		}
	case len(own) >= h.o.MaxPerPrincipal:
		return nil, tooMany(len(own))
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

// checkOrigin refuses pages of other hosts, since browsers let any page open a WebSocket to any host.
func (h *Hub) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil // not a browser
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
	return &store.ForbiddenError{Reason: fmt.Sprintf("pages of %q may not subscribe: an operator can allow the host",
		origin)}
}
