package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// ownKind returns the kind of a document in our own form, which its id field tells, or "". Kinds that name a document
// of another kind come before that one.
func ownKind(values map[string]any, among func(*knowledge.Description) bool) knowledge.Kind {
	kinds := knowledge.Kinds()
	for _, k := range slices.Backward(kinds) {
		if id, ok := values[k.IDField()].(string); ok && id != "" && among(knowledge.Describe(k)) {
			return k
		}
	}
	return ""
}

// anyKind and shownKind say which kinds are looked for: all, and those that have a Markdown form.
func anyKind(*knowledge.Description) bool     { return true }
func shownKind(d *knowledge.Description) bool { return !d.Hidden }

// mainField returns the field that a kind's Markdown form holds as its text.
func mainField(k knowledge.Kind) string { return knowledge.Describe(k).TextField }

// ownDocument reads a document in our own Markdown form. Keys that its kind has no field for go into extra.
func ownDocument(kind knowledge.Kind, values map[string]any, body string) (Entry, error) {
	body = strings.TrimSuffix(strings.TrimPrefix(body, "\n"), "\n")
	values = maps.Clone(values)
	delete(values, "kind")
	if _, ok := values[mainField(kind)]; !ok {
		values[mainField(kind)] = body
	} else if strings.TrimSpace(body) != "" {
		return Entry{}, fmt.Errorf("the text stands twice: as %s in the front matter and below it", mainField(kind))
	}
	var notes []string
	if known := fieldNames(kind); known["extra"] {
		extra, _ := values["extra"].(map[string]any)
		extra = maps.Clone(extra)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if known[k] {
				continue
			}
			if extra == nil {
				extra = map[string]any{}
			}
			if _, there := extra[k]; !there {
				extra[k] = values[k]
				delete(values, k)
				notes = append(notes, fmt.Sprintf("%q is no field of a %s: kept in extra", shortQuote(k), kind))
			}
		}
		if extra != nil {
			values["extra"] = extra
		}
	}
	data, err := json.Marshal(values)
	if err != nil {
		return Entry{}, fmt.Errorf("front matter: %w", err)
	}
	e, err := ownEntry(kind, data, "")
	e.Notes = notes
	return e, err
}

// fieldNames returns the JSON fields of a kind, those that are left out when empty too.
func fieldNames(kind knowledge.Kind) map[string]bool {
	out := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(knowledge.New(kind)).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			out[name] = true
		}
	}
	return out
}

// ownEntry decodes and checks a document in our own JSON. What is wrong with its form is the file's error; what is
// wrong with its values is the entry's.
func ownEntry(kind knowledge.Kind, data []byte, place string) (Entry, error) {
	d, err := knowledge.Decode(kind, data)
	if err != nil {
		return Entry{Place: place}, err
	}
	e := Entry{Key: d.Key(), Place: place, Own: true}
	*d.Stamps() = knowledge.Stamp{}
	if d, e.Err = settle(d); e.Err == nil {
		e.Err = d.Validate()
	}
	if e.Err == nil {
		e.Doc = d
	}
	return e, nil
}

var ownField = compiled(`"(?:rule|practice|template|category|violation)_id"|"documents"`)

// jsonFile reads a JSON file: our own documents, or the rules of a linter.
func (r *reader) jsonFile(f *file) ([]Entry, error) {
	entries, err := r.json(f)
	none, ok := errors.AsType[*nothingError](err)
	if _, known := toolOf(f.path, nil); !ok && (err == nil || !known && path.Ext(f.path) != ".jsonc" &&
		!strings.Contains(f.text, "/")) {
		return entries, err
	}
	rules, ok, ruleErr := r.jsonRules(f)
	switch {
	case ruleErr != nil:
		return nil, ruleErr
	case ok:
		return rules, nil
	case none == nil && eslintFile(path.Base(f.path)):
		return r.ruleYAML(f) // .eslintrc may be YAML
	case none == nil && !r.s.single && !ownField().MatchString(f.text):
		return nil, nothing("%s", err) // settings with comments, most of the time
	}
	return entries, err
}

// json reads a JSON file of our own: one document, a list of them, or a list below the key "documents".
func (r *reader) json(f *file) ([]Entry, error) {
	text := strings.TrimSpace(f.text)
	if text == "" {
		return nil, nothing("it is empty")
	}
	var list []json.RawMessage
	switch text[0] {
	case '[':
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, jsonFaultIn(f.text, err)
		}
	case '{':
		var o struct {
			Documents []json.RawMessage `json:"documents"`
		}
		err := json.Unmarshal([]byte(text), &o)
		if err == nil && o.Documents != nil {
			list = o.Documents
			break
		}
		var whole json.RawMessage
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			return nil, jsonFaultIn(f.text, err)
		}
		list = []json.RawMessage{whole}
	default:
		return nil, nothing("JSON without documents of tenet")
	}
	if len(list) == 0 {
		return nil, nothing("a list without documents")
	}
	entries := make([]Entry, 0, len(list))
	for i, raw := range list {
		place := ""
		if len(list) > 1 {
			place = fmt.Sprintf("document %d", i+1)
		}
		e, err := bareDocument(raw, place)
		if _, none := errors.AsType[*nothingError](err); none {
			return nil, err
		}
		if err != nil {
			e.Err = err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// bareDocument reads a document whose kind stands beside it or shows in its id field.
func bareDocument(raw json.RawMessage, place string) (Entry, error) {
	var wrapped struct {
		Kind     string          `json:"kind"`
		Document json.RawMessage `json:"document"`
	}
	if json.Unmarshal(raw, &wrapped) == nil && len(wrapped.Document) > 0 && wrapped.Kind != "" {
		kind, err := knowledge.ParseKind(wrapped.Kind)
		if err != nil {
			return Entry{Place: place}, err
		}
		return ownEntry(kind, wrapped.Document, place)
	}
	var values map[string]any
	if json.Unmarshal(raw, &values) != nil {
		return Entry{}, nothing("JSON without documents of tenet")
	}
	kind := ownKind(values, anyKind)
	if kind == "" {
		return Entry{}, nothing("JSON without documents of tenet (want rule_id, practice_id, template_id or " +
			"category_id), and no list " +
			"of rules of a linter that is known")
	}
	return ownEntry(kind, raw, place)
}
