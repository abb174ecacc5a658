package interchange

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// YAML returns a document as a YAML file with every field but the stamps and those that are empty. The same document
// gives the same bytes, and reading them gives the same document.
func YAML(d knowledge.Document) (File, error) {
	key := d.Key()
	if key.Kind == knowledge.KindPrincipal {
		return File{}, fmt.Errorf("export %s: a principal is not written as YAML: use JSON lines", key)
	}
	fields, err := orderedFields(d)
	if err != nil {
		return File{}, fmt.Errorf("export %s: %w", key, err)
	}
	f := File{Path: key.Kind.Plural() + "/" + key.ID + ".yaml"}
	for _, write := range []func([]field) ([]byte, error){prettyYAML, plainYAML} {
		if f.Data, err = write(fields); err == nil && yamlReadsBack(d, f.Data) {
			return f, nil
		}
	}
	return File{}, fmt.Errorf("export %s: it holds a text that YAML can't: use JSON lines", key)
}

// yamlReadsBack reports whether a file gives the document that it was made of.
func yamlReadsBack(d knowledge.Document, data []byte) bool {
	text, err := cleanText(data)
	if err != nil {
		return false
	}
	docs, err := parseYAML(text)
	if err != nil || len(docs) != 1 {
		return false
	}
	m, ok := docs[0].value.(map[string]any)
	if !ok {
		return false
	}
	e, own := ownYAML(m, "")
	if !own || e.Doc == nil {
		return false
	}
	same, err := sameContent(d, e.Doc)
	return err == nil && same
}

// ownYAML reads a document in our own YAML, as an export or "tenet get" writes it; false for another's. A file of
// another tool may have a rule_id too: ours has no field that we don't know.
func ownYAML(values map[string]any, place string) (Entry, bool) {
	kind := ownKind(values, shownKind)
	if kind == "" {
		return Entry{}, false
	}
	known := fieldNames(kind)
	for name := range values {
		if !known[name] {
			return Entry{}, false
		}
	}
	if knowledge.Describe(kind).Parent == knowledge.KindCategory && textOf(values["category"]) == "" {
		return Entry{}, false // ours always names its category
	}
	data, err := json.Marshal(values)
	if err != nil {
		return Entry{Place: place, Err: err}, true
	}
	e, err := ownEntry(kind, data, place)
	if err != nil {
		e.Err = err
	}
	return e, true
}

// ownDocuments reads the documents of ours in a YAML file: one, several, a list, or a list below "documents". False
// where not all are ours.
func ownDocuments(docs []yamlValue) ([]Entry, bool) {
	var out []Entry
	for _, d := range docs {
		list := []any{d.value}
		n := contentNode(d.node)
		if m, ok := d.value.(map[string]any); ok {
			if below, isList := m["documents"].([]any); isList && len(m) == 1 {
				list, n = below, childNode(n, "documents")
			}
		} else if below, isList := d.value.([]any); isList {
			list = below
		}
		if d.value == nil {
			continue
		}
		for i, v := range list {
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			line := d.line
			if len(list) > 1 {
				line = lineOf(n, i)
			}
			e, own := ownYAML(m, fmt.Sprintf("line %d", line))
			if !own {
				return nil, false
			}
			out = append(out, e)
		}
	}
	if len(out) == 1 {
		out[0].Place = ""
	}
	return out, len(out) > 0
}

// A Table writes documents of one kind as rows of a table.
type Table struct {
	w       *csv.Writer
	columns []string
	begun   bool
}

// NewTable returns a table of documents of a kind: a column for each field that is one value or a list of texts, and
// for what the document holds for. The last one names the confidential category that a document tells of.
func NewTable(w io.Writer, kind knowledge.Kind) (*Table, error) {
	b, err := knowledge.Canonical(knowledge.New(kind))
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", kind.Plural(), err)
	}
	v, err := ordered(json.NewDecoder(bytes.NewReader(b)))
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", kind.Plural(), err)
	}
	fields, _ := v.(members)
	t := &Table{w: csv.NewWriter(w)}
	for _, f := range fields {
		switch f.name {
		case "scope":
			t.columns = append(t.columns, "activation", "globs", "languages", "targets")
		case "extra", "variables", "examples", "anti_patterns", "references", "benefits", "checks":
		default:
			t.columns = append(t.columns, f.name)
		}
	}
	t.columns = append(t.columns, confidentialColumn)
	return t, nil
}

const confidentialColumn = "confidential"

// Add writes a row of a document and the confidential category that it tells of, "" for none.
func (t *Table) Add(d knowledge.Document, confidential string) error {
	b, err := knowledge.Canonical(d)
	if err != nil {
		return fmt.Errorf("export %s: %w", d.Key(), err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("export %s: %w", d.Key(), err)
	}
	if scope, ok := m["scope"].(map[string]any); ok {
		maps.Copy(m, scope)
	}
	m[confidentialColumn] = confidential
	row := make([]string, len(t.columns))
	for i, c := range t.columns {
		row[i] = PlainCell(cellOf(m[c]))
	}
	if !t.begun {
		t.begun = true
		if err := t.w.Write(t.columns); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	if err := t.w.Write(row); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// Flush writes what is still held, and the header of a table without rows.
func (t *Table) Flush() error {
	if !t.begun {
		t.begun = true
		if err := t.w.Write(t.columns); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	t.w.Flush()
	return t.w.Error()
}

// PlainCell returns a cell as a spreadsheet shows it and computes nothing from it: one that would be taken for a
// formula begins with an apostrophe. Otherwise a person who may propose a title could run a program on the machine of a
// reader who opens the table.
func PlainCell(text string) string {
	if len(text) < 2 || !strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return "'" + text
}

// cellOf writes a value into a cell: a list with commas.
func cellOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, cellOf(e))
		}
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	}
	return fmt.Sprint(v)
}
