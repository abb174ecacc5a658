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

// A problem is a refusal as the tenet words it (RFC 9457), with the fields that rebuild an error of the contract.
type problem struct {
	Title      string            `json:"title"`
	Detail     string            `json:"detail"`
	Code       string            `json:"code"`
	Errors     []knowledge.Fault `json:"errors"`
	Query      bool              `json:"query"`
	Kind       knowledge.Kind    `json:"kind"`
	ID         string            `json:"id"`
	Op         int               `json:"op"`
	Want       int64             `json:"want"`
	Got        int64             `json:"got"`
	Oldest     knowledge.Seq     `json:"oldest"`
	RetryAfter float64           `json:"retry_after"`
	Halt       bool              `json:"halt"`
	ReadOnly   bool              `json:"read_only"`
	NotDone    bool              `json:"not_done"`
}

// refusal returns the error that an answer with a status of 300 or more stands for.
func (s *Store) refusal(resp *http.Response, body []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return &store.UnavailableError{
			Reason:  fmt.Sprintf("%s sends its callers on to %q: use that address", s.base, resp.Header.Get("Location")),
			NotDone: true, Halt: true,
		}
	}
	var p problem
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); !strings.HasSuffix(t, "json") || json.Unmarshal(body, &p) != nil {
		return s.foreign(resp)
	}
	if p.RetryAfter == 0 {
		p.RetryAfter, _ = strconv.ParseFloat(resp.Header.Get("Retry-After"), 64)
	}
	return p.err(resp.StatusCode)
}

// foreign returns the error for an answer that no tenet gave: that of a proxy before it, or of another program.
func (s *Store) foreign(resp *http.Response) error {
	e := &store.UnavailableError{
		Reason: fmt.Sprintf("what answers at %s is not a tenet, or a proxy before one (status %s): check the address", s.base, resp.Status),
		Halt:   resp.StatusCode < http.StatusInternalServerError,
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		e.Halt, e.NotDone = false, true
	}
	after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	e.RetryAfter = time.Duration(after) * time.Second
	return e
}

// err returns the error of the contract that a problem was made of: by its code, or by its status where the code is of a
// newer tenet.
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
		return &store.ConflictError{Key: p.key(), Op: p.Op, Want: p.Want, Got: p.Got}
	case "reused":
		return &refused{p.said(), store.ErrReused}
	case "gone":
		return &store.GoneError{Oldest: p.Oldest}
	case "unauthenticated":
		return &refused{"not authenticated: " + strings.TrimPrefix(p.said(), "not authenticated: "), store.ErrUnauthenticated}
	case "forbidden":
		return &store.ForbiddenError{Reason: strings.TrimPrefix(p.said(), "forbidden: ")}
	case "invalid":
		return p.invalid()
	case "unavailable":
		if p.Oldest > 0 {
			return &store.GoneError{Oldest: p.Oldest, Copy: true}
		}
	}
	if status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
		return p.invalid()
	}
	return &store.UnavailableError{
		Reason:     strings.TrimPrefix(p.said(), "unavailable: "),
		RetryAfter: time.Duration(p.RetryAfter * float64(time.Second)),
		ReadOnly:   p.ReadOnly, Halt: p.Halt, NotDone: p.NotDone || status == http.StatusTooManyRequests,
	}
}

func codes() map[int]string {
	return map[int]string{
		http.StatusNotFound: "not_found", http.StatusConflict: "conflict", http.StatusPreconditionFailed: "conflict",
		http.StatusGone: "gone", http.StatusUnauthorized: "unauthenticated", http.StatusForbidden: "forbidden",
	}
}

func (p *problem) key() knowledge.Key { return knowledge.Key{Kind: p.Kind, ID: p.ID} }

// said returns what the tenet said in words.
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

// A refused error is one of the contract's in the words of the tenet.
type refused struct {
	text string
	is   error
}

// Error says what the tenet said.
func (e *refused) Error() string { return e.text }

// Is reports whether target is the error of the contract.
func (e *refused) Is(target error) bool { return target == e.is }
