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

// Audit returns entries of the audit, the newest first: who was refused, and who read what.
func (s *Store) Audit(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	query := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	for name, at := range map[string]knowledge.Time{"before": q.Before, "since": q.Since} {
		if !at.IsZero() {
			query.Set(name, at.Format(knowledge.TimeLayout))
		}
	}
	for name, text := range map[string]string{"actor": q.Actor, "kind": q.Kind, "key": q.Key} {
		if text != "" {
			query.Set(name, text)
		}
	}
	if q.Below > 0 {
		query.Set("below", strconv.FormatInt(q.Below, 10))
	}
	got, err := told[api.AuditList](ctx, s, request{method: http.MethodGet, path: "/api/v1/audit", query: query})
	if err != nil {
		return nil, err
	}
	return got.Entries, nil
}
