package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Archived returns a page of the archive of the server, and whether another one comes after it.
func Archived(ctx context.Context, s *Store, q store.ArchiveQuery) (list []store.Archived, more bool, err error) {
	query := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.Kind != "" {
		query.Set("kind", string(q.Kind))
	}
	if q.ID != "" {
		query.Set("id", q.ID)
	}
	if q.After != (knowledge.Key{}) {
		query.Set("after", q.After.String())
	}
	got, err := told[struct {
		Documents []struct {
			Kind     knowledge.Kind  `json:"kind"`
			ID       string          `json:"id"`
			Version  int64           `json:"version"`
			At       knowledge.Time  `json:"archived_at"`
			Document json.RawMessage `json:"document"`
		} `json:"documents"`
		Next string `json:"next"`
	}](ctx, s, request{method: http.MethodGet, path: "/api/v1/archive", query: query})
	if err != nil {
		return nil, false, err
	}
	list = make([]store.Archived, len(got.Documents))
	for i, d := range got.Documents {
		rec, err := knowledge.RecordOf(d.Kind, d.Document)
		if err != nil {
			return nil, false, fmt.Errorf("read %s/%s of the archive: %w", d.Kind, d.ID, err)
		}
		list[i] = store.Archived{Key: knowledge.Key{Kind: d.Kind, ID: d.ID}, Version: d.Version, At: d.At, Record: rec}
	}
	return list, got.Next != "", nil
}
