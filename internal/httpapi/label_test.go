package httpapi

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// someLabels answers at every label what holds now.
type someLabels struct{ next store.Reader }

func (s someLabels) ListAt(ctx context.Context, l *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	page, err := s.next.List(ctx, q)
	if err == nil {
		page.At = knowledge.LabelAt{Label: l.LabelID, Seq: l.Seq}
	}
	return page, err
}

func (s someLabels) SearchAt(ctx context.Context, l *knowledge.Label,
	q knowledge.SearchQuery,
) (*knowledge.Hits, error) {
	hits, err := s.next.Search(ctx, q)
	if err == nil {
		hits.At = knowledge.LabelAt{Label: l.LabelID, Seq: l.Seq}
	}
	return hits, err
}
