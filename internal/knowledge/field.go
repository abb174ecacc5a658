package knowledge

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Field describes a field of documents for writers.
type Field struct {
	Name string `json:"name"` // with its parents, as in scope.globs
	// text, number, yes or no, time, anything, an object, or a list of one of these
	Type    string   `json:"type"`
	Doc     string   `json:"doc"`               // its purpose
	Default string   `json:"default,omitempty"` // the value if it is left out; "" for empty
	Values  []string `json:"values,omitempty"`  // all allowed values; nil for any
	Needed  bool     `json:"needed,omitempty"`  // required
	Kept    bool     `json:"kept,omitempty"`    // set by the store
}

// FieldsOf returns the fields of a kind in the order of its JSON, each object before the fields in it.
func FieldsOf(kind Kind) []Field {
	d := Describe(kind)
	if d == nil {
		return nil
	}
	list := fieldsIn("", reflect.TypeOf(d.New()).Elem())
	for i := range list {
		f := &list[i]
		f.Needed = f.Name == kind.IDField() || slices.Contains(d.Needed, f.Name)
	}
	return list
}

func fieldsIn(before string, t reflect.Type) []Field {
	var list []Field
	for _, sf := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" || name == "-" || !sf.IsExported() {
			continue
		}
		f := Field{
			Name: before + name, Doc: sf.Tag.Get("doc"), Default: sf.Tag.Get("default"),
			Kept: sf.Tag.Get("readOnly") == "true",
		}
		if values := sf.Tag.Get("enum"); values != "" {
			f.Values = strings.Split(values, ",")
		}
		inner := sf.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		f.Type = typeForPeople(inner)
		list = append(list, f)
		if inner.Kind() == reflect.Slice && inner != rawType {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != timeType {
			list = append(list, fieldsIn(f.Name+".", inner)...)
		}
	}
	return list
}

func typeForPeople(t reflect.Type) string {
	switch {
	case t == timeType || t == reflect.TypeFor[time.Time]():
		return "time"
	case t == rawType || t.Kind() == reflect.Map || t.Kind() == reflect.Interface:
		return "anything"
	case t.Kind() == reflect.Slice:
		return "list of " + typeForPeople(t.Elem())
	case t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() == reflect.Bool:
		return "yes or no"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

// FieldValue returns the value of a field, which may be nested, as in scope.globs; false if the document lacks it.
// Below a list it is the list of the elements' values.
func FieldValue(doc []byte, name string) (any, bool) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(doc)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil, false
	}
	return valueIn(v, strings.Split(name, "."))
}

func valueIn(v any, path []string) (any, bool) {
	if len(path) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case map[string]any:
		inner, ok := v[path[0]]
		if !ok {
			return nil, false
		}
		return valueIn(inner, path[1:])
	case []any:
		all := []any{}
		for _, e := range v {
			if inner, ok := valueIn(e, path); ok {
				all = append(all, inner)
			}
		}
		return all, true
	}
	return nil, false
}

// CheckField returns an error if documents of a kind have no field of a name. It suggests the closest one.
func CheckField(kind Kind, name string) error {
	list := FieldsOf(kind)
	for _, f := range list {
		if f.Name == name || f.Type == "anything" && strings.HasPrefix(name, f.Name+".") {
			return nil
		}
	}
	names := func(yield func(string) bool) {
		for _, f := range list {
			if !yield(f.Name) {
				return
			}
		}
	}
	if near := Nearest(name, names); near != "" {
		return fmt.Errorf("a %s has no field %q: did you mean %q?", kind, name, near)
	}
	return fmt.Errorf("a %s has no field %q", kind, name)
}

// SummaryFields are the fields of a kind in a summary.
func SummaryFields(kind Kind) []string {
	d := Describe(kind)
	wanted := []string{kind.IDField(), d.TitleField, "tags", d.ActiveField, "version", "updated_at"}
	for i := range d.Filters {
		wanted = append(wanted, d.Filters[i].Field)
	}
	var names []string
	for _, f := range FieldsOf(kind) {
		if slices.Contains(wanted, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// PickFields returns only some fields of a document, in the requested order. A nested field keeps its full name, as in
// scope.globs; a missing one is left out.
func PickFields(doc []byte, names []string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	b := []byte{'{'}
	for _, name := range names {
		value, ok := all[name]
		if top, inner, deep := strings.Cut(name, "."); deep && !ok {
			v, found := FieldValue(all[top], inner)
			if !found {
				continue
			}
			var err error
			if value, err = json.Marshal(v); err != nil {
				return nil, fmt.Errorf("encode %s: %w", name, err)
			}
		} else if !ok {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, name) // the name of a field has nothing to escape
		b = append(append(b, ':'), value...)
	}
	return append(b, '}'), nil
}
