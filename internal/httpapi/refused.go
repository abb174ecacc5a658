package httpapi

import (
	"errors"
	"net/http"

	"tenet/internal/access"
)

// refused is called where an answer gets its status, whoever writes it, so that every refusal of every door is told of; the store
// has told of those that it makes itself, with more about them.
func refused(c *call, status int) {
	if status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests ||
		c.h.o.Refused == nil || c.request.Told.Load() {
		return
	}
	r := access.Refusal{
		Caller: c.request.Caller, Method: access.MethodRequest, Reason: http.StatusText(status), RequestID: c.request.RequestID(), Peer: peerOf(c),
	}
	if status == http.StatusUnauthorized {
		r.Method, r.Reason = access.MethodAuthenticate, "no token"
	}
	if no, ok := errors.AsType[*access.TokenError](c.cause); ok {
		r.Reason = no.Reason
		if no.ID != "" {
			r.Caller = &access.Caller{ID: no.ID}
		}
	} else if c.cause != nil && status != http.StatusUnauthorized {
		r.Reason = problemOf(c.cause).Detail
	}
	if c.route != nil {
		r.Reason += ": " + c.route.name
	}
	c.request.Told.Store(true)
	c.h.o.Refused(c.r.Context(), r)
}

// An origin tells where a request comes from, for who asks while it is answered.
type origin struct{ c *call }

// Peer implements [access.Origin].
func (o origin) Peer() string { return peerOf(o.c) }
