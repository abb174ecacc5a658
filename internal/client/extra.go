package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// A Status is a server's status.
type Status struct {
	api.StatusAnswer
	Details json.RawMessage `json:"details,omitempty"` // in place of that of the answer: its parts read it
}

// Status returns the server's status.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, s, "/api/v1/status")
}

// A Caller is the principal of a token.
type Caller = api.CallerAnswer

// Me returns the caller that the token belongs to.
func (s *Store) Me(ctx context.Context) (*Caller, error) { return ask[Caller](ctx, s, "/api/v1/me") }

// Batch returns the state of a batch.
func (s *Store) Batch(ctx context.Context, id knowledge.BatchID) (*knowledge.BatchStatus, error) {
	return ask[knowledge.BatchStatus](ctx, s, "/api/v1/batches/"+id.String())
}

// Render fills in a template with values for its variables. The server counts it as a use.
func (s *Store) Render(ctx context.Context, template string, values map[string]any) (*api.RenderAnswer, error) {
	body, err := json.Marshal(struct {
		Values map[string]any `json:"values"`
	}{values})
	if err != nil {
		return nil, knowledge.Invalid("/values", "can't be encoded: %s", err)
	}
	path := "/api/v1/templates/" + url.PathEscape(template) + "/render"
	a, err := s.do(ctx, request{method: http.MethodPost, path: path, body: body})
	if err != nil {
		return nil, err
	}
	var got api.RenderAnswer
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, garbled(s, err)
	}
	return &got, nil
}

// ask gets a JSON answer.
func ask[T any](ctx context.Context, s *Store, path string) (*T, error) {
	a, err := s.do(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(a.body, v); err != nil {
		return nil, garbled(s, err)
	}
	return v, nil
}
