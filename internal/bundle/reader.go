package bundle

import (
	"context"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Reader reads the documents and packs of a bundle like a store. It has nothing else, and no history.
type Reader struct {
	records []*knowledge.Record
	packs   []*knowledge.Record // packs, which search does not find
	texts   []string            // the searched text of each document, in lower case
	titles  []string
}

// Reader returns a reader of the bundle.
func (b *Bundle) Reader() (*Reader, error) {
	docs, err := b.All()
	if err != nil {
		return nil, err
	}
	r := &Reader{}
	for _, d := range docs {
		rec, err := knowledge.NewRecord(d)
		if err != nil {
			return nil, err
		}
		text := d.Text()
		r.records = append(r.records, rec)
		r.titles = append(r.titles, text.Title)
		r.texts = append(r.texts, strings.ToLower(rec.Key.ID+" "+string(rec.JSON)))
	}
	for _, text := range b.Packs {
		d, err := decode(Entry{Kind: knowledge.KindPack, Document: text})
		if err != nil {
			return nil, err
		}
		rec, err := knowledge.NewRecord(d)
		if err != nil {
			return nil, err
		}
		r.packs = append(r.packs, rec)
	}
	return r, nil
}

var _ store.Past = (*Reader)(nil)

// Get implements [store.Reader].
func (r *Reader) Get(_ context.Context, key knowledge.Key) (*knowledge.Record, error) {
	list := r.of(key.Kind)
	i := slices.IndexFunc(list, func(rec *knowledge.Record) bool { return rec.Key == key })
	if i < 0 {
		return nil, &store.NotFoundError{Key: key}
	}
	return list[i], nil
}

// of returns the records of a kind.
func (r *Reader) of(kind knowledge.Kind) []*knowledge.Record {
	if kind == knowledge.KindPack {
		return r.packs
	}
	return r.records
}

// List implements [store.Reader]: all documents of a kind, in one page.
func (r *Reader) List(_ context.Context, q knowledge.Query) (*knowledge.Page, error) {
	p := &knowledge.Page{Records: []*knowledge.Record{}}
	for _, rec := range r.of(q.Kind) {
		if rec.Key.Kind == q.Kind && q.Activity != knowledge.RetiredOnly {
			p.Records = append(p.Records, rec)
		}
	}
	return p, nil
}

// Search implements [store.Reader], without stems and conditions: what holds more of the words comes first.
func (r *Reader) Search(_ context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	words := strings.Fields(strings.ToLower(q.Text))
	h := &knowledge.Hits{Hits: []knowledge.Hit{}}
	for i, rec := range r.records {
		if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, rec.Key.Kind) || q.Category != "" &&
			rec.Category != q.Category {
			continue
		}
		hit := knowledge.Hit{Record: rec, Title: r.titles[i], Missing: []string{}}
		for _, w := range words {
			if strings.Contains(r.texts[i], w) {
				hit.Score++
			} else {
				hit.Missing = append(hit.Missing, w)
			}
		}
		if hit.Score > 0 {
			h.Hits = append(h.Hits, hit)
		}
	}
	slices.SortStableFunc(h.Hits, func(a, b knowledge.Hit) int { return int(b.Score - a.Score) })
	h.Total = len(h.Hits)
	if q.Limit > 0 {
		h.Hits = h.Hits[:min(q.Limit, len(h.Hits))]
	}
	return h, nil
}

// Changes implements [store.Feed]: there are none.
func (r *Reader) Changes(context.Context, knowledge.ChangeQuery) ([]knowledge.Change, error) {
	return nil, nil
}

// Wait implements [store.Feed]: nothing comes.
func (r *Reader) Wait(ctx context.Context, _ knowledge.Seq) error {
	<-ctx.Done()
	return ctx.Err()
}
