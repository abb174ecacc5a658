package httpapi

import (
	"strconv"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// labelParam is that of reads of documents as they stand at a label.
type labelParam struct {
	Label string `query:"label" doc:"The document as it stands at this label; default: as it is now" example:"production"`
}

// atLabel returns a document as it stands at a label, or as it is now without one.
func atLabel(c *call, label string, key knowledge.Key) (*knowledge.Record, error) {
	ctx := c.limited()
	if label == "" {
		return c.h.o.Store.Get(ctx, key)
	}
	l, err := labelOf(c, label)
	if err != nil {
		return nil, err
	}
	return store.AtLabel(ctx, c.h.o.Store, l, key)
}

// labelOf returns a label, and sets the header with its seq.
func labelOf(c *call, label string) (*knowledge.Label, error) {
	l, err := store.LabelOf(c.limited(), c.h.o.Store, label)
	if err == nil {
		c.set(labelHeader, l.LabelID+";seq="+strconv.FormatInt(int64(l.Seq), 10))
	}
	return l, err
}

// labelHeader names the label of an answer, and its seq.
const labelHeader = "Tenet-Label"

// labelsParam is that of lists and searches of documents as they stand at a label.
type labelsParam struct {
	Label string `query:"label" doc:"The documents as they stand at this label; default: as they are now" example:"production"`
}

// labelled returns a label, and what lists and searches at labels, for a caller who may read documents of these kinds:
// the answer comes from a copy, and no store asks.
func labelled(c *call, label string, kinds ...knowledge.Kind) (*knowledge.Label, store.LabelReader, error) {
	if err := access.MayRead(c.request.Caller, kinds...); err != nil {
		return nil, nil, err
	}
	if c.h.o.Labels == nil {
		return nil, nil, api.Refuse(api.ErrNoPath, "this server lists and searches nothing at labels")
	}
	l, err := labelOf(c, label)
	return l, c.h.o.Labels, err
}

// page returns a page of a list as of a label, as of now without one.
func (l *collection) page(c *call, label string, q knowledge.Query) (*knowledge.Page, error) {
	if label == "" {
		return l.h.o.Store.List(c.ctx, q)
	}
	at, reader, err := labelled(c, label, l.kind)
	if err != nil {
		return nil, err
	}
	return reader.ListAt(c.limited(), at, q)
}

// hitsOf returns the hits of a search as of a label, as of now without one.
func hitsOf(c *call, label string, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if label == "" {
		return c.h.o.Store.Search(c.ctx, q)
	}
	at, reader, err := labelled(c, label, knowledge.SearchKinds()...)
	if err != nil {
		return nil, err
	}
	return reader.SearchAt(c.limited(), at, q)
}
