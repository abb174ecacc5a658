package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errUpgrade says that a request asks for neither kind of stream.
var errUpgrade = errors.New("this path is a stream: open it as a WebSocket, or accept " + mediaEvents)

// A tooManyError says that a principal has too many streams.
type tooManyError struct{ streams int }

// Error names the number of streams.
func (e *tooManyError) Error() string {
	return fmt.Sprintf("you have %d open streams, the limit: close one, or subscribe to more with one stream",
		e.streams)
}

// tooManyRetry is when a principal with too many streams may try again.
const tooManyRetry = 10 * time.Second

// A problem is a refusal in the problem format of the REST API (RFC 9457).
type problem struct {
	Type       string            `json:"type"`
	Title      string            `json:"title"`
	Status     int               `json:"status"`
	Detail     string            `json:"detail"`
	Code       string            `json:"code"`
	Errors     []knowledge.Fault `json:"errors,omitempty"`
	Query      bool              `json:"query,omitempty"`
	Oldest     *knowledge.Seq    `json:"oldest,omitempty"`
	RetryAfter *int              `json:"retry_after,omitempty"`
	NotDone    bool              `json:"not_done,omitempty"`
}

// refusals maps errors to answers. The first row that matches decides.
func refusals() []struct {
	err    error
	status int
	code   string
	title  string
} {
	return []struct {
		err    error
		status int
		code   string
		title  string
	}{
		{store.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "A valid token is needed"},
		{store.ErrForbidden, http.StatusForbidden, "forbidden", "The caller may not do this"},
		{errUpgrade, http.StatusUpgradeRequired, "upgrade_required", "This path is a stream"},
		{store.ErrGone, http.StatusGone, "gone", "The log does not reach the position"},
		{store.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Tenet can't answer now"},
	}
}

// problemOf returns the problem for an error.
func problemOf(err error) *problem {
	p := &problem{
		Status: http.StatusInternalServerError, Code: "internal", Title: "Something went wrong in tenet",
		Detail: err.Error(),
	}
	for _, row := range refusals() {
		if errors.Is(err, row.err) {
			p.Status, p.Code, p.Title = row.status, row.code, row.title
			break
		}
	}
	if e, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		p.Status, p.Code, p.Title, p.Errors, p.Query = http.StatusBadRequest, "invalid", "The request is not valid",
			e.Faults, true
	}
	if e, ok := errors.AsType[*store.ForbiddenError](err); ok {
		p.Detail = e.Reason
	}
	if e, ok := errors.AsType[*store.GoneError](err); ok {
		p.Oldest = &e.Oldest
	}
	if e, ok := errors.AsType[*store.UnavailableError](err); ok {
		p.Detail, p.NotDone = e.Reason, true
		p.retry(e.RetryAfter)
	}
	if _, ok := errors.AsType[*tooManyError](err); ok {
		p.Status, p.Code, p.Title = http.StatusTooManyRequests, "too_many", "Too many streams"
		p.retry(tooManyRetry)
	}
	p.Type = "urn:tenet:problem:" + p.Code
	return p
}

func (p *problem) retry(after time.Duration) {
	seconds := int((after + time.Second - 1) / time.Second)
	p.RetryAfter = &seconds
}

// refuse answers a request that gets no stream.
func (h *Hub) refuse(w http.ResponseWriter, err error) {
	p := problemOf(err)
	h.metrics.refusals.WithLabelValues(strconv.Itoa(p.Status)).Inc()
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		header.Set("Www-Authenticate", `Bearer realm="tenet"`)
	case http.StatusUpgradeRequired:
		header.Set("Upgrade", "websocket")
		header.Set("Connection", "Upgrade")
	}
	if p.RetryAfter != nil {
		header.Set("Retry-After", strconv.Itoa(*p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a caller that disconnected needs no answer
}
