package httpapi

import (
	"net/http"
	"reflect"
	"slices"

	"tenet/internal/knowledge"
)

// documentPath is the path of one document.
type documentPath struct {
	ID string `path:"id" doc:"The document's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$"`
}

type matchHeader struct {
	IfMatch string `header:"If-Match" doc:"The ETag of the version that the writer saw, or * for any; another one there is 412. The version alone, as in \"1\", is a condition on the number and not on the text" example:"\"1\""`
}

type noneMatchHeader struct {
	IfNoneMatch string `header:"If-None-Match" doc:"* writes only where there is no such document; else 412" example:"*"`
}

// knownHeader is that of reads with an ETag.
type knownHeader struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that the caller has: when one is current the answer is 304" example:"\"7-9f86d081884c\""`
}

type idempotencyHeader struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A UUID, which becomes the batch's id, or any text: asked again with it, nothing is done again and the answer is the same" maxLength:"255" example:"018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a99"`
}

// writeHeaders are those that every write of one document knows.
type writeHeaders struct{ idempotencyHeader }

// typeOf is the reflect.Type of T, nil for no body.
func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func jsonAnswer[T any](status int, text string, example any, heads ...string) answer {
	return answer{status: status, text: text, body: typeOf[T](), sample: example, heads: heads}
}

// media returns the type that a route answers with.
func (rt *route) media() string {
	if len(rt.answers) > 0 && rt.answers[0].media != "" {
		return rt.answers[0].media
	}
	return mediaJSON
}

// also returns the other type that a route answers with, "" for none.
func (rt *route) also() string {
	if len(rt.answers) > 0 {
		return rt.answers[0].also
	}
	return ""
}

// documentRoutes returns the routes of every collection, in the order in which people look for them.
func (h *Handler) documentRoutes() []*route {
	var all []*route
	for _, d := range knowledge.Described() {
		k := d.Kind
		l := &collection{h: h, kind: k, path: "/api/v1/" + k.Plural()}
		for _, rt := range append(append(l.readRoutes(), l.writeRoutes()...), l.pastRoutes()...) {
			rt.tag, rt.sample, rt.kind = k.Plural(), exampleID(k), k
			all = append(all, rt)
		}
	}
	return all
}

// pageType returns the Go type of a page of a kind's documents.
func pageType(k knowledge.Kind) reflect.Type {
	fields := []reflect.StructField{
		{Name: "Items", Type: reflect.SliceOf(documentType(k)), Tag: `json:"items" doc:"The documents"`},
		{Name: "Total", Type: typeOf[int](), Tag: `json:"total,omitempty" doc:"With total=true: how many documents all pages hold together"`},
		{Name: "Next", Type: typeOf[string](), Tag: `json:"next,omitempty" doc:"The cursor of the next page; left out on the last one"`},
	}
	if knowledge.Labelled(k) {
		fields = append(fields, reflect.VisibleFields(typeOf[AtLabel]())...)
	}
	return reflect.StructOf(fields)
}

// pageOf returns the type of the documents of a page, false for the type of something else.
func pageOf(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct || t.Name() != "" || t.NumField() < 3 || t.Field(0).Name != "Items" {
		return nil, false
	}
	return t.Field(0).Type.Elem(), true
}

// document returns the Go type of a kind's documents.
func documentType(k knowledge.Kind) reflect.Type { return reflect.TypeOf(knowledge.New(k)).Elem() }

func (l *collection) documentAnswer(status int, text string, heads ...string) answer {
	return answer{status: status, text: text, body: documentType(l.kind), sample: exampleStored(l.kind), heads: append(heads, "ETag")}
}

func (l *collection) readRoutes() []*route {
	one, many := string(l.kind), l.kind.Plural()
	get, heads, missing := with(l.get), []string{}, []int{}
	if knowledge.Labelled(l.kind) {
		get, heads, missing = with(l.getAt), []string{labelHeader}, []int{http.StatusNotFound}
	}
	return []*route{
		{
			method: http.MethodGet, path: l.path, id: "list-" + many,
			summary: "List " + many,
			description: "A page of " + many + " in use, what matters most first, unless the parameters say otherwise. A page that is not " +
				"the last one has next, and a Link header to the page behind it. Its ETag changes with what is on it. With view=summary or fields " +
				"the items hold these fields and no others.",
			handler: l.lists(),
			answers: []answer{{
				status: http.StatusOK, text: "A page", body: pageType(l.kind), sample: examplePage(l.kind), heads: append(heads, "Link", "ETag", "Tenet-Position"),
			}, notModified()},
			refusals: missing,
		},
		{
			method: http.MethodGet, path: l.path + "/{id}", id: "get-" + one,
			summary: "Read a " + one,
			description: "The " + one + " as it is now, in use or retired. Its ETag is its version with a part of its hash; while a write of it waits for the " +
				"primary, the id of that batch.",
			handler: get,
			answers: []answer{
				l.documentAnswer(http.StatusOK, "The "+one, heads...),
				notModified(),
			},
			refusals: []int{http.StatusNotFound},
		},
	}
}

func (l *collection) writeRoutes() []*route {
	one := string(l.kind)
	wrote := []string{"Tenet-Batch", "Tenet-Seq"}
	queued := l.documentAnswer(http.StatusAccepted, "The write is safe on disk and waits for the primary", "Tenet-Batch", "Link")
	made := l.documentAnswer(http.StatusCreated, "The new "+one, append(wrote, "Location")...)
	done := l.documentAnswer(http.StatusOK, "The "+one+" as it is now", wrote...)
	// Without a condition a conflict is rare, and none of the caller's making: somebody published what a contributor edits.
	cond := []int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity}
	reads := slices.Concat(cond, []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType})
	body := func(samples []sample) *payload {
		return &payload{media: mediaJSON, body: documentType(l.kind), samples: samples}
	}
	return []*route{
		{
			method: http.MethodPost, path: l.path, id: "create-" + one,
			summary: "Create a " + one, description: l.createText(),
			handler: with(l.create), body: body(exampleCreates(l.kind)),
			answers: []answer{made, queued}, refusals: reads,
		},
		{
			method: http.MethodPut, path: l.path + "/{id}", id: "put-" + one,
			summary: "Write a whole " + one,
			description: "Replaces the " + one + ", or creates it. If-Match says which version the writer saw, or the version in the body does; without either the last " +
				"writer wins. Fields that are left out get their defaults. The id may be left out of the body.",
			handler: with(l.put), body: body(examplePuts(l.kind)),
			answers: []answer{done, made, queued}, refusals: reads,
		},
		{
			method: http.MethodPatch, path: l.path + "/{id}", id: "patch-" + one,
			summary: "Change fields of a " + one,
			description: "Merges the body into the " + one + " (RFC 7396, also where it is sent as application/json): a field replaces that of the document, null sets it back to its " +
				"default, a list replaces the whole list.",
			handler: with(l.patch),
			body:    &payload{media: mediaPatch, also: mediaJSON, body: typeOf[map[string]any](), samples: examplePatches(l.kind)},
			answers: []answer{done, queued}, refusals: slices.Concat(reads, []int{http.StatusNotFound}),
		},
		{
			method: http.MethodDelete, path: l.path + "/{id}", id: "retire-" + one,
			summary: "Retire a " + one,
			description: "Takes the " + one + " out of use; restore brings it back. With purge=true it and its texts in the log are removed " +
				"for ever, which admins may.",
			handler:  with(l.remove),
			answers:  []answer{done, queued, {status: http.StatusNoContent, text: "The " + one + " is gone for ever", heads: wrote}},
			refusals: slices.Concat(cond, []int{http.StatusNotFound}),
		},
		{
			method: http.MethodPost, path: l.path + "/{id}/restore", id: "restore-" + one,
			summary: "Restore a " + one, description: "Brings a retired " + one + " back into use.",
			handler: with(l.restore),
			answers: []answer{done, queued}, refusals: slices.Concat(cond, []int{http.StatusNotFound}),
		},
	}
}

func (l *collection) createText() string {
	text := "Writes a " + string(l.kind) + " that is not there yet; one with the same id is a conflict."
	if knowledge.Describe(l.kind).UUID {
		text += " Without an id the " + string(l.kind) + " gets a new one, a UUID of version 7."
	}
	return text
}

func (l *collection) pastRoutes() []*route {
	one := string(l.kind)
	return []*route{
		{
			method: http.MethodGet, path: l.path + "/{id}/history", id: "get-" + one + "-history",
			summary:     "Read what was done to a " + one,
			description: "Its changes, the newest first, each with the document that it left behind. next is the seq to ask on with.",
			handler:     with(l.history),
			answers:     []answer{jsonAnswer[historyPage](http.StatusOK, "Changes", exampleHistory(l.kind))},
			refusals:    []int{http.StatusNotFound},
		},
		{
			method: http.MethodGet, path: l.path + "/{id}/versions/{version}", id: "get-" + one + "-version",
			summary:     "Read a " + one + " as it was",
			description: "The document as a version left it behind. Versions of a purged document have no text any more.",
			handler:     with(l.version),
			answers:     []answer{l.documentAnswer(http.StatusOK, "The "+one+" at that version")},
			refusals:    []int{http.StatusNotFound},
		},
		{
			method: http.MethodGet, path: l.path + "/{id}/diff", id: "diff-" + one,
			summary:     "Compare two versions of a " + one,
			description: "What changed, as a merge patch and value by value. Without parameters: the last change.",
			handler:     with(l.diff),
			answers:     []answer{jsonAnswer[difference](http.StatusOK, "The difference", exampleDifference(l.kind))},
			refusals:    []int{http.StatusNotFound},
		},
	}
}

// hits is the answer to a search.
type hits struct {
	AtLabel
	Hits          []hit                  `json:"hits" doc:"What matches, the best first"`
	Total         int                    `json:"total" doc:"How many documents match; with bounded at least so many"`
	Bounded       bool                   `json:"bounded" doc:"True when not everything was looked at, since the question would have cost too much"`
	Matched       string                 `json:"matched" doc:"How much of the question the first hit holds: all of its words, most, some, or none since nothing matches" enum:"all,most,some,none"`
	Required      []string               `json:"required" doc:"The words and conditions that every hit of the page holds"`
	LeftOut       []knowledge.LeftOut    `json:"left_out" doc:"The words that played no part, with the reason"`
	SearchedFor   []knowledge.Correction `json:"searched_for" doc:"Words that no document has, and those that were looked for in their place; literal=true looks for what was typed"`
	Suggestions   []string               `json:"suggestions" doc:"With literal: words that resemble those that no document has"`
	UnknownFields []string               `json:"unknown_fields" doc:"What stands before a colon in the question and is no field: it was looked for as a word"`
	Facets        []knowledge.FacetCount `json:"facets,omitempty" doc:"With facets=true: how many hits have which value, the most frequent twenty of each"`
	Next          string                 `json:"next,omitempty" doc:"The cursor of the next page; left out on the last one"`
}

// AtLabel says as of which label an answer is. It is exported for the schema of what embeds it.
type AtLabel struct {
	Label string        `json:"label,omitempty" doc:"The label that was asked for: the answer is as of where it stands"`
	Seq   knowledge.Seq `json:"seq,omitempty" doc:"With label: the change at which it stands"`
}

// hit is a document that matches.
type hit struct {
	Kind     knowledge.Kind `json:"kind" doc:"The document's kind"`
	ID       string         `json:"id" doc:"The document's id"`
	Score    float64        `json:"score" doc:"Greater is better; comparable within one answer only"`
	Title    string         `json:"title" doc:"Its title or name"`
	Category string         `json:"category,omitempty" doc:"Its category"`
	Severity string         `json:"severity,omitempty" doc:"The severity of a rule" enum:"CRITICAL,ERROR,WARNING,INFO"`
	Version  int64          `json:"version" doc:"Its version"`
	Updated  knowledge.Time `json:"updated_at" doc:"When it was last changed"`
	Snippet  string         `json:"snippet" doc:"The part of the text that shows the most words of the question"`
	Marks    [][]int        `json:"marks" doc:"The words in the snippet: from and to, in bytes of UTF-8"`
	Missing  []string       `json:"missing" doc:"The words of the question that the document does not hold"`
	Document any            `json:"document,omitempty" doc:"With view=full: the document"`
	Fields   map[string]any `json:"fields,omitempty" doc:"With fields: those of the document"`
}

// change is an entry of the log.
type change struct {
	Seq      knowledge.Seq     `json:"seq" doc:"Its place in the log, from 1 without gaps" minimum:"1"`
	Batch    knowledge.BatchID `json:"batch" doc:"The batch it belongs to; zeros for one made by hand in the database" format:"uuid"`
	Verb     knowledge.Verb    `json:"verb" doc:"What was done" enum:"put,retire,restore,purge"`
	Kind     knowledge.Kind    `json:"kind" doc:"The document's kind"`
	ID       string            `json:"id" doc:"The document's id"`
	Version  int64             `json:"version" doc:"The document's version after it" minimum:"1"`
	Actor    string            `json:"actor" doc:"Who did it"`
	At       knowledge.Time    `json:"at" doc:"When"`
	By       string            `json:"entered_by,omitempty" doc:"Who handed it in, where that was another than the actor or the time was given"`
	Entered  knowledge.Time    `json:"entered_at,omitzero" doc:"When it was handed in: beside entered_by"`
	Hash     string            `json:"hash" doc:"SHA-256 of the document as it was stored" pattern:"^[0-9a-f]{64}$"`
	Chain    string            `json:"chain" doc:"SHA-256 that binds the change to all before it" pattern:"^[0-9a-f]{64}$"`
	Erased   string            `json:"erased,omitempty" doc:"The pseudonym of the person who was erased from it last; hash and chain are those of before"`
	More     bool              `json:"more,omitempty" doc:"True when the next change belongs to the same transaction"`
	Document any               `json:"document" doc:"The document after it; null after a purge"`
}

// changePage is a part of the log.
type changePage struct {
	Changes   []change      `json:"changes" doc:"Changes, the oldest first unless newest was asked for"`
	NextAfter knowledge.Seq `json:"next_after" doc:"The seq of the last change that was seen"`
	Position  string        `json:"position" doc:"What to ask on with as after: next_after with the first digits of the chain value there" example:"42-60303ae22b998861"`
}

// historyPage is a part of a document's history.
type historyPage struct {
	Changes []change      `json:"changes" doc:"Changes, the newest first"`
	Next    knowledge.Seq `json:"next,omitempty" doc:"What to ask on with as before; left out at the end"`
	Partial bool          `json:"partial,omitempty" doc:"There is more, which can't be asked for now: PostgreSQL is away"`
	From    knowledge.Seq `json:"partial_from,omitempty" doc:"Of a part, the seq of the oldest change that is here"`
}
