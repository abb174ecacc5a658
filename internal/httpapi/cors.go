package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// anyOrigin lets pages of every origin ask.
const anyOrigin = "*"

// CheckOrigin returns why a text is no pattern for allowed origins, as in https://docs.example.com or
// https://*.example.com.
func CheckOrigin(text string) error {
	if text == anyOrigin {
		return nil
	}
	_, bad := path.Match(text, "")
	u, err := url.Parse(strings.ReplaceAll(text, "*", "x"))
	if bad != nil || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" ||
		u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q: want an origin such as https://docs.example.com or https://*.example.com, or * for "+
			"every one", text)
	}
	return nil
}

// crossOrigin sets the headers that let pages of other origins read the answer, and answers a preflight itself. The
// token is in a header that no browser sends by itself: a page gets only what its script has a token for.
func crossOrigin(c *call) (answered bool) {
	origin := c.r.Header.Get("Origin")
	c.set("Vary", "Origin")
	if origin == "" {
		return false
	}
	allowed := slices.ContainsFunc(c.h.o.Origins, func(pattern string) bool {
		ok, _ := path.Match(pattern, origin) // the patterns were checked
		return ok || pattern == anyOrigin
	})
	if !allowed {
		return false
	}
	c.set("Access-Control-Allow-Origin", origin)
	if c.r.Method == http.MethodOptions && c.r.Header.Get("Access-Control-Request-Method") != "" {
		c.set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		c.set("Access-Control-Allow-Headers",
			"Authorization, Content-Type, Cache-Control, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, "+
				"Tenet-Agent, Tenet-Min-Seq, Tenet-Require, X-Request-Id")
		c.set("Access-Control-Max-Age", "600")
		c.nothing(http.StatusNoContent)
		return true
	}
	c.set("Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, Tenet-As-Of, Tenet-Batch, "+
		confidentialHeader+", "+
		"Tenet-Dry-Run, "+lackingHeader+", Tenet-Mode, "+notesHeader+", Tenet-Position, Tenet-Unchanged, "+
		"Tenet-Seq, Tenet-Source, X-Request-Id")
	return false
}
