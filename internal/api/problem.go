// Package api holds what the doors read and answer alike and the client reads again: problems, entity tags,
// preconditions, idempotency keys, and the types of answers.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Errors of a request itself. Refusals of a store are the errors of package store.
var (
	ErrMalformed     = errors.New("malformed")
	ErrNoPath        = errors.New("no such path")
	ErrMethod        = errors.New("method not allowed")
	ErrNotAcceptable = errors.New("not acceptable")
	ErrPrecondition  = errors.New("precondition failed")
	ErrTooLarge      = errors.New("too large")
	ErrURLTooLong    = errors.New("URL too long")
	ErrMediaType     = errors.New("unsupported media type")
	ErrSlow          = errors.New("too slow")
	ErrPanic         = errors.New("panic")
)

// StatusDisconnected is the status in the access log for a caller that disconnected before the answer.
const StatusDisconnected = 499

// A row of the table that turns errors into answers.
type row struct {
	err    error
	status int
	code   string
	title  string
}

// problems returns that table, the only place where an error gets its status. The first row that matches decides.
func problems() []row {
	return []row{
		{ErrMalformed, http.StatusBadRequest, "invalid", "The request can't be read"},
		{
			ErrPrecondition, http.StatusPreconditionFailed, "precondition_failed",
			"The document is not as the request expects it",
		},
		{ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "The request is too large"},
		{ErrURLTooLong, http.StatusRequestURITooLong, "too_large", "The URL is too long"},
		{ErrSlow, http.StatusRequestTimeout, "too_slow", "The request came too slowly"},
		{
			ErrMediaType, http.StatusUnsupportedMediaType, "unsupported_media_type",
			"The body is of another type than this path reads",
		},
		{
			ErrNotAcceptable, http.StatusNotAcceptable, "not_acceptable",
			"The answer has another type than the request accepts",
		},
		{ErrMethod, http.StatusMethodNotAllowed, "method_not_allowed", "The path has no such method"},
		{ErrNoPath, http.StatusNotFound, "not_found", "There is nothing here"},
		{store.ErrNotFound, http.StatusNotFound, "not_found", "There is no such document"},
		{store.ErrConflict, http.StatusConflict, "conflict", "The document is not as its writer saw it"},
		{
			store.ErrReused, http.StatusUnprocessableEntity, "reused",
			"The batch id was already used with different content",
		},
		{store.ErrGone, http.StatusGone, "gone", "The log no longer reaches back that far"},
		{store.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "A valid token is needed"},
		{store.ErrForbidden, http.StatusForbidden, "forbidden", "The caller may not do this"},
		{store.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Tenet can't answer now"},
		{store.ErrClosed, http.StatusServiceUnavailable, "unavailable", "Tenet is stopping"},
		{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "The answer took too long"},
		{context.Canceled, StatusDisconnected, "canceled", "The caller disconnected"},
	}
}

// A Problem describes an error in the format of RFC 9457.
type Problem struct {
	Type       string            `json:"type" doc:"Names the kind of problem: urn:tenet:problem: and the code" example:"urn:tenet:problem:conflict"`
	Title      string            `json:"title" doc:"The kind of problem in words"`
	Status     int               `json:"status" doc:"The HTTP status" example:"409"`
	Detail     string            `json:"detail" doc:"What is wrong here, and what to do"`
	Code       string            `json:"code" doc:"The kind of problem for programs" enum:"invalid,not_found,conflict,precondition_failed,reused,gone,unavailable,too_many,too_slow,timeout,unauthenticated,forbidden,too_large,unsupported_media_type,not_acceptable,method_not_allowed,canceled,internal"`
	RequestID  string            `json:"request_id,omitempty" doc:"The request's id, to find it in the log"`
	Errors     []knowledge.Fault `json:"errors,omitempty" doc:"Every fault of the request"`
	Query      bool              `json:"query,omitempty" doc:"True when the errors are about the path, the query or a header; their pointers begin with its name"`
	Kind       knowledge.Kind    `json:"kind,omitempty" doc:"The kind of the document it is about"`
	ID         string            `json:"id,omitempty" doc:"The id of the document it is about"`
	Archived   bool              `json:"archived,omitempty" doc:"Not found: the document is in the archive, and a restore brings it back"`
	Right      string            `json:"right,omitempty" doc:"Forbidden: the right that is lacking" example:"publish"`
	Op         *int              `json:"op,omitempty" doc:"Conflict: the index of the op in its batch"`
	Want       *int64            `json:"want,omitempty" doc:"Conflict: the version that the writer saw, -1 for none"`
	Got        *int64            `json:"got,omitempty" doc:"Conflict: the version that is there, 0 for none"`
	WantBatch  *uuid.UUID        `json:"want_batch,omitempty" doc:"Conflict: the batch that left what the writer saw, where the write named that" format:"uuid"`
	GotBatch   *uuid.UUID        `json:"got_batch,omitempty" doc:"Conflict: the batch that left what is there, where that waits for the primary" format:"uuid"`
	Oldest     *knowledge.Seq    `json:"oldest,omitempty" doc:"Gone: the seq of the oldest change that is kept"`
	At         *knowledge.Seq    `json:"at,omitempty" doc:"Gone: the seq at which the label stands whose documents were asked for"`
	Keys       []string          `json:"keys,omitempty" doc:"Gone: the documents that are no longer known as of then, at most twenty" example:"rule/SEC-001"`
	RetryAfter *int              `json:"retry_after,omitempty" doc:"Unavailable: the seconds after which to ask again"`
	Halt       bool              `json:"halt,omitempty" doc:"Unavailable: a person must act first"`
	ReadOnly   bool              `json:"read_only,omitempty" doc:"Unavailable: reads still work"`
	Reasons    []string          `json:"reasons,omitempty" doc:"Not ready: everything that is in the way"`
	NotDone    bool              `json:"not_done,omitempty" doc:"Unavailable: it is certain that the write was not done"`
}

// A RefusedError is one of the errors above with a message for the caller.
type RefusedError struct {
	Err    error  // one of the door's own errors
	Detail string // for the caller
	Cause  error  // what else it is; nil for nothing
}

// Refuse returns a [RefusedError] with a formatted message.
func Refuse(err error, format string, args ...any) error {
	return &RefusedError{Err: err, Detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Err.Error() + ": " + e.Detail }

// Unwrap returns the error and its cause, for errors.Is.
func (e *RefusedError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// NewProblem returns a problem with one of the codes.
func NewProblem(status int, code, title, detail string) *Problem {
	return &Problem{Type: "urn:tenet:problem:" + code, Status: status, Code: code, Title: title, Detail: detail}
}

// ProblemOf returns the problem for an error, without the request's id.
func ProblemOf(err error) *Problem {
	p := &Problem{
		Status: http.StatusInternalServerError, Code: "internal", Title: "Something went wrong in tenet",
		Detail: "the log of tenet says more at this request's id",
	}
	known := false
	for _, r := range problems() {
		if errors.Is(err, r.err) {
			p.Status, p.Code, p.Title, p.Detail, known = r.status, r.code, r.title, err.Error(), true
			break
		}
	}
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok && !known {
		p.Status, p.Code, p.Title = http.StatusUnprocessableEntity, "invalid", "What was sent is not valid"
		if invalid.Query {
			p.Status, p.Title = http.StatusBadRequest, "The request is not valid"
		}
		p.Detail = knowledge.Count(len(invalid.Faults), "fault", "faults") + ": see errors"
	}
	if e, ok := errors.AsType[*store.UnavailableError](err); ok && e.TooMany {
		p.Status, p.Code, p.Title = http.StatusTooManyRequests, "too_many", "The caller has had its share for now"
	}
	p.Type = "urn:tenet:problem:" + p.Code
	p.detail(err)
	return p
}

// detail fills in the fields of the error's type.
func (p *Problem) detail(err error) {
	if e, ok := errors.AsType[*RefusedError](err); ok {
		p.Detail = e.Detail
	}
	if e, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		p.Errors, p.Query = e.Faults, e.Query
	}
	if e, ok := errors.AsType[*store.NotFoundError](err); ok {
		p.Kind, p.ID = e.Key.Kind, e.Key.ID
		if e.Archived {
			p.Archived = true
			p.Detail = e.Error() + ": GET /api/v1/archive?kind=" + string(e.Key.Kind) + "&id=" + e.Key.ID +
				" shows it, and POST /api/v1/" + e.Key.Kind.Plural() + "/" + e.Key.ID + "/restore brings it back"
		}
	}
	if e, ok := errors.AsType[*store.ConflictError](err); ok {
		p.Kind, p.ID, p.Op, p.Want, p.Got = e.Key.Kind, e.Key.ID, &e.Op, &e.Want, &e.Got
		p.WantBatch, p.GotBatch = batchOrNone(e.WantBatch), batchOrNone(e.GotBatch)
		p.Detail = strings.TrimPrefix(p.Detail, "conflict: ")
	}
	if e, ok := errors.AsType[*store.GoneError](err); ok {
		p.Oldest = &e.Oldest
		if e.At > 0 {
			p.At = &e.At
		}
		for _, key := range e.Keys {
			p.Keys = append(p.Keys, key.String())
		}
		p.Detail = strings.TrimPrefix(p.Detail, "gone: ")
	}
	if e, ok := errors.AsType[*store.ForbiddenError](err); ok {
		p.Detail, p.Right = e.Reason, e.Right
	}
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		p.unavailable(err)
	case http.StatusUnauthorized:
		p.Detail = "give a token that an admin has made: programs send it in a header, as in Authorization: Bearer " +
			"tenet_..., and people sign in at /"
		if e, ok := errors.AsType[*store.UnauthenticatedError](err); ok {
			p.Detail = e.Reason
		}
	case http.StatusGatewayTimeout:
		p.Detail = "the answer took too long; whether a write was done is open: ask again with the same Idempotency-Key"
	}
}

// batchOrNone returns nil for the zero id.
func batchOrNone(id knowledge.BatchID) *knowledge.BatchID {
	if id == (knowledge.BatchID{}) {
		return nil
	}
	return &id
}

func (p *Problem) unavailable(err error) {
	after := time.Second
	if e, ok := errors.AsType[*store.UnavailableError](err); ok {
		// The cause is for the log: it may name hosts and users.
		p.Detail, p.Halt, p.ReadOnly, p.NotDone = e.Reason, e.Halt, e.ReadOnly, e.NotDone
		after = max(after, e.RetryAfter)
	}
	seconds := int((after + time.Second - 1) / time.Second)
	p.RetryAfter = &seconds
}
