package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// A Conflict is a batch of an outage that was parked because it conflicts with the primary.
type Conflict = api.Conflict

// A Resolution is the effect of a decision.
type Resolution = api.ResolveAnswer

// A ConflictQuery selects conflicts. Zero values select the first page of those that wait for a decision.
type ConflictQuery struct {
	Resolved   bool // also resolved ones
	Kind       string
	DocumentID string
	Actor      string // their writer
	Limit      int
	Cursor     string // next of the previous page
}

// Conflicts returns a page of conflicts, the newest first, and the cursor of the next page; "" on the last one.
func (s *Store) Conflicts(ctx context.Context, q ConflictQuery) (list []Conflict, next string, err error) {
	r := request{method: http.MethodGet, path: conflictsPath, query: url.Values{}}
	if q.Resolved {
		r.query.Set("resolved", "true")
	}
	if q.Limit > 0 {
		r.query.Set("limit", strconv.Itoa(q.Limit))
	}
	for name, value := range map[string]string{
		"kind": q.Kind, "document_id": q.DocumentID, "actor": q.Actor, "cursor": q.Cursor,
	} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	got, err := told[api.ConflictList](ctx, s, r)
	if err != nil {
		return nil, "", err
	}
	return got.Conflicts, got.Next, nil
}

// Conflict returns one conflict, resolved or not.
func (s *Store) Conflict(ctx context.Context, id knowledge.BatchID) (*Conflict, error) {
	return ask[Conflict](ctx, s, conflictsPath+"/"+id.String())
}

// Resolve decides a conflict as theirs, ours or merged. Ours and merged need the conflict's seen value, and merged the
// document to write.
func (s *Store) Resolve(
	ctx context.Context, id knowledge.BatchID, how, seen string, document json.RawMessage,
) (*Resolution, error) {
	body, err := json.Marshal(struct {
		Resolution string          `json:"resolution"`
		Seen       string          `json:"seen,omitempty"`
		Document   json.RawMessage `json:"document,omitempty"`
	}{how, seen, document})
	if err != nil {
		return nil, knowledge.Invalid("/document", "can't be encoded: %s", err)
	}
	return told[Resolution](ctx, s,
		request{method: http.MethodPost, path: conflictsPath + "/" + id.String() + "/resolve", body: body, once: true})
}

// A ResolutionOfMany is the effect of one decision about many conflicts.
type ResolutionOfMany = api.ResolveManyAnswer

// ResolveMany decides conflicts as theirs or ours, in the order in which their batches were acknowledged.
func (s *Store) ResolveMany(ctx context.Context, how string, conflicts []Conflict) (*ResolutionOfMany, error) {
	type one struct {
		ID   knowledge.BatchID `json:"id"`
		Seen string            `json:"seen,omitempty"`
	}
	list := make([]one, len(conflicts))
	for i := range conflicts {
		list[i] = one{conflicts[i].ID, conflicts[i].Seen}
	}
	body, err := json.Marshal(struct {
		Resolution string `json:"resolution"`
		Conflicts  []one  `json:"conflicts"`
	}{how, list})
	if err != nil {
		return nil, knowledge.Invalid("/conflicts", "can't be encoded: %s", err)
	}
	return told[ResolutionOfMany](ctx, s,
		request{method: http.MethodPost, path: conflictsPath + "/resolve", body: body, once: true})
}

// CheckMirror makes the server compare its mirror with the primary. It does not wait for the result, which the status
// shows.
func (s *Store) CheckMirror(ctx context.Context) error {
	_, err := s.do(ctx, request{method: http.MethodPost, path: "/api/v1/mirror/check"})
	return err
}

// AcceptPrimary lets the server rebuild its mirror from a primary with another history.
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
		return nil, garbled(s, err)
	}
	return v, nil
}
