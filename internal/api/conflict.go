package api

import (
	"encoding/json"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Conflict is a parked batch as it is shown.
type Conflict struct {
	ID         uuid.UUID       `json:"id" doc:"The parked batch" format:"uuid"`
	Actor      string          `json:"actor" doc:"Who wrote it" example:"anna"`
	Kind       knowledge.Kind  `json:"kind" doc:"The kind of the document that it is about"`
	DocumentID string          `json:"document_id" doc:"The id of that document" example:"SEC-001"`
	Op         int             `json:"op" doc:"The index of the op that did not fit; -1 for no single one" minimum:"-1"`
	Verb       knowledge.Verb  `json:"verb" doc:"What that op does" enum:"put,patch,retire,restore,purge"`
	Ops        int             `json:"ops" doc:"How many ops the batch has" minimum:"1"`
	Why        string          `json:"why" doc:"Why it did not fit"`
	Found      int64           `json:"found" doc:"The version of theirs; 0 for none"`
	Seen       string          `json:"seen,omitempty" doc:"Names what stands of its documents now: a decision for ours or merged says it, so that nothing is overwritten that came since. Left out once it is decided, or while that can't be told" example:"8f1c5a90d2b7e364"`
	Lost       *uuid.UUID      `json:"lost,omitempty" doc:"The batch that was acknowledged and lost by a failover of the primary; left out for what did not fit" format:"uuid"`
	Base       json.RawMessage `json:"base" doc:"The document that the writer saw; null for none, or if not known"`
	Theirs     json.RawMessage `json:"theirs" doc:"The document as it stands at the primary, null for none; once decided, as it stood when the batch was parked"`
	Ours       json.RawMessage `json:"ours" doc:"The document that the batch would have left; null for none"`
	QueuedAt   knowledge.Time  `json:"queued_at" doc:"When the batch was acknowledged"`
	ParkedAt   knowledge.Time  `json:"parked_at" doc:"When it was found not to fit"`
	Resolution string          `json:"resolution,omitempty" doc:"What was decided, if it was" enum:"theirs,ours,merged"`
	ResolvedBy string          `json:"resolved_by,omitempty" doc:"Who decided"`
	ResolvedAt *knowledge.Time `json:"resolved_at,omitempty" doc:"When it was decided"`
	ResolvedAs *uuid.UUID      `json:"resolved_as,omitempty" doc:"The batch that carried it out" format:"uuid"`
}

// Key is the document of the conflict.
func (c *Conflict) Key() knowledge.Key { return knowledge.Key{Kind: c.Kind, ID: c.DocumentID} }

// A ConflictList is the answer of GET /conflicts.
type ConflictList struct {
	Conflicts []Conflict `json:"conflicts" doc:"The conflicts, the newest first"`
	Next      string     `json:"next,omitempty" doc:"The cursor of the next page; none on the last"`
}

// A DecidedConflict is a decision that was carried out.
type DecidedConflict struct {
	ID    uuid.UUID     `json:"id" doc:"The conflict" format:"uuid"`
	State string        `json:"state" doc:"Whether it is done, or waits for the primary" enum:"applied,queued"`
	Seq   knowledge.Seq `json:"seq,omitempty" doc:"The seq of its last change; left out when it made none"`
}

// A ResolveManyAnswer is the effect of one decision about many conflicts.
type ResolveManyAnswer struct {
	Decided []DecidedConflict `json:"decided" doc:"What was carried out, in the order in which it was"`
	Stopped string            `json:"stopped,omitempty" doc:"Why the next and those behind it were not carried out"`
}

// A ResolveAnswer is the effect of a decision.
type ResolveAnswer struct {
	Conflict Conflict      `json:"conflict" doc:"The conflict, decided"`
	State    string        `json:"state" doc:"Whether it is done, or waits for the primary" enum:"applied,queued"`
	Seq      knowledge.Seq `json:"seq,omitempty" doc:"The seq of its last change; left out when it made none"`
	Results  []BatchResult `json:"results" doc:"The documents that it left behind; none for theirs"`
}

// ConflictOf returns what doors show of a parked batch.
func ConflictOf(p *store.Parked) Conflict {
	op := &p.Entry.Batch.Ops[max(p.Op, 0)]
	c := Conflict{
		ID: p.Entry.Batch.ID, Actor: p.Entry.Batch.Actor, Kind: op.Key.Kind, DocumentID: op.Key.ID, Op: p.Op,
		Verb: op.Verb,
		Ops:  len(p.Entry.Batch.Ops), Why: p.Why, Found: max(p.Found, 0), Base: orNull(p.Base),
		Theirs: orNull(p.Theirs), Ours: orNull(p.Ours),
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
