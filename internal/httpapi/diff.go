package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

type diffParams struct {
	documentPath
	From int64 `query:"from" doc:"The older version; the one before to when left out" minimum:"1" example:"1"`
	To   int64 `query:"to" doc:"The newer version; the current one when left out" minimum:"1" example:"2"`
}

// difference describes the changes between two versions of a document.
type difference struct {
	From    int64            `json:"from" doc:"The version that the comparison starts from"`
	To      int64            `json:"to" doc:"The version that it leads to"`
	Patch   map[string]any   `json:"patch" doc:"The merge patch (RFC 7396) that makes the one of the other, without the fields that the store keeps"`
	Changes []differentField `json:"changes" doc:"Every value that differs, without the fields that the store keeps"`
}

// differentField is one value that differs.
type differentField struct {
	Pointer string `json:"pointer" doc:"JSON pointer of the value" example:"/title"`
	From    any    `json:"from,omitempty" doc:"What it was; left out where there was nothing"`
	To      any    `json:"to,omitempty" doc:"What it became; left out where there is nothing"`
}

func (l *collection) diff(c *call, p *diffParams) error {
	key, err := l.key(c)
	if err != nil {
		return err
	}
	var f faultList
	if p.From < 0 {
		f.add("/from", "%d: want a version, from 1", p.From)
	}
	if p.To < 0 {
		f.add("/to", "%d: want a version, from 1", p.To)
	}
	if err := f.err(true); err != nil {
		return err
	}
	if p.To == 0 {
		rec, err := l.h.o.Store.Get(c.limited(), key)
		if err != nil {
			return err
		}
		p.To = rec.Version
	}
	if p.From == 0 {
		p.From = max(1, p.To-1)
	}
	from, err := l.at(c, key, p.From)
	if err != nil {
		return err
	}
	to, err := l.at(c, key, p.To)
	if err != nil {
		return err
	}
	d, err := compare(from, to)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, d)
}

// compare returns the difference of two records of one document.
func compare(from, to *knowledge.Record) (*difference, error) {
	a, err := fieldsOf(from)
	if err != nil {
		return nil, err
	}
	b, err := fieldsOf(to)
	if err != nil {
		return nil, err
	}
	d := &difference{From: from.Version, To: to.Version, Patch: patchFrom(a, b), Changes: []differentField{}}
	d.Changes = appendDifferences(d.Changes, "", a, b)
	return d, nil
}

// fieldsOf decodes a record without the stamps of the store, which always differ.
func fieldsOf(r *knowledge.Record) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(r.JSON))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Key, err)
	}
	for f := range reflect.TypeFor[knowledge.Stamp]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		delete(m, name)
	}
	return m, nil
}

// patchFrom returns the merge patch that makes b of a.
func patchFrom(a, b map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range a {
		if b[name] == nil && a[name] != nil {
			patch[name] = nil
		}
	}
	for name, to := range b {
		from, there := a[name]
		if to == nil || there && reflect.DeepEqual(from, to) {
			continue
		}
		inner, isObject := to.(map[string]any)
		outer, wasObject := from.(map[string]any)
		if isObject && wasObject {
			patch[name] = patchFrom(outer, inner)
			continue
		}
		patch[name] = to
	}
	return patch
}

// appendDifferences lists the differences, field by field in the order of names, and element by element.
func appendDifferences(list []differentField, pointer string, a, b any) []differentField {
	if reflect.DeepEqual(a, b) {
		return list
	}
	switch from := a.(type) {
	case map[string]any:
		if to, ok := b.(map[string]any); ok {
			return appendObjectDifferences(list, pointer, from, to)
		}
	case []any:
		if to, ok := b.([]any); ok {
			for i := range max(len(from), len(to)) {
				list = appendDifferences(list, fmt.Sprintf("%s/%d", pointer, i), element(from, i), element(to, i))
			}
			return list
		}
	}
	return append(list, differentField{Pointer: pointer, From: a, To: b})
}

func appendObjectDifferences(list []differentField, pointer string, from, to map[string]any) []differentField {
	names := make([]string, 0, len(from)+len(to))
	for name := range from {
		names = append(names, name)
	}
	for name := range to {
		if _, ok := from[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		list = appendDifferences(list, pointer+"/"+pointerToken(name), from[name], to[name])
	}
	return list
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func exampleDifference(k knowledge.Kind) any {
	changed := knowledge.Describe(k).Changed
	field, before, after := changed[0], changed[1], changed[2]
	return difference{
		From: 1, To: 2, Patch: map[string]any{field: after},
		Changes: []differentField{{Pointer: "/" + field, From: before, To: after}},
	}
}
