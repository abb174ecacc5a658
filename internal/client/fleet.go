package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/store"
)

// A FleetStanding is a repository's state.
type FleetStanding = api.Standing

// A FleetPage is a page of repositories.
type FleetPage = api.FleetPage

// FleetNews is a repository with the changes since it last took its documents.
type FleetNews = api.FleetNews

// A Fleet reads and reports the state of repositories.
type Fleet struct{ Store *Store }

const fleetPath = "/api/v1/fleet"

// CheckIn reports the state of a work tree.
func (f Fleet) CheckIn(ctx context.Context, c *store.CheckIn) error {
	told := map[string]any{
		"via": c.Via, "branch": c.Branch, "commit": c.Commit, "program": c.Program, "seq": c.Seq, "takes": c.Takes,
		"packs": c.Packs, "label": c.Label,
		"files": c.Files, "findings": c.Findings, "hooks": c.Hooks, "rules": c.Rules,
	}
	body, err := json.Marshal(told)
	if err != nil {
		return err
	}
	_, err = f.Store.do(ctx, request{
		method: http.MethodPost, path: fleetPath + "/" + url.PathEscape(c.Repository),
		body: body,
	})
	return err
}

// Page returns a page of repositories with ids after one; a non-empty state limits them to that state.
func (f Fleet) Page(ctx context.Context, state, after string, limit int) (*FleetPage, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if state != "" {
		q.Set("state", state)
	}
	if after != "" {
		q.Set("after", after)
	}
	return told[FleetPage](ctx, f.Store, request{method: http.MethodGet, path: fleetPath, query: q})
}

// News returns the changes that a repository has not taken yet.
func (f Fleet) News(ctx context.Context, id string) (*FleetNews, error) {
	return ask[FleetNews](ctx, f.Store, fleetPath+"/"+url.PathEscape(id))
}
