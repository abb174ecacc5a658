package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"tenet/internal/knowledge"
)

// A Conflict is a write of an outage that did not fit when the primary came back.
type Conflict struct {
	ID         knowledge.BatchID  `json:"id"`
	Actor      string             `json:"actor"`
	Kind       knowledge.Kind     `json:"kind"`
	DocumentID string             `json:"document_id"`
	Op         int                `json:"op"` // -1 when it was no op alone that did not fit
	Verb       knowledge.Verb     `json:"verb"`
	Ops        int                `json:"ops"` // how many the batch has
	Why        string             `json:"why"`
	Found      int64              `json:"found"`
	Base       json.RawMessage    `json:"base"`   // what the writer saw, null for nothing
	Theirs     json.RawMessage    `json:"theirs"` // what is at the primary
	Ours       json.RawMessage    `json:"ours"`   // what the write would have left
	QueuedAt   knowledge.Time     `json:"queued_at"`
	ParkedAt   knowledge.Time     `json:"parked_at"`
	Resolution string             `json:"resolution,omitempty"` // theirs, ours or merged; "" while nobody has decided
	ResolvedBy string             `json:"resolved_by,omitempty"`
	ResolvedAt *knowledge.Time    `json:"resolved_at,omitempty"`
	ResolvedAs *knowledge.BatchID `json:"resolved_as,omitempty"`
}

// Key is the document that the conflict is about.
func (c *Conflict) Key() knowledge.Key { return knowledge.Key{Kind: c.Kind, ID: c.DocumentID} }

// A Resolution is what a decision did.
type Resolution struct {
	Conflict Conflict        `json:"conflict"`
	State    string          `json:"state"` // knowledge.BatchApplied or BatchQueued
	Seq      knowledge.Seq   `json:"seq,omitempty"`
	Results  json.RawMessage `json:"results"`
}

// Conflicts returns the conflicts that wait for a person, and with resolved those decided, too; the newest first.
func (s *Store) Conflicts(ctx context.Context, resolved bool) ([]Conflict, error) {
	r := request{method: http.MethodGet, path: conflictsPath}
	if resolved {
		r.query = url.Values{"resolved": {"true"}}
	}
	got, err := told[struct {
		Conflicts []Conflict `json:"conflicts"`
	}](ctx, s, r)
	if err != nil {
		return nil, err
	}
	return got.Conflicts, nil
}

// Conflict returns one conflict, decided or not.
func (s *Store) Conflict(ctx context.Context, id knowledge.BatchID) (*Conflict, error) {
	return ask[Conflict](ctx, s, conflictsPath+"/"+id.String())
}

// Resolve decides a conflict as theirs, ours or merged; merged needs the document to write.
func (s *Store) Resolve(ctx context.Context, id knowledge.BatchID, how string, document json.RawMessage) (*Resolution, error) {
	body, err := json.Marshal(struct {
		Resolution string          `json:"resolution"`
		Document   json.RawMessage `json:"document,omitempty"`
	}{how, document})
	if err != nil {
		return nil, knowledge.Invalid("/document", "can't be encoded: %s", err)
	}
	return told[Resolution](ctx, s, request{method: http.MethodPost, path: conflictsPath + "/" + id.String() + "/resolve", body: body, once: true})
}

// CheckMirror asks the tenet to compare its mirror with the primary. It does not wait for the outcome, which the status shows.
func (s *Store) CheckMirror(ctx context.Context) error {
	_, err := s.do(ctx, request{method: http.MethodPost, path: "/api/v1/mirror/check"})
	return err
}

// AcceptPrimary lets the tenet make its mirror anew from a primary that has another history.
func (s *Store) AcceptPrimary(ctx context.Context) error {
	_, err := s.do(ctx, request{method: http.MethodPost, path: "/api/v1/mirror/accept"})
	return err
}

const conflictsPath = "/api/v1/conflicts"

// told makes a call whose answer is JSON.
func told[T any](ctx context.Context, s *Store, r request) (*T, error) {
	a, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(a.body, v); err != nil {
		return nil, s.garbled(err)
	}
	return v, nil
}
