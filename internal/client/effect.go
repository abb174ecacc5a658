package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"tenet/internal/api"
	"tenet/internal/store"
)

// An EffectPage is a page of the effects of rules and practices.
type EffectPage = api.EffectPage

// Effects returns a page of the effects of rules and practices.
func (f Fleet) Effects(ctx context.Context, q store.EffectQuery) (*EffectPage, error) {
	v := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	for name, value := range map[string]string{"key": q.Key, "verdict": q.Verdict, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return told[EffectPage](ctx, f.Store, request{method: http.MethodGet, path: "/api/v1/effect", query: v})
}
