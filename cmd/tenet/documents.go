package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// A listing is an answer as programs get it: documents in the shape that the REST API has.
type listing struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
	knowledge.LabelAt
}

func listingOf(page *knowledge.Page) listing {
	l := listing{Items: make([]json.RawMessage, len(page.Records)), Next: page.Next, LabelAt: page.At}
	for i, r := range page.Records {
		l.Items[i] = r.JSON
	}
	return l
}

// columns returns the heading of a table of documents of a kind, and which column gives way on a narrow terminal.
func columns(kind knowledge.Kind) *table {
	d := knowledge.Describe(kind)
	t := &table{wide: len(d.Columns) - 1}
	for _, c := range d.Columns {
		t.head = append(t.head, c.Head)
	}
	return t
}

// row returns a document's cells below columns; whole with nothing cut, and with what the store keeps.
func row(r *knowledge.Record, whole bool) ([]string, error) {
	d, err := r.Document()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Key, err)
	}
	desc := knowledge.Describe(r.Key.Kind)
	cells := make([]string, len(desc.Columns))
	for i, c := range desc.Columns {
		if cells[i] = c.Cell(d); c.Max > 0 && !whole {
			cells[i] = shorten(cells[i], c.Max)
		}
	}
	if !d.Active() {
		cells[len(cells)-1] += " (" + desc.Off + ")"
	}
	if whole {
		cells = append(cells, itoa(r.Version), moment(r.Updated), d.Stamps().UpdatedBy)
	}
	return cells, nil
}

// moment writes a time for people, to the second; never is what stands for no time.
func moment(t knowledge.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// kindOf returns the kind of a document by the name of its id field.
func kindOf(raw json.RawMessage) (knowledge.Kind, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return "", knowledge.Invalid("", "want a document: an object with fields; `tenet import` reads "+
			"Markdown and the files of other tools")
	}
	for _, k := range slices.Backward(knowledge.Kinds()) { // a violation before the rule that it also names
		if _, ok := members[k.IDField()]; ok && (k != knowledge.KindCategory || members["name"] != nil ||
			len(members) == 1) {
			return k, nil
		}
	}
	fields := map[string]bool{} // of documents that have an id: these are no slips
	var ids, names []string
	for _, k := range knowledge.Kinds() {
		ids = append(ids, k.IDField())
		names = append(names, k.IDField(), string(k))
		for _, f := range knowledge.FieldsOf(k) {
			fields[f.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if fields[name] {
			continue
		}
		if near := knowledge.Nearest(name, slices.Values(names)); near != "" {
			return "", knowledge.Invalid("", "no field says what it is: did you mean %s_id by %q?",
				strings.TrimSuffix(near, "_id"), name)
		}
	}
	return "", knowledge.Invalid("", "no field says what it is: want one of %s; or name the kind with --kind",
		strings.Join(ids, ", "))
}
