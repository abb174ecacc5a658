package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	conflictsPath = "/api/v1/conflicts"
	mirrorPath    = "/api/v1/mirror"
)

// Ways to resolve a conflict.
const (
	resolveTheirs = "theirs"
	resolveOurs   = "ours"
	resolveMerged = "merged"
)

// A Desk keeps the batches of an outage that did not fit when the primary came back, until a person decides.
type Desk interface {
	// Conflicts returns those that wait, and with resolved those decided, too; the newest first.
	Conflicts(ctx context.Context, resolved bool) ([]store.Parked, error)
	// Resolve carries out a decision. Merged is the document to write for "merged", nil for the others.
	Resolve(ctx context.Context, id knowledge.BatchID, how, by string, merged knowledge.Document) (knowledge.Receipt, error)
}

// A Mirror is a copy of the primary's documents. Neither call waits.
type Mirror interface {
	// CheckMirror asks for a comparison with the primary.
	CheckMirror()
	// AcceptPrimary lets the mirror be made anew from a primary that has another history.
	AcceptPrimary()
}

// conflict is a parked batch as it is shown.
type conflict struct {
	ID         uuid.UUID       `json:"id" doc:"The id of the batch that did not fit" format:"uuid"`
	Actor      string          `json:"actor" doc:"Who wrote it" example:"anna"`
	Kind       knowledge.Kind  `json:"kind" doc:"The kind of the document that it is about" enum:"rule,practice,template,category,violation,principal"`
	DocumentID string          `json:"document_id" doc:"The id of that document" example:"SEC-001"`
	Op         int             `json:"op" doc:"The index of the op that did not fit; -1 when it was none of them alone" minimum:"-1"`
	Verb       knowledge.Verb  `json:"verb" doc:"What that op does" enum:"put,patch,retire,restore,purge"`
	Ops        int             `json:"ops" doc:"How many ops the batch has" minimum:"1"`
	Why        string          `json:"why" doc:"Why it did not fit"`
	Found      int64           `json:"found" doc:"The version at the primary; 0 for none"`
	Base       json.RawMessage `json:"base" doc:"The document that the writer saw; null for none, or when it is no longer known"`
	Theirs     json.RawMessage `json:"theirs" doc:"The document at the primary; null for none"`
	Ours       json.RawMessage `json:"ours" doc:"The document that the batch would have left; null for none"`
	QueuedAt   knowledge.Time  `json:"queued_at" doc:"When the batch was acknowledged"`
	ParkedAt   knowledge.Time  `json:"parked_at" doc:"When it was found not to fit"`
	Resolution string          `json:"resolution,omitempty" doc:"What was decided; left out while nobody has" enum:"theirs,ours,merged"`
	ResolvedBy string          `json:"resolved_by,omitempty" doc:"Who decided"`
	ResolvedAt *knowledge.Time `json:"resolved_at,omitempty" doc:"When it was decided"`
	ResolvedAs *uuid.UUID      `json:"resolved_as,omitempty" doc:"The batch that carried the decision out" format:"uuid"`
}

// conflictList is what GET /conflicts answers.
type conflictList struct {
	Conflicts []conflict `json:"conflicts" doc:"The conflicts, the newest first"`
}

// resolveRequest is a decision.
type resolveRequest struct {
	Resolution string          `json:"resolution" doc:"What holds: what is at the primary, what was journalled, or a document made of both" enum:"theirs,ours,merged"`
	Document   json.RawMessage `json:"document,omitempty" doc:"For merged: the whole document to write"`
}

// resolveAnswer tells what a decision did.
type resolveAnswer struct {
	Conflict conflict      `json:"conflict" doc:"The conflict, decided"`
	State    string        `json:"state" doc:"Whether what was decided is done, or waits for the primary" enum:"applied,queued"`
	Seq      knowledge.Seq `json:"seq,omitempty" doc:"The seq of the last change that it made; left out when it made none"`
	Results  []batchResult `json:"results" doc:"The documents that it left behind; none for theirs"`
}

// mirrorAnswer says that something was asked for.
type mirrorAnswer struct {
	Asked string `json:"asked" doc:"What will be done with the mirror; the status shows the outcome" enum:"check,accept"`
}

func (h *Handler) conflictRoutes() []*route {
	return []*route{
		{
			method: http.MethodGet, path: conflictsPath, id: "list-conflicts", tag: "conflicts",
			summary: "List conflicts",
			description: "Writes of an outage that did not fit when the primary came back, because the document had been changed there " +
				"meanwhile. Each waits for a person, with the document that its writer saw, the one at the primary, and the one that the " +
				"write would have left. Conflicts about principals are shown to admins only. A tenet without a PostgreSQL has none.",
			handler: with(h.listConflicts),
			answers: []answer{jsonAnswer[conflictList](http.StatusOK, "The conflicts", exampleConflicts())},
		},
		{
			method: http.MethodGet, path: conflictsPath + "/{id}", id: "get-conflict", tag: "conflicts",
			summary:     "Read a conflict",
			description: "One conflict, decided or not.",
			handler:     with(h.getConflict), sample: exampleBatchID,
			answers:  []answer{jsonAnswer[conflict](http.StatusOK, "The conflict", exampleConflict())},
			refusals: []int{http.StatusNotFound},
		},
		{
			method: http.MethodPost, path: conflictsPath + "/{id}/resolve", id: "resolve-conflict", tag: "conflicts",
			summary: "Decide a conflict",
			description: "theirs leaves everything as it is at the primary; ours writes the whole batch over it; merged writes the document " +
				"given, onto the version that the conflict was found with. It needs the role maintainer, or admin where the batch is about " +
				"a principal or purges, and a primary that answers. A conflict is decided once.",
			handler: with(h.resolveConflict), sample: exampleBatchID,
			body: &payload{media: mediaJSON, body: typeOf[resolveRequest](), samples: exampleResolves()},
			answers: []answer{
				jsonAnswer[resolveAnswer](http.StatusOK, "It is decided and done", exampleResolved(), "Tenet-Batch", "Tenet-Seq"),
				jsonAnswer[resolveAnswer](http.StatusAccepted, "It is decided; the primary went away meanwhile, and the write waits for it",
					exampleResolvedLater(), "Tenet-Batch", "Link"),
			},
			refusals: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		h.mirrorRoute("check", "Compare the mirror with the primary",
			"Asks for a comparison of every document, which runs beside the requests; the status shows when it was last done and what it "+
				"found. A mirror that differs is made anew. Only admins may ask.", func(m Mirror) { m.CheckMirror() }),
		h.mirrorRoute("accept", "Accept a primary with another history",
			"For the mode diverged: the mirror is made anew from the primary as it is now, and what the mirror alone holds is kept among the "+
				"conflicts. Without that mode it means the next time. Only admins may say so.", func(m Mirror) { m.AcceptPrimary() }),
	}
}

// mirrorRoute is a route that asks the mirror for something.
func (h *Handler) mirrorRoute(what, summary, description string, do func(Mirror)) *route {
	return &route{
		method: http.MethodPost, path: mirrorPath + "/" + what, id: what + "-mirror", tag: "operations",
		summary: summary, description: description, storeless: true,
		handler: with(func(c *call, _ *noParams) error {
			if !c.request.Caller.Has(knowledge.RoleAdmin) {
				return c.request.Caller.Deny("the mirror is for admins: ask with the token of one")
			}
			if h.o.Mirror == nil {
				return refuse(store.ErrNotFound, "this tenet has no mirror: it runs without a PostgreSQL")
			}
			do(h.o.Mirror)
			return c.json(http.StatusAccepted, mirrorAnswer{Asked: what})
		}),
		answers:  []answer{jsonAnswer[mirrorAnswer](http.StatusAccepted, "It will be done", mirrorAnswer{Asked: what})},
		refusals: []int{http.StatusForbidden, http.StatusNotFound},
	}
}

type conflictsParams struct {
	Resolved bool `query:"resolved" doc:"Also those that were decided" example:"true"`
}

func (h *Handler) listConflicts(c *call, p *conflictsParams) error {
	a := conflictList{Conflicts: []conflict{}}
	if h.o.Desk == nil {
		return c.json(http.StatusOK, a)
	}
	list, err := h.o.Desk.Conflicts(c.limited(), p.Resolved)
	if err != nil {
		return err
	}
	for i := range list {
		if c.request.Caller.Has(mayRead(&list[i])) {
			a.Conflicts = append(a.Conflicts, conflictOf(&list[i]))
		}
	}
	return c.json(http.StatusOK, a)
}

type conflictPath struct {
	ID string `path:"id" doc:"The id of the batch that did not fit" format:"uuid"`
}

func (h *Handler) getConflict(c *call, _ *conflictPath) error {
	p, err := h.parked(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, conflictOf(p))
}

// parked finds the conflict that the path names, as far as the caller may see it.
func (h *Handler) parked(c *call) (*store.Parked, error) {
	text := c.r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return nil, knowledge.BadQuery("id", "%q: want the UUID of a conflict", text)
	}
	if h.o.Desk != nil {
		list, err := h.o.Desk.Conflicts(c.limited(), true)
		if err != nil {
			return nil, err
		}
		for i := range list {
			switch p := &list[i]; {
			case p.Entry.Batch.ID != id:
			case c.request.Caller.Has(mayRead(p)):
				return p, nil
			case c.request.Caller.Unsure:
				return nil, c.request.Caller.Deny("") // it may be shown to this one
			}
		}
	}
	return nil, refuse(store.ErrNotFound, "there is no conflict %s", id)
}

// mayRead returns the role that sees a conflict: what holds a principal is for those who may read principals.
func mayRead(p *store.Parked) string {
	for i := range p.Entry.Batch.Ops {
		if p.Entry.Batch.Ops[i].Key.Kind == knowledge.KindPrincipal {
			return knowledge.RoleAdmin
		}
	}
	return knowledge.RoleViewer
}

// mayResolve returns the role that decides a conflict: what is written for it is written past the judgement of single ops.
func mayResolve(p *store.Parked) string {
	for i := range p.Entry.Batch.Ops {
		if p.Entry.Batch.Ops[i].Verb == knowledge.VerbPurge {
			return knowledge.RoleAdmin
		}
	}
	if role := mayRead(p); role == knowledge.RoleAdmin {
		return role
	}
	return knowledge.RoleMaintainer
}

func (h *Handler) resolveConflict(c *call, _ *conflictPath) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth+1); err != nil {
		return err
	}
	if !c.request.Caller.Has(knowledge.RoleMaintainer) {
		return c.request.Caller.Deny("to decide a conflict needs the role maintainer or admin")
	}
	p, err := h.parked(c)
	if err != nil {
		return err
	}
	if need := mayResolve(p); !c.request.Caller.Has(need) {
		return c.request.Caller.Deny("to decide a conflict about a purge needs the role " + need)
	}
	how, merged, err := decision(raw, p)
	if err != nil {
		return err
	}
	receipt, err := h.o.Desk.Resolve(c.limited(), p.Entry.Batch.ID, how, c.request.Caller.ID, merged)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(store.ErrNotFound, "there is no conflict %s", p.Entry.Batch.ID)
	}
	if err != nil {
		return err
	}
	return h.resolved(c, how, &receipt)
}

// decision reads what a person has decided about a conflict.
func decision(raw []byte, p *store.Parked) (how string, merged knowledge.Document, err error) {
	var f faultList
	members := f.object("", raw, "resolution", "document")
	f.member("/resolution", members["resolution"], &how, "theirs, ours or merged")
	doc := members["document"]
	given := len(doc) > 0 && string(doc) != "null"
	switch how {
	case resolveTheirs, resolveOurs:
		if given {
			f.add("/document", "it is for merged only; leave it out")
		}
	case resolveMerged:
		if !given {
			f.add("/document", "missing: merged needs the document to write")
		}
	default:
		f.add("/resolution", "%q: want theirs, ours or merged", how)
	}
	if err := f.err(false); err != nil || how != resolveMerged {
		return how, nil, err
	}
	if len(doc) > knowledge.MaxDocument {
		return how, nil, refuse(errTooLarge, "the document has %d bytes: at most %d fit", len(doc), knowledge.MaxDocument)
	}
	key := disputed(p).Key
	merged, err = knowledge.Decode(key.Kind, doc)
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return how, nil, invalid.Below("/document")
	}
	if err != nil {
		return how, nil, fmt.Errorf("read the merged document: %w", err)
	}
	if merged.Key().ID == "" {
		setID(merged, key.ID)
	}
	return how, merged, nil
}

// resolved answers with a conflict that was decided just now.
func (h *Handler) resolved(c *call, how string, receipt *knowledge.Receipt) error {
	p, err := h.parked(c)
	if err != nil {
		return err
	}
	a := resolveAnswer{Conflict: conflictOf(p), State: stateOf(receipt), Seq: receipt.Seq, Results: []batchResult{}}
	for _, rec := range receipt.Records {
		if rec == nil {
			continue // it was purged
		}
		r := batchResult{Kind: rec.Key.Kind, ID: rec.Key.ID, Verb: knowledge.VerbPut}
		r.left(rec)
		a.Results = append(a.Results, r)
	}
	if how != resolveTheirs {
		c.wrote(receipt.Batch, receipt)
	}
	return c.json(statusOf(receipt), &a)
}

// disputed returns the op that a conflict is about.
func disputed(p *store.Parked) *knowledge.Op { return &p.Entry.Batch.Ops[max(p.Op, 0)] }

func conflictOf(p *store.Parked) conflict {
	op := disputed(p)
	c := conflict{
		ID: p.Entry.Batch.ID, Actor: p.Entry.Batch.Actor, Kind: op.Key.Kind, DocumentID: op.Key.ID, Op: p.Op, Verb: op.Verb,
		Ops: len(p.Entry.Batch.Ops), Why: p.Why, Found: max(p.Found, 0), Base: orNull(p.Base), Theirs: orNull(p.Theirs), Ours: orNull(p.Ours),
		QueuedAt: p.Entry.At, ParkedAt: p.ParkedAt, Resolution: p.Resolution, ResolvedBy: p.ResolvedBy,
	}
	if p.Resolution != "" {
		c.ResolvedAt = &p.ResolvedAt
	}
	if p.ResolvedAs != (knowledge.BatchID{}) {
		c.ResolvedAs = &p.ResolvedAs
	}
	return c
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}
