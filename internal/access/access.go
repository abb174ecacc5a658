// Package access decides who is calling, what they may do, and reports what was refused.
package access

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Caller is an authenticated principal. Many calls share it; it must not be modified.
type Caller struct {
	ID     string         // the principal's id; the actor of its writes
	Name   string         // display name
	Role   string         // one of [knowledge.Roles]: a set of rights, see [Caller.May]
	Agent  bool           // a program that decides by itself: it has only some of its role's rights
	Using  string         // the name that an agent gives itself in a call with a person's token; "" for none
	Expiry knowledge.Time // when its token expires; zero for never
	Local  bool           // it came in through the Unix socket or the command line of this machine
	// Unsure is true if the caller's rights can't be looked up now. What any role allows is allowed; the rest is
	// unavailable, not forbidden.
	Unsure bool

	version     int64 // of the principal
	ownApproval bool  // the policy lets it review its own proposals
	// the actor that an admin enters a batch for: its writer when proposing, but never when reviewing
	writesFor string
}

// unsureRetry is the Retry-After for a caller whose rights can't be looked up.
const unsureRetry = 5 * time.Second

// Deny returns the error for a call that the caller's role does not allow: no, or "unavailable" if the caller's rights
// can't be looked up and may include it.
func (c *Caller) Deny(no *store.ForbiddenError) error {
	if c != nil && c.Unsure {
		return &store.UnavailableError{
			Reason: "the primary can't be reached, and this instance can't look up what " + c.ID +
				" may do: only the starter set can be read",
			RetryAfter: unsureRetry, NotDone: true,
		}
	}
	return no
}

type contextKey int

const (
	callerKey contextKey = iota
	requestKey
	wholeKey
	unrecordedKey
)

// A Request is the context of one request: [WithCaller] and [WithRequestID] in one link of the context chain.
type Request struct {
	context.Context
	Caller *Caller
	Given  string // the request's id, if the caller has set one
	Number uint64 // the source of the id otherwise
	Origin Origin // where the request comes from; nil if unknown
	Door   string // the door that answers it
	// Told is true once a refusal of the request was reported.
	Told atomic.Bool
	// Marks are the confidential categories that its answer shows.
	Marks store.Marks
}

// An Origin is where a request comes from.
type Origin interface {
	// Peer returns the remote address. It must be called before the request is answered.
	Peer() string
}

// tellOf adds the request's door and address to a refusal, and marks the request as reported.
func tellOf(ctx context.Context, r *Refusal) {
	q := RequestFrom(ctx)
	if q != nil {
		q.Told.Store(true)
	}
	r.Door, r.Peer = q.place()
}

// place returns the door that answers a request, and the remote address; "" if unknown. A nil request has neither.
func (r *Request) place() (door, peer string) {
	if r == nil {
		return "", ""
	}
	if r.Origin != nil {
		peer = r.Origin.Peer()
	}
	return r.Door, peer
}

// RequestID returns the request's id. Few are asked for, so the text is made on demand.
func (r *Request) RequestID() string {
	if r.Given != "" {
		return r.Given
	}
	return strconv.FormatUint(r.Number, 16)
}

// Value implements [context.Context].
func (r *Request) Value(key any) any {
	switch key {
	case callerKey:
		return r.Caller
	case requestKey:
		return r.RequestID()
	case wholeKey:
		return r
	case store.MarksKey{}:
		return &r.Marks
	}
	return r.Context.Value(key)
}

// Unrecorded returns a context in which the caller reads what it may, and the audit does not get it: for questions
// that the program asks for its answer to a write, and not the caller. Nothing of a document may be handed out but what
// it is called.
func Unrecorded(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, store.MarksKey{}, (*store.Marks)(nil))
	return context.WithValue(ctx, unrecordedKey, true)
}

func unrecorded(ctx context.Context) bool { return ctx.Value(unrecordedKey) != nil }

// WithCaller returns a context in which c is calling.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey, c)
}

// CallerFrom returns the caller, nil if there is none.
func CallerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey).(*Caller)
	return c
}

// WithRequestID returns a context with a request id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestID returns the request id of a context, "" for none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// SystemID is the id of the program itself. No principal can have it: see [Directory].
const SystemID = "system"

// System returns a context in which the program itself is the caller, with all rights.
func System(ctx context.Context) context.Context {
	return WithCaller(ctx, &Caller{ID: SystemID, Name: "Tenet", Role: knowledge.RoleAdmin, Local: true})
}
