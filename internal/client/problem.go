package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// refusal returns the error for an answer with a status of 300 or more.
func (s *Store) refusal(resp *http.Response, body []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return &store.UnavailableError{
			Reason:  fmt.Sprintf("%s redirects to %q: use that address", s.base, resp.Header.Get("Location")),
			NotDone: true, Halt: true,
		}
	}
	p := &api.Problem{}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); !strings.HasSuffix(t, "json") ||
		json.Unmarshal(body, p) != nil {
		return foreign(s, resp)
	}
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); p.RetryAfter == nil && err == nil {
		p.RetryAfter = &after
	}
	return errorOf(p, resp.StatusCode)
}

// foreign returns the error for an answer that does not come from a tenet server but from a proxy or another program.
func foreign(s *Store, resp *http.Response) error {
	e := &store.UnavailableError{
		Reason: fmt.Sprintf("the server at %s is not tenet, or a proxy answers for it (status %s): check the address",
			s.base, resp.Status),
		Halt: resp.StatusCode < http.StatusInternalServerError,
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		e.Halt, e.NotDone = false, true
	}
	after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	e.RetryAfter = time.Duration(after) * time.Second
	return e
}

// errorOf rebuilds the contract's error from a problem: by its code, or by its status if the code is unknown.
func errorOf(p *api.Problem, status int) error {
	code := p.Code
	if code == "" {
		code = codes()[status]
	}
	switch code {
	case "not_found":
		if p.Kind == "" {
			return &refused{said(p), store.ErrNotFound}
		}
		return &store.NotFoundError{Key: knowledge.Key{Kind: p.Kind, ID: p.ID}, Archived: p.Archived}
	case "conflict":
		if p.Kind == "" { // of no document
			return &refused{said(p), store.ErrConflict}
		}
		return &store.ConflictError{
			Key: knowledge.Key{Kind: p.Kind, ID: p.ID}, Op: value(p.Op), Want: value(p.Want), Got: value(p.Got),
			WantBatch: value(p.WantBatch), GotBatch: value(p.GotBatch),
		}
	case "reused":
		return &refused{said(p), store.ErrReused}
	case "gone":
		gone := &store.GoneError{Oldest: value(p.Oldest), Other: value(p.Oldest) == 0, At: value(p.At)}
		for _, text := range p.Keys {
			if key, err := knowledge.ParseKey(text); err == nil {
				gone.Keys = append(gone.Keys, key)
			}
		}
		return gone
	case "unauthenticated":
		return &refused{
			"not authenticated: " + strings.TrimPrefix(said(p), "not authenticated: "),
			store.ErrUnauthenticated,
		}
	case "forbidden":
		return &store.ForbiddenError{Reason: strings.TrimPrefix(said(p), "forbidden: "), Right: p.Right}
	case "invalid":
		return invalid(p)
	case "unavailable":
		if value(p.Oldest) > 0 {
			return &store.GoneError{Oldest: *p.Oldest, Mirror: true}
		}
	}
	tooMany := status == http.StatusTooManyRequests
	if status < http.StatusInternalServerError && !tooMany && status != http.StatusRequestTimeout {
		return invalid(p)
	}
	return &store.UnavailableError{
		Reason:     strings.TrimPrefix(said(p), "unavailable: "),
		RetryAfter: time.Duration(value(p.RetryAfter)) * time.Second,
		ReadOnly:   p.ReadOnly, Halt: p.Halt, NotDone: p.NotDone || tooMany || status == http.StatusRequestTimeout,
		TooMany: tooMany,
	}
}

// value returns what p points to, the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func codes() map[int]string {
	return map[int]string{
		http.StatusNotFound: "not_found", http.StatusConflict: "conflict", http.StatusPreconditionFailed: "conflict",
		http.StatusGone: "gone", http.StatusUnauthorized: "unauthenticated", http.StatusForbidden: "forbidden",
	}
}

// said returns the server's message.
func said(p *api.Problem) string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

func invalid(p *api.Problem) error {
	e := &knowledge.InvalidError{Faults: p.Errors, Query: p.Query}
	if len(e.Faults) == 0 {
		e.Faults = []knowledge.Fault{{Detail: strings.TrimPrefix(said(p), "invalid: ")}}
	}
	return e
}

// A refused error is one of the contract's errors with the server's message.
type refused struct {
	text string
	is   error
}

// Error returns the server's message.
func (e *refused) Error() string { return e.text }

// Is reports whether target is the error of the contract.
func (e *refused) Is(target error) bool { return target == e.is }
