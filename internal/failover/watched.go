package failover

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// watched is a mirror that notes every read that fails by the mirror's own fault, in every code path. Readiness depends
// on these notes, so no reader may bypass them.
type watched struct {
	Mirror
	failed func(context.Context, error) // notes a failure
}

// watch passes on the result of a read, and notes an error of the mirror. A wrong query is no error of the mirror, nor
// is a search index in the making.
func watch[T any](ctx context.Context, m watched, answer T, err error) (T, error) {
	if u, ok := errors.AsType[*store.UnavailableError](err); ok && !errors.Is(u.Err, store.ErrIndexing) {
		m.failed(ctx, err)
	}
	return answer, err
}

func (m watched) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	r, err := m.Mirror.Get(ctx, key)
	return watch(ctx, m, r, err)
}

func (m watched) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	p, err := m.Mirror.List(ctx, q)
	return watch(ctx, m, p, err)
}

func (m watched) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	h, err := m.Mirror.Search(ctx, q)
	return watch(ctx, m, h, err)
}

func (m watched) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	c, err := m.Mirror.Changes(ctx, q)
	return watch(ctx, m, c, err)
}
