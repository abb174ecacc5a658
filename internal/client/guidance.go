package client

import (
	"context"
	"encoding/json"
	"net/http"

	"tenet/internal/knowledge"
)

// Guidance returns the rules that apply. question is the body of POST /api/v1/guidance; the answer is decoded into
// into.
func (s *Store) Guidance(ctx context.Context, question, into any) error {
	return answered(ctx, s, "/api/v1/guidance", question, into)
}

// Check asks s where files break rules. question is the body of POST /api/v1/check; the answer is decoded into into.
func Check(ctx context.Context, s *Store, question, into any) error {
	return answered(ctx, s, "/api/v1/check", question, into)
}

func answered(ctx context.Context, s *Store, path string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return knowledge.Invalid("", "can't be encoded: %s", err)
	}
	a, err := s.do(ctx, request{method: http.MethodPost, path: path, body: body})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return garbled(s, err)
	}
	return nil
}
