package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"tenet/internal/store"
)

// maxRequestID bounds a request id that a caller gives.
const maxRequestID = 128

// givenID returns the id that the caller gave to the request, "" for none.
func givenID(h http.Header) string {
	if given := h["X-Request-Id"]; len(given) == 1 && sane(given[0]) {
		return given[0]
	}
	return ""
}

func sane(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// limited returns the call's context with the deadline for writes and long reads. Reads by key and by page have none
// here: the engines bound their statements, and a timer would cost them more than the rest of the door.
func (c *call) limited() context.Context {
	if c.cancel == nil {
		c.ctx, c.cancel = context.WithTimeout(c.ctx, c.h.o.Limits.Timeout)
	}
	return c.ctx
}

// leave gives back what enter and limited took.
func (c *call) leave() {
	if c.cancel != nil {
		c.cancel()
	}
}

// accepts reports whether an Accept header lets a media type through.
func accepts(values []string, media string) bool {
	if len(values) == 0 {
		return true
	}
	media, _, _ = strings.Cut(media, ";")
	family, _, _ := strings.Cut(media, "/")
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.TrimSpace(name)
			if quality(params) == 0 {
				continue
			}
			if name == "*/*" || strings.EqualFold(name, media) || strings.EqualFold(name, family+"/*") {
				return true
			}
		}
	}
	return false
}

// wants reports whether the caller names a media type before the one that its route answers with.
func (c *call) wants(media string) bool {
	if media == "" {
		return false
	}
	media, _, _ = strings.Cut(media, ";")
	asked := 0.0
	for _, v := range c.r.Header["Accept"] {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case media:
				asked = max(asked, quality(params))
			case c.route.media():
				if quality(params) >= 1 {
					return false
				}
			}
		}
	}
	return asked > 0
}

// quality returns the q of the parameters behind an entry of an Accept header, 1 when there is none.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || q < 0 {
				return 0
			}
			return q
		}
	}
	return 1
}

func wantsFresh(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "no-cache") {
				return true
			}
		}
	}
	return false
}

// busy says that the door has no room now.
func busy(reason string) error {
	return &store.UnavailableError{Reason: reason + ": ask again soon", RetryAfter: time.Second, NotDone: true}
}

// panicked answers for a handler that can't. An answer that was begun can't be mended: it reports that the connection
// is to be cut.
func (c *call) panicked(v any) (abort bool) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	c.h.o.Log.LogAttrs(c.r.Context(), slog.LevelError, "panic while answering",
		slog.String("request_id", c.request.RequestID()), slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if c.status != 0 {
		return true
	}
	c.sendProblem(problemOf(errPanic))
	return false
}

func (c *call) logAccess(route string, took time.Duration) {
	caller := ""
	if c.request.Caller != nil {
		caller = c.request.Caller.ID
	}
	c.h.o.AccessLog.LogAttrs(c.r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", c.request.RequestID()), slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path),
		slog.String("route", route), slog.Int("status", c.status), slog.Int64("bytes", c.bytes),
		slog.Duration("took", took), slog.String("caller", caller), slog.String("peer", peerOf(c)),
		slog.String("source", string(c.source)))
}
