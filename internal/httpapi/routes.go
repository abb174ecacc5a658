package httpapi

import (
	"net/http"
	"slices"

	"tenet/internal/knowledge"
)

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

func (l *collection) readRoutes() []*route {
	one, many := string(l.kind), l.kind.Plural()
	get, heads, missing := with(l.get), []string{confidentialHeader}, []int{}
	if knowledge.Labelled(l.kind) {
		get, heads, missing = with(l.getAt), []string{confidentialHeader, labelHeader}, []int{http.StatusNotFound}
	}
	return []*route{
		{
			method: http.MethodGet, path: l.path, id: "list-" + many,
			summary: "List " + many,
			description: "A page of " + many +
				" in use, what matters most first, unless the parameters say otherwise. A page that is not " +
				"the last one has next, and a Link header to the page behind it. Its ETag changes with what is on " +
				"it. With view=summary or fields " +
				"the items hold these fields and no others.",
			handler: l.lists(),
			answers: []answer{{
				status: http.StatusOK, text: "A page", body: pageType(l.kind), sample: examplePage(l.kind),
				heads: append(heads, "Link", "ETag", "Tenet-Position", lackingHeader),
			}, notModified()},
			refusals: missing,
		},
		{
			method: http.MethodGet, path: l.path + "/{id}", id: "get-" + one,
			summary: "Read a " + one,
			description: "The " + one + " as it is now, in use or retired. Its ETag is its version with a part of " +
				"its hash; while a write of it waits for the " +
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
	wrote := []string{"Tenet-Batch", "Tenet-Seq", dryHeader, unchangedHeader, notesHeader}
	queued := l.documentAnswer(http.StatusAccepted, "The write is safe on disk and waits for the primary", "Tenet-Batch", "Link",
		notesHeader)
	made := l.documentAnswer(http.StatusCreated, "The new "+one, append(wrote, "Location")...)
	done := l.documentAnswer(http.StatusOK, "The "+one+" as it is now", wrote...)
	// Without a precondition, a conflict is rare: a maintainer has published the document while a contributor edits it.
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
	if l.kind == knowledge.KindProposal {
		text += " One that would change nothing is refused; of what the same writer has proposed before, and waits, the " +
			"answer is 202 with that proposal and its id in Tenet-Proposal."
	}
	return text
}

func (l *collection) pastRoutes() []*route {
	one := string(l.kind)
	return []*route{
		{
			method: http.MethodGet, path: l.path + "/{id}/history", id: "get-" + one + "-history",
			summary: "Read what was done to a " + one,
			description: "Its changes, the newest first, each with the document that it left behind. next is the " +
				"seq to ask on with.",
			handler:  with(l.history),
			answers:  []answer{jsonAnswer[historyPage](http.StatusOK, "Changes", exampleHistory(l.kind))},
			refusals: []int{http.StatusNotFound},
		},
		{
			method: http.MethodGet, path: l.path + "/{id}/versions/{version}", id: "get-" + one + "-version",
			summary: "Read a " + one + " as it was",
			description: "The document as a version left it behind. Versions of a purged document have no text " +
				"any more.",
			handler:  with(l.version),
			answers:  []answer{l.documentAnswer(http.StatusOK, "The "+one+" at that version"), notModified()},
			refusals: []int{http.StatusNotFound},
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

// lists makes the handler of a collection's list.
func (l *collection) lists() handler {
	h := collecting(l.list)
	if knowledge.Labelled(l.kind) {
		h = collecting(l.listAt)
	}
	h.of = knowledge.Describe(l.kind)
	return h
}
