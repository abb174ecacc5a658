package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"tenet/internal/knowledge"
)

// A Status is what a tenet tells about itself.
type Status struct {
	Version string          `json:"version"`
	Mode    knowledge.Mode  `json:"mode"`
	AsOf    knowledge.Time  `json:"as_of"`
	Ready   bool            `json:"ready"`
	Reasons []string        `json:"reasons"`
	Details json.RawMessage `json:"details,omitempty"`
}

// Status asks the tenet how it is.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, s, "/api/v1/status")
}

// A Caller is who a tenet takes the holder of the token for.
type Caller struct {
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Role   string         `json:"role"`
	Expiry knowledge.Time `json:"expiry"`
}

// Me asks the tenet who is calling.
func (s *Store) Me(ctx context.Context) (*Caller, error) { return ask[Caller](ctx, s, "/api/v1/me") }

// Batch asks where a batch stands.
func (s *Store) Batch(ctx context.Context, id knowledge.BatchID) (*knowledge.BatchStatus, error) {
	return ask[knowledge.BatchStatus](ctx, s, "/api/v1/batches/"+id.String())
}

// Render asks for the text of a template with values in place of its variables. The tenet counts it as a use.
func (s *Store) Render(ctx context.Context, template string, values map[string]any) (string, error) {
	body, err := json.Marshal(struct {
		Values map[string]any `json:"values"`
	}{values})
	if err != nil {
		return "", knowledge.Invalid("/values", "can't be encoded: %s", err)
	}
	path := "/api/v1/templates/" + url.PathEscape(template) + "/render"
	a, err := s.do(ctx, request{method: http.MethodPost, path: path, body: body})
	if err != nil {
		return "", err
	}
	var got struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return "", s.garbled(err)
	}
	return got.Text, nil
}

// ask gets a JSON answer.
func ask[T any](ctx context.Context, s *Store, path string) (*T, error) {
	a, err := s.do(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(a.body, v); err != nil {
		return nil, s.garbled(err)
	}
	return v, nil
}
