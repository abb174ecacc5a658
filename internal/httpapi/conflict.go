package httpapi

import (
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

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
	ID   string `json:"id" doc:"The parked batch" format:"uuid" example:"018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70"`
	Seen string `json:"seen,omitempty" doc:"For ours: the seen of the conflict" example:"8f1c5a90d2b7e364"`
}

// mirrorAnswer confirms a request about the mirror.
type mirrorAnswer struct {
	Asked string `json:"asked" doc:"What will be done with the mirror; the status shows the outcome" enum:"check,accept"`
}

type conflictPath struct {
	ID string `path:"id" doc:"The parked batch" format:"uuid"`
}

// parkedOfPath finds the conflict that the path names, as far as the caller may see it.
func parkedOfPath(c *call) (*store.Parked, error) {
	text := c.r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return nil, knowledge.BadQuery("id", "%q: want the UUID of a conflict", text)
	}
	return parkedByID(c, id)
}

// parkedByID returns a conflict if the caller may see it.
func parkedByID(c *call, id uuid.UUID) (*store.Parked, error) {
	p, err := c.h.o.Policy.Confidential.FindConflict(c.limited(), c.h.o.Store, c.h.o.Desk, c.request.Caller, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, api.Refuse(store.ErrNotFound, "there is no conflict %s", id)
	}
	return p, err
}

// exampleConflict is a conflict about the example rule: both sides gave it another title.
func exampleConflict() api.Conflict {
	side := func(title, by string, version int64) json.RawMessage {
		d := exampleDocument(knowledge.KindRule)
		d.(*knowledge.Rule).Title = title
		knowledge.StampNext(d, nil, 0, by, exampleTime())
		d.Stamps().Version = version
		r, err := knowledge.NewRecord(d)
		if err != nil {
			panic(err) // examples are constants
		}
		return r.JSON
	}
	return api.Conflict{
		ID: uuid.MustParse(exampleBatchID), Actor: "anna", Kind: knowledge.KindRule, DocumentID: "SEC-001",
		Verb: knowledge.VerbPut, Ops: 1,
		Why: "rule/SEC-001 is at version 2, and was written on top of version 1", Found: 2,
		Base: side("Use parameterized queries", "anna", 1), Theirs: side("Never build SQL from text", "ben", 2),
		Ours: side("Pass values as parameters", "anna", 2), Seen: exampleSeen, QueuedAt: exampleTime(),
		ParkedAt: exampleTime(),
	}
}

func exampleConflicts() any { return api.ConflictList{Conflicts: []api.Conflict{exampleConflict()}} }

func exampleResolves() []sample {
	merged := leastFields(exampleDocument(knowledge.KindRule))
	merged["title"] = "Never build SQL from text: pass values as parameters"
	encoded, err := json.Marshal(merged)
	if err != nil {
		panic(err) // examples are constants
	}
	return []sample{
		{"ours", "What was journalled is written over it", resolveRequest{
			Resolution: store.ResolveOurs,
			Seen:       exampleSeen,
		}},
		{"theirs", "What is at the primary stays", resolveRequest{Resolution: store.ResolveTheirs}},
		{"merged", "A document made of both is written", resolveRequest{
			Resolution: store.ResolveMerged,
			Seen:       exampleSeen, Document: encoded,
		}},
	}
}

// exampleSeen is the seen value of the example.
const exampleSeen = "8f1c5a90d2b7e364"

func exampleResolveMany() []sample {
	return []sample{{"ours", "What was journalled is written over what is there", resolveManyRequest{
		Resolution: store.ResolveOurs, Conflicts: []seenConflict{{ID: exampleBatchID, Seen: exampleSeen}},
	}}}
}

func exampleResolvedMany() any {
	return api.ResolveManyAnswer{Decided: []api.DecidedConflict{{
		ID:    uuid.MustParse(exampleBatchID),
		State: knowledge.BatchApplied, Seq: 44,
	}}}
}

// exampleResolved is the answer to the first of exampleResolves.
func exampleResolved() any { return exampleDecision(knowledge.BatchApplied, 44) }

func exampleResolvedLater() any { return exampleDecision(knowledge.BatchQueued, 0) }

func exampleDecision(state string, seq knowledge.Seq) api.ResolveAnswer {
	c, at, as := exampleConflict(), exampleTime(), uuid.MustParse("7c9e6679-7425-5de4-944b-e07fc1f90ae7")
	c.Seen = ""
	c.Resolution, c.ResolvedBy, c.ResolvedAt, c.ResolvedAs = store.ResolveOurs, "carla", &at, &as
	return api.ResolveAnswer{Conflict: c, State: state, Seq: seq, Results: []api.BatchResult{{
		Kind: c.Kind, ID: c.DocumentID, Verb: knowledge.VerbPut, Version: 3, Document: c.Ours,
	}}}
}
