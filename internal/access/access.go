// Package access knows who is calling, what they may do, and what was refused.
package access

import (
	"context"
	"slices"
	"strconv"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Caller is somebody whom a door has recognized. It is shared by many calls: nobody writes on it.
type Caller struct {
	ID     string         // the principal's id; the actor of what it writes
	Name   string         // to show
	Role   string         // one of [knowledge.Roles]
	Expiry knowledge.Time // when its token ends; zero for never
	Local  bool           // it came in through a door that only this machine's user can open
	// Unsure says that the caller's rights can't be looked up now. What its role allows for certain it may do; the rest is
	// unavailable and not forbidden.
	Unsure bool

	version int64 // of the principal
}

// Has reports whether the caller has the rights of a role. Nobody has none.
func (c *Caller) Has(role string) bool {
	if c == nil {
		return false
	}
	want := rank(role)
	return want >= 0 && rank(c.Role) >= want
}

// unsureRetry is when a caller whose rights can't be looked up should ask again.
const unsureRetry = 5 * time.Second

// Deny returns the refusal of what the caller's role does not allow: one that is unavailable for now where its rights can't be
// looked up, since it may well have them.
func (c *Caller) Deny(reason string) error {
	if c != nil && c.Unsure {
		return &store.UnavailableError{
			Reason:     "the primary can't be reached and nothing on this machine tells what " + c.ID + " may do: only the starter set can be read",
			RetryAfter: unsureRetry, NotDone: true,
		}
	}
	return &store.ForbiddenError{Reason: reason}
}

// rank is a role's place, the weakest first; -1 for what is no role.
func rank(role string) int {
	switch role {
	case knowledge.RoleViewer:
		return 0
	case knowledge.RoleContributor:
		return 1
	case knowledge.RoleMaintainer:
		return 2
	case knowledge.RoleAdmin:
		return 3
	}
	return -1
}

type contextKey int

const (
	callerKey contextKey = iota
	requestKey
)

// A Request is the context of one request with who is calling and the request's id, as [WithCaller] and [WithRequestID] would
// make it, without a link of the chain for each.
type Request struct {
	context.Context
	Caller *Caller
	Given  string // the request's id, when the caller has named it
	Number uint64 // what the id is made of otherwise
}

// RequestID returns the request's id. Most are never asked for, so it is spelled only then.
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
	}
	return r.Context.Value(key)
}

// WithCaller returns a context in which c is calling.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey, c)
}

// CallerFrom returns who is calling, nil when nobody is known to.
func CallerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey).(*Caller)
	return c
}

// WithRequestID returns a context that belongs to a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestID returns the id of the request that a context belongs to, "" for none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// SystemID is the id of the program itself. No principal can have it: see [Directory].
const SystemID = "system"

// System returns a context in which the program itself is calling, with all rights.
func System(ctx context.Context) context.Context {
	return WithCaller(ctx, &Caller{ID: SystemID, Name: "Tenet", Role: knowledge.RoleAdmin, Local: true})
}

// stronger returns the roles that have the rights of role, for messages.
func stronger(role string) []string {
	all := knowledge.Roles()
	return all[slices.Index(all, role):]
}
