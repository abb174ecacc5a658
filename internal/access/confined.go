package access

import (
	"context"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Labelled returns what lists and searches at labels, for the caller of each context. What is confidential now is left
// out, though it was not at the label; a total may count it.
func (l Classification) Labelled(s store.Past, next store.LabelReader) store.LabelReader {
	if len(l) == 0 {
		return next
	}
	return confinedLabels{l, s, next}
}

type confinedLabels struct {
	l    Classification
	s    store.Past
	next store.LabelReader
}

// ListAt implements [store.LabelReader].
func (c confinedLabels) ListAt(ctx context.Context, at *knowledge.Label, q knowledge.Query) (*knowledge.Page, error) {
	q.Without = c.l.Without(ctx)
	page, err := c.next.ListAt(ctx, at, q)
	if err == nil && q.Without == "" {
		err = c.l.mark(ctx, c.s, slices.Values(page.Records))
	}
	if err != nil || q.Without == "" {
		return page, err
	}
	out := *page
	out.Memo, out.Records = nil, []*knowledge.Record{}
	for _, r := range page.Records {
		if hidden, err := c.now(ctx, r); err != nil {
			return nil, err
		} else if !hidden {
			out.Records = append(out.Records, r)
		}
	}
	return &out, nil
}

// now reports whether a document is hidden as it is now.
func (c confinedLabels) now(ctx context.Context, r *knowledge.Record) (bool, error) {
	return c.l.hidesKey(ctx, c.s, r.Key)
}

// SearchAt implements [store.LabelReader].
func (c confinedLabels) SearchAt(ctx context.Context, at *knowledge.Label,
	q knowledge.SearchQuery,
) (*knowledge.Hits, error) {
	q.Without = c.l.Without(ctx)
	hits, err := c.next.SearchAt(ctx, at, q)
	if err == nil && q.Without == "" {
		err = c.l.mark(ctx, c.s, found(hits))
	}
	if err != nil || q.Without == "" {
		return hits, err
	}
	out := *hits
	out.Memo, out.Hits = nil, []knowledge.Hit{}
	for i := range hits.Hits {
		if hidden, err := c.now(ctx, hits.Hits[i].Record); err != nil {
			return nil, err
		} else if !hidden {
			out.Hits = append(out.Hits, hits.Hits[i])
		}
	}
	return &out, nil
}

// Archived returns an archive without what is hidden from the caller.
func (l Classification) Archived(s store.Past, next store.Archive) store.Archive {
	if len(l) == 0 || next == nil {
		return next
	}
	return confinedArchive{l, s, next}
}

type confinedArchive struct {
	l    Classification
	s    store.Past
	next store.Archive
}

// Archived implements [store.Archive]. It reads on until the page is full, since a short page is the last one.
func (c confinedArchive) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	list := []store.Archived{}
	for {
		page, err := c.next.Archived(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page {
			hidden, err := c.l.Hides(ctx, c.s, page[i].Record)
			switch {
			case err != nil:
				return nil, err
			case !hidden && len(list) < q.Limit:
				list = append(list, page[i])
			}
		}
		if len(page) < q.Limit || len(list) == q.Limit {
			return list, nil
		}
		q.After = page[len(page)-1].Key
	}
}
