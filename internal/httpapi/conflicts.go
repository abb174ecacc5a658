package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	conflictsPath = "/api/v1/conflicts"
	mirrorPath    = "/api/v1/mirror"
)

func conflictRoutes(h *Handler) []*route {
	return []*route{
		{
			method: http.MethodGet, path: conflictsPath, id: "list-conflicts", tag: "conflicts",
			summary: "List conflicts",
			description: "Writes of an outage that did not fit when the primary came back, because the document had been changed there " +
				"meanwhile. Each waits for a person, with the document that its writer saw, the one at the primary, and the one that the " +
				"write would have left. Conflicts about principals are shown to admins only. A server without PostgreSQL has none.",
			handler: with(listConflicts),
			answers: []answer{jsonAnswer[api.ConflictList](http.StatusOK, "The conflicts", exampleConflicts())},
		},
		{
			method: http.MethodGet, path: conflictsPath + "/{id}", id: "get-conflict", tag: "conflicts",
			summary:     "Read a conflict",
			description: "One conflict, decided or not.",
			handler:     with(getConflict), sample: exampleBatchID,
			answers:  []answer{jsonAnswer[api.Conflict](http.StatusOK, "The conflict", exampleConflict())},
			refusals: []int{http.StatusNotFound},
		},
		{
			method: http.MethodPost, path: conflictsPath + "/{id}/resolve", id: "resolve-conflict", tag: "conflicts",
			summary: "Decide a conflict",
			description: "theirs leaves everything as it is at the primary; ours writes the whole batch over it; merged writes the document " +
				"given. Both name with seen what they write over: where something was written since, they are refused with 409, and the " +
				"conflict is to be looked at again. It needs the role maintainer, or admin where the batch is about " +
				"a principal or purges, and a primary that answers. A conflict is decided once.",
			handler: with(resolveConflict), sample: exampleBatchID,
			body: &payload{media: mediaJSON, body: typeOf[resolveRequest](), samples: exampleResolves()},
			answers: []answer{
				jsonAnswer[api.ResolveAnswer](http.StatusOK, "It is decided and done", exampleResolved(), "Tenet-Batch", "Tenet-Seq"),
				jsonAnswer[api.ResolveAnswer](http.StatusAccepted, "It is decided; the primary could not be reached any more, and the write waits for it",
					exampleResolvedLater(), "Tenet-Batch", "Link"),
			},
			refusals: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		{
			method: http.MethodPost, path: conflictsPath + "/resolve", id: "resolve-conflicts", tag: "conflicts",
			summary: "Decide many conflicts",
			description: "One decision for many conflicts, theirs or ours. They are carried out in the order in which the batches were " +
				"acknowledged, so that what was made on top of another comes after it. All are looked at first: when one was decided already, " +
				"or something was written since it was looked at, nothing is done. The rights are those of deciding each.",
			handler: with(resolveConflicts),
			body:    &payload{media: mediaJSON, body: typeOf[resolveManyRequest](), samples: exampleResolveMany()},
			answers: []answer{jsonAnswer[api.ResolveManyAnswer](http.StatusOK, "What was carried out", exampleResolvedMany())},
			refusals: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		mirrorRoute(h, "check", "Compare the mirror with the primary",
			"Asks for a comparison of every document, which runs beside the requests; the status shows when it was last done and what it "+
				"found. A mirror that differs is rebuilt. Only admins may ask.", func(m Mirror) { m.CheckMirror() }),
		mirrorRoute(h, "accept", "Accept a primary with another history",
			"For the mode diverged: the mirror is rebuilt from the primary as it is now, and what the mirror alone holds is kept among the "+
				"conflicts. Without that mode it means the next time. Only admins may say so.", func(m Mirror) { m.AcceptPrimary() }),
	}
}

// mirrorRoute is a route that asks the mirror for something.
func mirrorRoute(h *Handler, what, summary, description string, do func(Mirror)) *route {
	return &route{
		method: http.MethodPost, path: mirrorPath + "/" + what, id: what + "-mirror", tag: "operations",
		summary: summary, description: description, storeless: true,
		handler: with(func(c *call, _ *noParams) error {
			if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbOperate}); no != nil {
				return c.request.Caller.Deny(no)
			}
			if h.o.Mirror == nil {
				return api.Refuse(store.ErrNotFound, "this server has no mirror: it runs without PostgreSQL")
			}
			do(h.o.Mirror)
			return c.json(http.StatusAccepted, mirrorAnswer{Asked: what})
		}),
		answers:  []answer{jsonAnswer[mirrorAnswer](http.StatusAccepted, "It will be done", mirrorAnswer{Asked: what})},
		refusals: []int{http.StatusForbidden, http.StatusNotFound},
	}
}

type conflictsParams struct {
	Resolved   bool   `query:"resolved" doc:"Also those that were decided" example:"true"`
	Kind       string `query:"kind" doc:"Only those about documents of a kind" kinds:"all" example:"rule"`
	DocumentID string `query:"document_id" doc:"Only those about documents of an id" example:"SEC-001"`
	Actor      string `query:"actor" doc:"Only what this principal wrote" example:"anna"`
	Limit      int    `query:"limit" doc:"Conflicts on a page" minimum:"1" maximum:"200" default:"50" example:"20"`
	Cursor     string `query:"cursor" doc:"Next of the page before, with the same filters"`
}

// query reads which conflicts are asked for.
func (p *conflictsParams) query() (store.ParkedQuery, error) {
	q := store.ParkedQuery{Resolved: p.Resolved, DocumentID: p.DocumentID, Actor: p.Actor, Limit: p.Limit}
	var f faultList
	if p.Kind != "" {
		kind, err := knowledge.ParseKind(p.Kind)
		if err != nil {
			f.add("/kind", "%q: want one of %s", p.Kind, knowledge.KindList(knowledge.Kinds()))
		}
		q.Kind = kind
	}
	if p.Cursor != "" {
		before, err := strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil || before <= 0 {
			f.add("/cursor", "%q: want next of the page before", p.Cursor)
		}
		q.Before = before
	}
	switch {
	case q.Limit == 0:
		q.Limit = defaultConflicts
	case q.Limit < 1 || q.Limit > maxConflicts:
		f.add("/limit", "%d: want 1 to %d", q.Limit, maxConflicts)
	}
	return q, f.err(true)
}

// The default and the largest number of conflicts on a page.
const (
	defaultConflicts = 50
	maxConflicts     = 200
)

func listConflicts(c *call, p *conflictsParams) error {
	a := api.ConflictList{Conflicts: []api.Conflict{}}
	q, err := p.query()
	if err != nil {
		return err
	}
	if c.h.o.Desk == nil {
		return c.json(http.StatusOK, a)
	}
	list, next, err := c.h.o.Policy.Confidential.ListConflicts(c.limited(), c.h.o.Store, c.h.o.Desk, c.request.Caller, q)
	if err != nil {
		return err
	}
	for i := range list {
		a.Conflicts = append(a.Conflicts, api.ConflictOf(&list[i]))
	}
	c.h.o.Reads.Tell(c.request, access.Read{Action: access.ReadConflicts, Count: len(a.Conflicts)})
	if next > 0 {
		a.Next = strconv.FormatInt(next, 10)
	}
	return c.json(http.StatusOK, a)
}

func getConflict(c *call, _ *conflictPath) error {
	p, err := parkedOfPath(c)
	if err != nil {
		return err
	}
	c.h.o.Reads.Tell(c.request, access.Read{Action: access.ReadConflicts, Question: "batch=" +
		p.Entry.Batch.ID.String(), Count: 1})
	return c.json(http.StatusOK, api.ConflictOf(p))
}

func resolveConflict(c *call, _ *conflictPath) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth+1); err != nil {
		return err
	}
	if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbResolve}); no != nil {
		return c.request.Caller.Deny(no)
	}
	p, err := parkedOfPath(c)
	if err != nil {
		return err
	}
	d, err := decisionOf(raw, p)
	if err != nil {
		return err
	}
	done, err := c.h.o.Policy.ResolveConflicts(c.limited(), c.h.o.Store, c.h.o.Desk, c.request.Caller,
		[]*store.Parked{p}, []store.Decision{d})
	if errors.Is(err, store.ErrNotFound) {
		return api.Refuse(store.ErrNotFound, "there is no conflict %s", p.Entry.Batch.ID)
	}
	if err != nil {
		return err
	}
	return answerResolved(c, d.How, &done[0].Receipt)
}

// decisionOf reads a decision about a conflict.
func decisionOf(raw []byte, p *store.Parked) (store.Decision, error) {
	var f faultList
	d := store.Decision{ID: p.Entry.Batch.ID}
	members := f.object("", raw, "resolution", "seen", "document")
	f.member("/resolution", members["resolution"], &d.How, "theirs, ours or merged")
	f.member("/seen", members["seen"], &d.Seen, "the seen of the conflict")
	doc := members["document"]
	given := len(doc) > 0 && string(doc) != "null"
	switch d.How {
	case store.ResolveTheirs, store.ResolveOurs:
		if given {
			f.add("/document", "it is for merged only; leave it out")
		}
	case store.ResolveMerged:
		if !given {
			f.add("/document", "missing: merged needs the document to write")
		}
	default:
		f.add("/resolution", "%q: want theirs, ours or merged", d.How)
	}
	if err := f.err(false); err != nil || d.How != store.ResolveMerged {
		return d, err
	}
	if len(doc) > knowledge.MaxDocument {
		return d, api.Refuse(api.ErrTooLarge, "the document has %d bytes: at most %d fit", len(doc),
			knowledge.MaxDocument)
	}
	key := p.Key()
	merged, err := knowledge.Decode(key.Kind, doc)
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		return d, invalid.Below("/document")
	}
	if err != nil {
		return d, fmt.Errorf("read the merged document: %w", err)
	}
	if merged.Key().ID == "" {
		setID(merged, key.ID)
	}
	d.Merged = merged
	return d, nil
}

// answerResolved answers with a conflict that was decided just now.
func answerResolved(c *call, how string, receipt *knowledge.Receipt) error {
	p, err := parkedOfPath(c)
	if err != nil {
		return err
	}
	a := api.ResolveAnswer{
		Conflict: api.ConflictOf(p), State: stateOf(receipt), Seq: receipt.Seq,
		Results: []api.BatchResult{},
	}
	for _, rec := range receipt.Records {
		if rec == nil {
			continue // it was purged
		}
		r := api.BatchResult{Kind: rec.Key.Kind, ID: rec.Key.ID, Verb: knowledge.VerbPut}
		setRecord(&r, rec)
		a.Results = append(a.Results, r)
	}
	if how != store.ResolveTheirs {
		setBatchHeaders(c, receipt.Batch, receipt)
	}
	return c.json(statusOf(receipt), &a)
}
