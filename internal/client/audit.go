package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Refusals returns refused calls before a time, the newest first; the zero time means all. A non-empty actor limits
// them to that actor.
func (s *Store) Refusals(ctx context.Context, before knowledge.Time, actor string, limit int) ([]store.Refusal, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if !before.IsZero() {
		query.Set("before", before.Format(knowledge.TimeLayout))
	}
	if actor != "" {
		query.Set("actor", actor)
	}
	got, err := told[api.AuditList](ctx, s, request{method: http.MethodGet, path: "/api/v1/audit", query: query})
	if err != nil {
		return nil, err
	}
	return got.Refusals, nil
}
