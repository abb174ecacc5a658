package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// errUpgrade says that a request asks for neither kind of stream.
var errUpgrade = errors.New("this path is a stream: open it as a WebSocket, or accept " + mediaEvents)

// tooMany refuses another stream to a principal.
func tooMany(streams int) error {
	return &store.UnavailableError{
		Reason: fmt.Sprintf("you have %d open streams, the limit: close one, or subscribe to more with one stream",
			streams),
		TooMany: true, NotDone: true, RetryAfter: 10 * time.Second,
	}
}

// problemOf returns the problem for an error.
func problemOf(err error) *api.Problem {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		err = &knowledge.InvalidError{Faults: invalid.Faults, Query: true} // a subscription stands in the query
	}
	if errors.Is(err, errUpgrade) {
		return api.NewProblem(http.StatusUpgradeRequired, "upgrade_required", "This path is a stream", err.Error())
	}
	return api.ProblemOf(err)
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
