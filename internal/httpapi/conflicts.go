package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"tenet/internal/access"
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
	// Conflicts returns those that are asked for, the newest first, with what stands of their documents now.
	Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	// Resolve carries out decisions, in the order in which the batches were taken, and returns those that were. One that was made of
	// what is no longer so is refused, and all with it.
	Resolve(ctx context.Context, by string, decisions ...store.Decision) ([]store.Decided, error)
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
	Kind       knowledge.Kind  `json:"kind" doc:"The kind of the document that it is about"`
	DocumentID string          `json:"document_id" doc:"The id of that document" example:"SEC-001"`
	Op         int             `json:"op" doc:"The index of the op that did not fit; -1 when it was none of them alone" minimum:"-1"`
	Verb       knowledge.Verb  `json:"verb" doc:"What that op does" enum:"put,patch,retire,restore,purge"`
	Ops        int             `json:"ops" doc:"How many ops the batch has" minimum:"1"`
	Why        string          `json:"why" doc:"Why it did not fit"`
	Found      int64           `json:"found" doc:"The version of theirs; 0 for none"`
	Seen       string          `json:"seen,omitempty" doc:"Names what stands of its documents now: a decision for ours or merged says it, so that nothing is overwritten that came since. Left out once it is decided, or while that can't be told" example:"8f1c5a90d2b7e364"`
	Lost       *uuid.UUID      `json:"lost,omitempty" doc:"The batch that was acknowledged and lost by a failover of the primary; left out for what did not fit" format:"uuid"`
	Base       json.RawMessage `json:"base" doc:"The document that the writer saw; null for none, or when it is no longer known"`
	Theirs     json.RawMessage `json:"theirs" doc:"The document as it stands at the primary, null for none; once decided, as it stood when the batch was parked"`
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
	Next      string     `json:"next,omitempty" doc:"The cursor of the next page; left out on the last one"`
}

// resolveRequest is a decision.
type resolveRequest struct {
	Resolution string          `json:"resolution" doc:"What holds: what is at the primary, what was journalled, or a document made of both" enum:"theirs,ours,merged"`
	Seen       string          `json:"seen,omitempty" doc:"For ours and merged: the seen of the conflict, as it was looked at" example:"8f1c5a90d2b7e364"`
	Document   json.RawMessage `json:"document,omitempty" doc:"For merged: the whole document to write"`
}

// resolveManyRequest is one decision about many conflicts.
type resolveManyRequest struct {
	Resolution string         `json:"resolution" doc:"What holds for all of them: what is at the primary, or what was journalled" enum:"theirs,ours"`
	Conflicts  []seenConflict `json:"conflicts" doc:"The conflicts, in any order" minItems:"1" maxItems:"200"`
}

// seenConflict names a conflict as it was looked at.
type seenConflict struct {
	ID   string `json:"id" doc:"The id of the batch that did not fit" format:"uuid" example:"018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"`
	Seen string `json:"seen,omitempty" doc:"For ours: the seen of the conflict" example:"8f1c5a90d2b7e364"`
}

// resolveManyAnswer tells what became of the conflicts.
type resolveManyAnswer struct {
	Decided []decidedConflict `json:"decided" doc:"What was carried out, in the order in which it was"`
	Stopped string            `json:"stopped,omitempty" doc:"Why the next was not carried out, nor those behind it; left out when all were"`
}

// decidedConflict is a decision that was carried out.
type decidedConflict struct {
	ID    uuid.UUID     `json:"id" doc:"The conflict" format:"uuid"`
	State string        `json:"state" doc:"Whether what was decided is done, or waits for the primary" enum:"applied,queued"`
	Seq   knowledge.Seq `json:"seq,omitempty" doc:"The seq of the last change that it made; left out when it made none"`
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

func conflictRoutes(h *Handler) []*route {
	return []*route{
		{
			method: http.MethodGet, path: conflictsPath, id: "list-conflicts", tag: "conflicts",
			summary: "List conflicts",
			description: "Writes of an outage that did not fit when the primary came back, because the document had been changed there " +
				"meanwhile. Each waits for a person, with the document that its writer saw, the one at the primary, and the one that the " +
				"write would have left. Conflicts about principals are shown to admins only. A tenet without a PostgreSQL has none.",
			handler: with(listConflicts),
			answers: []answer{jsonAnswer[conflictList](http.StatusOK, "The conflicts", exampleConflicts())},
		},
		{
			method: http.MethodGet, path: conflictsPath + "/{id}", id: "get-conflict", tag: "conflicts",
			summary:     "Read a conflict",
			description: "One conflict, decided or not.",
			handler:     with(getConflict), sample: exampleBatchID,
			answers:  []answer{jsonAnswer[conflict](http.StatusOK, "The conflict", exampleConflict())},
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
				jsonAnswer[resolveAnswer](http.StatusOK, "It is decided and done", exampleResolved(), "Tenet-Batch", "Tenet-Seq"),
				jsonAnswer[resolveAnswer](http.StatusAccepted, "It is decided; the primary went away meanwhile, and the write waits for it",
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
			answers: []answer{jsonAnswer[resolveManyAnswer](http.StatusOK, "What was carried out", exampleResolvedMany())},
			refusals: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		mirrorRoute(h, "check", "Compare the mirror with the primary",
			"Asks for a comparison of every document, which runs beside the requests; the status shows when it was last done and what it "+
				"found. A mirror that differs is made anew. Only admins may ask.", func(m Mirror) { m.CheckMirror() }),
		mirrorRoute(h, "accept", "Accept a primary with another history",
			"For the mode diverged: the mirror is made anew from the primary as it is now, and what the mirror alone holds is kept among the "+
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
	Resolved   bool   `query:"resolved" doc:"Also those that were decided" example:"true"`
	Kind       string `query:"kind" doc:"Only those about documents of a kind" kinds:"all" example:"rule"`
	DocumentID string `query:"document_id" doc:"Only those about documents of an id" example:"SEC-001"`
	Actor      string `query:"actor" doc:"Only what this principal wrote" example:"anna"`
	Limit      int    `query:"limit" doc:"How many conflicts a page holds" minimum:"1" maximum:"200" default:"50" example:"20"`
	Cursor     string `query:"cursor" doc:"Where the page begins: next of the page before, with the same filters"`
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
	if q.Limit == 0 {
		q.Limit = defaultConflicts
	}
	return q, f.err(true)
}

// defaultConflicts is how many conflicts a page holds when it is not said.
const defaultConflicts = 50

func listConflicts(c *call, p *conflictsParams) error {
	a := conflictList{Conflicts: []conflict{}}
	q, err := p.query()
	if err != nil {
		return err
	}
	if c.h.o.Desk == nil {
		return c.json(http.StatusOK, a)
	}
	list, err := c.h.o.Desk.Conflicts(c.limited(), q)
	if err != nil {
		return err
	}
	for i := range list {
		if access.DecideConflict(c.request.Caller, access.VerbRead, &list[i].Entry.Batch) == nil {
			a.Conflicts = append(a.Conflicts, conflictOf(&list[i]))
		}
	}
	if len(list) == q.Limit {
		a.Next = strconv.FormatInt(list[len(list)-1].Entry.Seq, 10)
	}
	return c.json(http.StatusOK, a)
}

type conflictPath struct {
	ID string `path:"id" doc:"The id of the batch that did not fit" format:"uuid"`
}

func getConflict(c *call, _ *conflictPath) error {
	p, err := parked(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, conflictOf(p))
}

// parked finds the conflict that the path names, as far as the caller may see it.
func parked(c *call) (*store.Parked, error) {
	text := c.r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return nil, knowledge.BadQuery("id", "%q: want the UUID of a conflict", text)
	}
	return parkedAs(c, c.h.o.Desk, id)
}

// parkedAs returns a conflict as far as the caller may see it.
func parkedAs(c *call, d Desk, id uuid.UUID) (*store.Parked, error) {
	if d != nil {
		list, err := d.Conflicts(c.limited(), store.ParkedQuery{ID: id, Resolved: true})
		if err != nil {
			return nil, err
		}
		for i := range list {
			switch p := &list[i]; {
			case p.Entry.Batch.ID != id:
			case access.DecideConflict(c.request.Caller, access.VerbRead, &p.Entry.Batch) == nil:
				return p, nil
			case c.request.Caller.Unsure:
				return nil, c.request.Caller.Deny(nil) // it may be shown to this one
			}
		}
	}
	return nil, refuse(store.ErrNotFound, "there is no conflict %s", id)
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
	p, err := parked(c)
	if err != nil {
		return err
	}
	if no := access.DecideConflict(c.request.Caller, access.VerbResolve, &p.Entry.Batch); no != nil {
		return c.request.Caller.Deny(no)
	}
	d, err := decision(raw, p)
	if err != nil {
		return err
	}
	if err := reviewed(c, p, &d); err != nil {
		return err
	}
	done, err := c.h.o.Desk.Resolve(c.limited(), c.request.Caller.ID, d)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(store.ErrNotFound, "there is no conflict %s", p.Entry.Batch.ID)
	}
	if err != nil {
		return err
	}
	return resolved(c, d.How, &done[0].Receipt)
}

// decision reads what a person has decided about a conflict.
func decision(raw []byte, p *store.Parked) (store.Decision, error) {
	var f faultList
	d := store.Decision{ID: p.Entry.Batch.ID}
	members := f.object("", raw, "resolution", "seen", "document")
	f.member("/resolution", members["resolution"], &d.How, "theirs, ours or merged")
	f.member("/seen", members["seen"], &d.Seen, "the seen of the conflict")
	doc := members["document"]
	given := len(doc) > 0 && string(doc) != "null"
	switch d.How {
	case resolveTheirs, resolveOurs:
		if given {
			f.add("/document", "it is for merged only; leave it out")
		}
	case resolveMerged:
		if !given {
			f.add("/document", "missing: merged needs the document to write")
		}
	default:
		f.add("/resolution", "%q: want theirs, ours or merged", d.How)
	}
	if err := f.err(false); err != nil || d.How != resolveMerged {
		return d, err
	}
	if len(doc) > knowledge.MaxDocument {
		return d, refuse(errTooLarge, "the document has %d bytes: at most %d fit", len(doc), knowledge.MaxDocument)
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

// resolved answers with a conflict that was decided just now.
func resolved(c *call, how string, receipt *knowledge.Receipt) error {
	p, err := parked(c)
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
		wrote(c, receipt.Batch, receipt)
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
		QueuedAt: p.Entry.At, ParkedAt: p.ParkedAt, Resolution: p.Resolution, ResolvedBy: p.ResolvedBy, Seen: p.Seen,
	}
	if p.Lost != (knowledge.BatchID{}) {
		c.Lost = &p.Lost
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
