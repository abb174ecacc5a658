package httpapi

import (
	"net/http"
	"strings"
)

// Pages tell a person with a browser what went wrong.
type Pages interface {
	// Refusal returns the page that tells what went wrong.
	Refusal(r *http.Request, status int, title, detail string) []byte
	// Head sets the headers of every page.
	Head(h http.Header)
}

// browses reports whether a person with a browser reads the answer: programs don't ask for pages.
func browses(c *call) bool {
	if c.h.o.Pages == nil {
		return false
	}
	if c.route != nil && c.route.token != nil {
		return true
	}
	return (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead) && named(c.r.Header["Accept"], "text/html") &&
		!named(c.r.Header["Accept"], mediaJSON)
}

// named reports whether an Accept header names a media type itself, and not by a star.
func named(values []string, media string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) && quality(params) > 0 {
				return true
			}
		}
	}
	return false
}
