package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A problem is a refusal by the server (RFC 9457), with the fields that rebuild an error of the contract.
type problem struct {
	Title      string            `json:"title"`
	Detail     string            `json:"detail"`
	Code       string            `json:"code"`
	Errors     []knowledge.Fault `json:"errors"`
	Query      bool              `json:"query"`
	Kind       knowledge.Kind    `json:"kind"`
	ID         string            `json:"id"`
	Right      string            `json:"right"`
	Op         int               `json:"op"`
	Want       int64             `json:"want"`
	Got        int64             `json:"got"`
	WantBatch  knowledge.BatchID `json:"want_batch"`
	GotBatch   knowledge.BatchID `json:"got_batch"`
	Oldest     knowledge.Seq     `json:"oldest"`
	RetryAfter float64           `json:"retry_after"`
	Halt       bool              `json:"halt"`
	ReadOnly   bool              `json:"read_only"`
	NotDone    bool              `json:"not_done"`
}

// refusal returns the error for an answer with a status of 300 or more.
func (s *Store) refusal(resp *http.Response, body []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return &store.UnavailableError{
			Reason:  fmt.Sprintf("%s redirects to %q: use that address", s.base, resp.Header.Get("Location")),
			NotDone: true, Halt: true,
		}
	}
	var p problem
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); !strings.HasSuffix(t, "json") || json.Unmarshal(body, &p) != nil {
		return foreign(s, resp)
	}
	if p.RetryAfter == 0 {
		p.RetryAfter, _ = strconv.ParseFloat(resp.Header.Get("Retry-After"), 64)
	}
	return p.err(resp.StatusCode)
}

// foreign returns the error for an answer that does not come from a tenet server but from a proxy or another program.
func foreign(s *Store, resp *http.Response) error {
	e := &store.UnavailableError{
		Reason: fmt.Sprintf("the server at %s is not tenet, or a proxy answers for it (status %s): check the address", s.base, resp.Status),
		Halt:   resp.StatusCode < http.StatusInternalServerError,
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		e.Halt, e.NotDone = false, true
	}
	after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	e.RetryAfter = time.Duration(after) * time.Second
	return e
}

// err rebuilds the contract's error from a problem: by its code, or by its status if the code is unknown.
func (p *problem) err(status int) error {
	code := p.Code
	if code == "" {
		code = codes()[status]
	}
	switch code {
	case "not_found":
		if p.Kind == "" {
			return &refused{p.said(), store.ErrNotFound}
		}
		return &store.NotFoundError{Key: p.key()}
	case "conflict":
		return &store.ConflictError{Key: p.key(), Op: p.Op, Want: p.Want, Got: p.Got, WantBatch: p.WantBatch, GotBatch: p.GotBatch}
	case "reused":
		return &refused{p.said(), store.ErrReused}
	case "gone":
		return &store.GoneError{Oldest: p.Oldest, Other: p.Oldest == 0}
	case "unauthenticated":
		return &refused{"not authenticated: " + strings.TrimPrefix(p.said(), "not authenticated: "), store.ErrUnauthenticated}
	case "forbidden":
		return &store.ForbiddenError{Reason: strings.TrimPrefix(p.said(), "forbidden: "), Right: p.Right}
	case "invalid":
		return p.invalid()
	case "unavailable":
		if p.Oldest > 0 {
			return &store.GoneError{Oldest: p.Oldest, Copy: true}
		}
	}
	tooMany := status == http.StatusTooManyRequests
	if status < http.StatusInternalServerError && !tooMany && status != http.StatusRequestTimeout {
		return p.invalid()
	}
	return &store.UnavailableError{
		Reason:     strings.TrimPrefix(p.said(), "unavailable: "),
		RetryAfter: time.Duration(p.RetryAfter * float64(time.Second)),
		ReadOnly:   p.ReadOnly, Halt: p.Halt, NotDone: p.NotDone || tooMany || status == http.StatusRequestTimeout, TooMany: tooMany,
	}
}

func codes() map[int]string {
	return map[int]string{
		http.StatusNotFound: "not_found", http.StatusConflict: "conflict", http.StatusPreconditionFailed: "conflict",
		http.StatusGone: "gone", http.StatusUnauthorized: "unauthenticated", http.StatusForbidden: "forbidden",
	}
}

func (p *problem) key() knowledge.Key { return knowledge.Key{Kind: p.Kind, ID: p.ID} }

// said returns the server's message.
func (p *problem) said() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

func (p *problem) invalid() error {
	e := &knowledge.InvalidError{Faults: p.Errors, Query: p.Query}
	if len(e.Faults) == 0 {
		e.Faults = []knowledge.Fault{{Detail: strings.TrimPrefix(p.said(), "invalid: ")}}
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
