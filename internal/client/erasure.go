package client

import (
	"context"
	"encoding/json"
	"net/http"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// An Erasure is what the erasure of a person did, or would do.
type Erasure = api.ErasureView

// Erase erases a person, or only says what that would do. It is not sent again by itself: doing it twice is harmless,
// but it takes as long as the log is.
func (s *Store) Erase(ctx context.Context, principal string, dry bool) (*Erasure, error) {
	body, err := json.Marshal(struct {
		Principal string `json:"principal"`
		Dry       bool   `json:"dry_run,omitempty"`
	}{principal, dry})
	if err != nil {
		return nil, knowledge.Invalid("/principal", "can't be encoded: %s", err)
	}
	return told[Erasure](ctx, s, request{method: http.MethodPost, path: "/api/v1/erasures", body: body, once: true})
}
