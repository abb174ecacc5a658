package httpapi

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// limited returns the call's context with the deadline for writes and long reads. Reads by key and by page have none
// here: the engines bound their statements, and a timer would cost them more than the rest of the door.
func (c *call) limited() context.Context {
	if c.cancel == nil {
		c.ctx, c.cancel = context.WithTimeout(c.ctx, c.h.o.Limits.Timeout)
	}
	return c.ctx
}

// leave releases the timer of limited.
func (c *call) leave() {
	if c.cancel != nil {
		c.cancel()
	}
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

func (c *call) logAccess(route string, took time.Duration) {
	caller := ""
	if c.request.Caller != nil {
		caller = c.request.Caller.ID
	}
	c.h.o.AccessLog.LogAttrs(c.r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", c.request.RequestID()), slog.String("method", c.r.Method),
		slog.String("path", c.r.URL.Path),
		slog.String("route", route), slog.Int("status", c.status), slog.Int64("bytes", c.bytes),
		slog.Duration("took", took), slog.String("caller", caller), slog.String("peer", c.peer()),
		slog.String("source", string(c.source)))
}

// actor returns the id that the log names as the writer of the caller's changes.
func (c *call) actor() string {
	if c.request.Caller == nil {
		return ""
	}
	return c.request.Caller.ID
}
