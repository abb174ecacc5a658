package httpapi

import (
	"net/http"
	"strings"
)

// Pages are for people with a browser.
type Pages interface {
	// Serve answers a request; the context says who is calling. An error is answered as any other, with a page.
	Serve(w http.ResponseWriter, r *http.Request) error
	// Token returns the token that a request signed in with, "" for none.
	Token(r *http.Request) string
	// Refusal returns the page that tells what went wrong.
	Refusal(r *http.Request, status int, title, detail string) []byte
	// Head sets the headers of every page.
	Head(h http.Header)
}

// pageRoutes lead to the pages. They are no operations of the OpenAPI document: nobody but a browser asks for them.
func pageRoutes(o *Options) []*route {
	var routes []*route
	for _, name := range o.PageRoutes {
		method, path, _ := strings.Cut(name, " ")
		routes = append(routes, &route{
			method: method, path: path, tag: "pages", raw: true, public: true, pages: true,
			handler: handler{params: typeOf[noParams](), run: func(c *call) error {
				return c.h.o.Pages.Serve(c, c.r.WithContext(c.ctx))
			}},
		})
	}
	return routes
}

// recognise finds out who has signed in. Whoever has not is a stranger, who sees the public part of the pages.
func recognise(c *call) error {
	token := c.h.o.Pages.Token(c.r)
	if token == "" {
		return nil
	}
	caller, err := c.h.o.Authenticate(token)
	if err != nil {
		return nil //nolint:nilerr // whose token has ended is a stranger again, and is asked to sign in
	}
	c.request.Caller = caller
	return takeShare(c, caller.ID)
}

// browses reports whether a person with a browser reads the answer: programs don't ask for pages.
func browses(c *call) bool {
	if c.h.o.Pages == nil {
		return false
	}
	if c.route != nil && c.route.pages {
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
