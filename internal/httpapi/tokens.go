package httpapi

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const tokensPath = "/api/v1/tokens" //nolint:gosec // an address

// tokenRequest is the body of POST /tokens.
type tokenRequest struct {
	PrincipalID string         `json:"principal_id" doc:"Its id; that of a revoked one is free" example:"ci-payments"`
	Name        string         `json:"name,omitempty" doc:"The name to show: the id when left out"`
	Role        string         `json:"role,omitempty" doc:"What it may do: viewer when left out, contributor of an agent" enum:"viewer,contributor,maintainer,admin"`
	Agent       bool           `json:"agent,omitempty" doc:"True for a program that decides by itself"`
	Expiry      knowledge.Time `json:"expiry,omitzero" doc:"When the token expires; null or left out for never" example:"2027-01-31T12:00:00Z"`
}

// rotateRequest is the body of POST /principals/{id}/token.
type rotateRequest struct {
	Expiry knowledge.Time `json:"expiry,omitzero" doc:"When the new token expires, null for never; when left out, when the old one did" example:"2027-01-31T12:00:00Z"`
}

// tokenAnswer holds a token, which is in no other answer and kept nowhere.
type tokenAnswer struct {
	PrincipalID string         `json:"principal_id" doc:"The principal's id" example:"ci-payments"`
	Role        string         `json:"role" doc:"What it may do" enum:"viewer,contributor,maintainer,admin"`
	Expiry      knowledge.Time `json:"expiry" doc:"When the token expires; null for never"`
	Token       string         `json:"token" doc:"The token, shown this once and kept nowhere"`
}

type principalPath struct {
	ID string `path:"id" doc:"The principal's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$"`
}

func tokenRoutes() []*route {
	refusals := []int{
		http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	}
	tag, heads := knowledge.KindPrincipal.Plural(), []string{"Tenet-Batch", "Tenet-Seq"}
	queued := jsonAnswer[tokenAnswer](http.StatusAccepted,
		"The token; its principal is safe on disk and waits for the primary", exampleToken(), "Tenet-Batch", "Link")
	return []*route{
		{
			method: http.MethodPost, path: tokensPath, id: "issue-token", tag: tag, kind: knowledge.KindPrincipal,
			summary: "Issue a token",
			description: "Makes a principal with a token that the server makes. The answer alone holds the token. A " +
				"request that is sent again makes no second " +
				"one: where the answer was lost, rotate.",
			handler: with(issueToken),
			body: &payload{media: mediaJSON, body: typeOf[tokenRequest](), samples: []sample{
				{"pipeline", "A token for a pipeline", tokenRequest{
					PrincipalID: "ci-orders",
					Role:        knowledge.RoleContributor,
				}},
			}},
			answers: []answer{jsonAnswer[tokenAnswer](http.StatusCreated, "The token, shown this once",
				exampleToken(), append(heads, "Location")...), queued},
			refusals: refusals,
		},
		{
			method: http.MethodPost, path: "/api/v1/principals/{id}/token", id: "rotate-token", tag: tag,
			kind:    knowledge.KindPrincipal,
			sample:  exampleID(knowledge.KindPrincipal),
			summary: "Give a principal another token",
			description: "Makes another token for a principal: the old one opens nothing from then on. Name, role " +
				"and bounds stay, and a revoked principal is in use " +
				"again. The answer alone holds the token.",
			handler: with(rotateToken),
			body: &payload{media: mediaJSON, free: true, body: typeOf[rotateRequest](), samples: []sample{
				{"forever", "One that ends when the old one did", rotateRequest{}},
			}},
			answers: []answer{jsonAnswer[tokenAnswer](http.StatusOK, "The new token, shown this once", exampleToken(),
				heads...), queued},
			refusals: append(refusals, http.StatusNotFound),
		},
	}
}

func exampleToken() tokenAnswer {
	return tokenAnswer{ //nolint:gosec // an example
		PrincipalID: "ci-payments", Role: knowledge.RoleContributor,
		Token: "tenet_EXAMPLE-of-what-is-made-of-32-random-bytes-",
	}
}

func issueToken(c *call, _ *noParams) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	var f faultList
	var ask tokenRequest
	m := f.object("", raw, "principal_id", "name", "role", "agent", "expiry")
	f.member("/principal_id", m["principal_id"], &ask.PrincipalID, "text")
	f.member("/name", m["name"], &ask.Name, "text")
	f.member("/role", m["role"], &ask.Role, "text")
	f.member("/agent", m["agent"], &ask.Agent, "true or false")
	f.member("/expiry", m["expiry"], &ask.Expiry, "a time")
	if err := f.err(false); err != nil {
		return err
	}
	p, token, err := access.NewPrincipal(ask.PrincipalID, cmp.Or(ask.Role, access.RoleOf(ask.Agent)))
	if err != nil {
		return err
	}
	p.Name, p.Agent, p.Expiry = ask.Name, ask.Agent, ask.Expiry
	p.Normalize()
	f.merge(p.Validate())
	future(&f, p.Expiry)
	was, err := principalBefore(c, p.PrincipalID, p)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case len(f) > 0:
		return f.err(false)
	}
	return sendToken(c, access.Issue(p, was), p, token, http.StatusCreated)
}

// future refuses a token that would have expired already.
func future(f *faultList, at knowledge.Time) {
	if !at.IsZero() && !at.After(time.Now()) {
		f.add("/expiry", "%s is past", at.UTC().Format(time.RFC3339))
	}
}

// principalBefore returns the record of a principal, for callers who may write it.
func principalBefore(c *call, id string, after *knowledge.Principal) (*knowledge.Record, error) {
	key := knowledge.Key{Kind: knowledge.KindPrincipal, ID: id}
	act := access.Act{Verb: knowledge.VerbPut, Key: key}
	if after != nil {
		act.After = after
	}
	if no := access.Decide(c.request.Caller, act); no != nil {
		return nil, c.request.Caller.Deny(no)
	}
	return c.h.o.Store.Get(c.limited(), key)
}

func rotateToken(c *call, _ *principalPath) error {
	id := c.r.PathValue("id")
	raw, err := c.body()
	if err != nil {
		return err
	}
	var f faultList
	var until *knowledge.Time
	if len(raw) > 0 {
		if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
			return err
		}
		if text, given := f.object("", raw, "expiry")["expiry"]; given {
			until = &knowledge.Time{}
			f.member("/expiry", text, until, "a time")
			*until = knowledge.At(until.Time)
			future(&f, *until)
		}
	}
	rec, err := principalBefore(c, id, nil)
	switch {
	case err != nil:
		return err
	case len(f) > 0:
		return f.err(false)
	}
	doc, err := rec.Document()
	if err != nil {
		return err
	}
	was, ok := doc.(*knowledge.Principal)
	if !ok {
		return store.ErrNotFound
	}
	next, token, err := access.Rotate(was, until, time.Now())
	if expired, ok := errors.AsType[*access.ExpiredError](err); ok {
		return knowledge.Invalid("/expiry", "%s", expired)
	}
	if err != nil {
		return err
	}
	return sendToken(c, knowledge.Put(next, rec.Version), next, token, http.StatusOK)
}

// sendToken writes a principal, and answers with its token.
func sendToken(c *call, op knowledge.Op, p *knowledge.Principal, token string, status int) error {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: c.actor(), Ops: []knowledge.Op{op}}
	receipt, err := c.h.o.Store.Apply(c.limited(), b)
	if err != nil {
		return asSingle(err)
	}
	setBatchHeaders(c, b.ID, &receipt)
	if receipt.Queued {
		status = http.StatusAccepted
	}
	if status == http.StatusCreated {
		c.set("Location", "/api/v1/principals/"+p.PrincipalID)
	}
	c.set("Cache-Control", "no-store")
	return c.json(status, tokenAnswer{PrincipalID: p.PrincipalID, Role: p.Role, Expiry: p.Expiry, Token: token})
}
