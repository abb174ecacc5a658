package httpapi

import (
	"reflect"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// collection answers for one kind of documents.
type collection struct {
	h    *Handler
	kind knowledge.Kind
	path string // of the collection
}

// key returns the key that the path names. What can't be an id names nothing.
func (l *collection) key(c *call) (knowledge.Key, error) {
	key := knowledge.Key{Kind: l.kind, ID: c.docID}
	if key.ID != "" {
		return key, nil
	}
	key.ID = c.r.PathValue("id")
	if !plainID(key.ID) {
		if _, err := knowledge.ParseKey(string(l.kind) + "/" + key.ID); err != nil {
			return key, &api.RefusedError{
				Err: store.ErrNotFound, Detail: err.Error(),
				Cause: &store.NotFoundError{Key: key},
			}
		}
	}
	return key, nil
}

// pageType returns the Go type of a page of a kind's documents.
func pageType(k knowledge.Kind) reflect.Type {
	fields := []reflect.StructField{
		{Name: "Items", Type: reflect.SliceOf(documentType(k)), Tag: `json:"items" doc:"The documents"`},
		{Name: "Total", Type: typeOf[int](), Tag: `json:"total,omitempty" doc:"With total=true: documents on all pages"`},
		{
			Name: "Next", Type: typeOf[string](),
			Tag: `json:"next,omitempty" doc:"The cursor of the next page; none on the last"`,
		},
	}
	if knowledge.Labelled(k) {
		fields = append(fields, reflect.VisibleFields(typeOf[AtLabel]())...)
	}
	return reflect.StructOf(fields)
}

// pageOf returns the type of the documents of a page, false for the type of something else.
func pageOf(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct || t.Name() != "" || t.NumField() < 3 || t.Field(0).Name != "Items" {
		return nil, false
	}
	return t.Field(0).Type.Elem(), true
}

// document returns the Go type of a kind's documents.
func documentType(k knowledge.Kind) reflect.Type { return reflect.TypeOf(knowledge.New(k)).Elem() }

func (l *collection) documentAnswer(status int, text string, heads ...string) answer {
	return answer{
		status: status, text: text, body: documentType(l.kind), sample: exampleStored(l.kind),
		heads: append(heads, "ETag"),
	}
}

// AtLabel says as of which label an answer is. It is exported for the schema of what embeds it.
type AtLabel struct {
	Label string        `json:"label,omitempty" doc:"The label that was asked for: the answer is as of where it stands"`
	Seq   knowledge.Seq `json:"seq,omitempty" doc:"With label: the change at which it stands"`
}
