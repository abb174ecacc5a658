package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/erasure"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const erasuresPath = "/api/v1/erasures"

// erasureRequest names a person in the body, since addresses stand in the logs of every proxy.
type erasureRequest struct {
	Principal string `json:"principal" doc:"The principal's id, or an id in the log" minLength:"1" maxLength:"255"`
	Dry       bool   `json:"dry_run,omitempty" doc:"Only say what would be done"`
}

func erasureRoutes() []*route {
	return []*route{{
		method: http.MethodPost, path: erasuresPath, id: "erase-person", tag: "operations",
		summary: "Erase a person",
		description: "Replaces the id and the names of a person by a pseudonym in every field that names people: in " +
			"documents, their history, the audit, " +
			"jobs, conflicts, here and on every instance. The log still verifies. Texts that name the person are " +
			"listed and stay. It can't be undone. " +
			"It is refused while PostgreSQL is down. Only admins may ask.",
		handler: with(erasePerson),
		body: &payload{media: mediaJSON, body: typeOf[erasureRequest](), samples: []sample{{
			name: "dry", summary: "See what would be done", value: erasureRequest{Principal: exampleErased, Dry: true},
		}}},
		answers: []answer{jsonAnswer[api.ErasureView](http.StatusOK, "What was done", exampleErasure())},
		refusals: []int{
			http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
	}}
}

func erasePerson(c *call, _ *noParams) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	if no := access.Decide(c.request.Caller, access.Act{
		Verb: knowledge.VerbPurge,
		Key:  knowledge.Key{Kind: knowledge.KindPrincipal},
	}); no != nil {
		return c.request.Caller.Deny(no)
	}
	var r erasureRequest
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return knowledge.Invalid("", "want {\"principal\": ID, \"dry_run\": true or false}: %s", err)
	}
	if c.h.o.Erase == nil {
		return api.Refuse(store.ErrNotFound, "this server can't erase people")
	}
	report, err := c.h.o.Erase(c.ctx, erasure.Request{ID: r.Principal, Actor: c.request.Caller.ID, Dry: r.Dry})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, erasureOf(report))
}

func erasureOf(r *erasure.Report) api.ErasureView {
	v := api.ErasureView{
		Pseudonym: r.Pseudonym, Dry: r.Dry, Again: r.Again, Seq: r.Seq, Rows: r.Rows, More: r.More, Note: r.Note,
		Mentions: make([]api.MentionView, len(r.Mentions)), Held: make([]api.HeldView, len(r.Held)),
	}
	for i, m := range r.Mentions {
		v.Mentions[i] = api.MentionView(m)
	}
	for i, h := range r.Held {
		v.Held[i] = api.HeldView(h)
	}
	return v
}

const exampleErased = "ada"

func exampleErasure() api.ErasureView {
	at := exampleTime()
	return api.ErasureView{
		Pseudonym: "erased-5f0c9a1b2d3e4f60", Seq: 4711, Rows: map[string]int64{
			"changes": 12, "principals": 1,
			"rules": 3,
		},
		Mentions: []api.MentionView{{Key: "rule/SEC-001", Fields: []string{"description"}}},
		Held: []api.HeldView{{
			Name: "20260131T020000.000Z-full", At: at,
			Until: knowledge.At(at.AddDate(0, 0, 30)),
		}},
	}
}
