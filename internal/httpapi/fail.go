package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// fail answers with the problem for an error, and logs errors that an operator should know of.
func (c *call) fail(err error) {
	if made, ok := errors.AsType[*store.ProposedError](err); ok {
		answerProposed(c, made)
		return
	}
	p := api.ProblemOf(err)
	c.cause = err
	if none, ok := errors.AsType[*store.NotFoundError](err); ok {
		c.source = none.Source
	}
	switch {
	case c.status != 0: // the answer has begun: nothing can be said any more
		c.h.o.Log.LogAttrs(c.r.Context(), slog.LevelWarn, "answer broken off",
			slog.String("request_id", c.request.RequestID()), slog.Any("error", err))
		panic(http.ErrAbortHandler)
	case p.Status == api.StatusDisconnected:
		// Most likely the caller has disconnected. But a server that stops cancels requests too, and must not seem to
		// confirm them.
		c.sendProblem(api.ProblemOf(&store.UnavailableError{Reason: "the request was broken off: ask again with the " +
			"same Idempotency-Key"}))
		c.status = api.StatusDisconnected
		return
	case p.Status == http.StatusInternalServerError:
		c.h.o.Log.LogAttrs(c.r.Context(), slog.LevelError, "request failed",
			slog.String("request_id", c.request.RequestID()),
			slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path), slog.Any("error", err))
	case p.Status > http.StatusInternalServerError:
		c.h.o.Log.LogAttrs(c.r.Context(), slog.LevelInfo, "request not answered",
			slog.String("request_id", c.request.RequestID()),
			slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path), slog.Any("error", err))
	}
	c.sendProblem(p)
}

func (c *call) sendProblem(p *api.Problem) {
	p.RequestID = c.request.RequestID()
	if p.Code == "internal" { // the message is often all that a person is shown
		p.Detail += ", " + p.RequestID
	}
	h := c.Header()
	h.Del("Etag")
	h.Del("Link")
	h.Del("Location")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter != nil {
		h.Set("Retry-After", strconv.Itoa(*p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", `Bearer realm="tenet"`)
	}
	if wantsPage(c) {
		c.h.o.Pages.Head(h)
		vary(c, "Accept")
		c.send(p.Status, mediaHTML, c.h.o.Pages.Refusal(c.r.WithContext(c.request), p.Status, p.Title, p.Detail))
		return
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // a problem holds nothing that can't be encoded
	}
	c.send(p.Status, mediaProblem, b)
}

// wantsPage reports whether a person with a browser reads the answer: programs don't ask for pages.
func wantsPage(c *call) bool {
	if c.h.o.Pages == nil {
		return false
	}
	if c.route != nil && c.route.token != nil {
		return true
	}
	return (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead) && named(c.r.Header["Accept"],
		"text/html") &&
		!named(c.r.Header["Accept"], mediaJSON)
}

// panicked answers for a handler that can't. An answer that was begun can't be mended: it reports that the connection
// is to be cut.
func (c *call) panicked(v any) (abort bool) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	c.h.o.Log.LogAttrs(c.r.Context(), slog.LevelError, "panic while answering",
		slog.String("request_id", c.request.RequestID()), slog.String("method", c.r.Method),
		slog.String("path", c.r.URL.Path),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if c.status != 0 {
		return true
	}
	c.sendProblem(api.ProblemOf(api.ErrPanic))
	return false
}

// answerProposed answers an agent whose write became a proposal, and who proposes again what waits: it is taken, and
// nothing is written yet.
func answerProposed(c *call, e *store.ProposedError) {
	setBatchHeaders(c, e.Receipt.Batch, &e.Receipt)
	c.set("Tenet-Proposal", e.Key.ID)
	c.set("Location", "/api/v1/proposals/"+e.Key.ID)
	if len(e.Receipt.Records) > 0 && e.Receipt.Records[0] != nil {
		rec := e.Receipt.Records[0]
		if d, err := rec.Document(); err == nil {
			if p, ok := d.(*knowledge.Proposal); ok {
				setNotes(c, notesOn(c, p))
			}
		}
		c.record(http.StatusAccepted, rec)
		return
	}
	body, _ := json.Marshal(map[string]string{"proposal_id": e.Key.ID}) // a text
	c.send(http.StatusAccepted, mediaJSON, body)
}
