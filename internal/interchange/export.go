package interchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

// A File is one file of a Markdown export.
type File struct {
	Path string // with slashes, as in rules/SEC-001.md
	Data []byte
}

// Markdown returns a document as a Markdown file: front matter with every field but the stamps and those that are
// empty, and its main text below. The same document gives the same bytes, and reading them gives the same document.
// Principals are not exported: they hold hashes of tokens, and no text.
func Markdown(d knowledge.Document) (File, error) {
	key := d.Key()
	if knowledge.Describe(key.Kind).Hidden {
		return File{}, fmt.Errorf("export %s: a principal is not written as Markdown: use JSON lines", key)
	}
	fields, err := orderedFields(d)
	if err != nil {
		return File{}, fmt.Errorf("export %s: %w", key, err)
	}
	var body string
	rest := fields[:0:0]
	for _, f := range fields {
		if text, ok := f.value.(string); ok && f.name == mainField(key.Kind) && !strings.Contains(text, "\r") {
			body = text
			continue
		}
		rest = append(rest, f)
	}
	f := File{Path: key.Kind.Plural() + "/" + key.ID + ".md"}
	for _, write := range []func([]field) ([]byte, error){prettyYAML, plainYAML} {
		head, err := write(rest)
		if err != nil {
			continue
		}
		f.Data = assemble(head, body)
		if readsBack(d, f.Data) {
			return f, nil
		}
	}
	return File{}, fmt.Errorf("export %s: it holds a text that front matter can't: use JSON lines", key)
}

// MarkConfidential adds a comment to a file of a document, which says the confidential category that it tells of.
func (f *File) MarkConfidential(category string) {
	mark := []byte("# confidential: " + category + "\n")
	if rest, ok := bytes.CutPrefix(f.Data, []byte("---\n")); ok {
		mark, f.Data = append([]byte("---\n"), mark...), rest
	}
	f.Data = append(mark, f.Data...)
}

func assemble(head []byte, body string) []byte {
	var b bytes.Buffer
	b.WriteString("---\n")
	b.Write(head)
	b.WriteString("---\n")
	if body != "" {
		b.WriteString("\n" + body + "\n")
	}
	return b.Bytes()
}

// readsBack reports whether reading a file returns the document that it was made from. YAML has too many ways to read a
// text to skip this check.
func readsBack(d knowledge.Document, data []byte) bool {
	text, err := cleanText(data)
	if err != nil {
		return false
	}
	fm, body := splitFrontMatter(text)
	if len(fm.notes) > 0 || ownKind(fm.values, shownKind) != d.Key().Kind {
		return false
	}
	e, err := ownDocument(d.Key().Kind, fm.values, body)
	if err != nil || e.Doc == nil {
		return false
	}
	same, err := sameContent(d, e.Doc)
	return err == nil && same
}

// A field is a field of a document, in the order of its type.
type field struct {
	name  string
	value any
}

// members is a JSON object in the order in which it was written.
type members []field

// orderedFields returns the fields of a document without its stamps and without empty ones.
func orderedFields(d knowledge.Document) ([]field, error) {
	bare, err := knowledge.Clone(d)
	if err != nil {
		return nil, err
	}
	*bare.Stamps() = knowledge.Stamp{}
	b, err := knowledge.Canonical(bare)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := ordered(dec)
	if err != nil {
		return nil, err
	}
	all, ok := v.(members)
	if !ok {
		return nil, errors.New("not an object")
	}
	out := all[:0]
	for _, f := range all {
		if f.name == "scope" {
			f.value = withoutEmpty(f.value)
		}
		if !isStamp(f.name) && !isEmpty(f.value) {
			out = append(out, f)
		}
	}
	return out, nil
}

func isStamp(name string) bool {
	switch name {
	case "created_by", "created_at", "updated_by", "updated_at", "version":
		return true
	}
	return false
}

func withoutEmpty(v any) any {
	m, ok := v.(members)
	if !ok {
		return v
	}
	out := members{}
	for _, f := range m {
		if !isEmpty(f.value) {
			out = append(out, f)
		}
	}
	return out
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case members:
		return len(v) == 0
	}
	return false
}

// ordered decodes one JSON value, objects as [members].
func ordered(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := ordered(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	case json.Delim('{'):
		m := members{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(dec)
			if err != nil {
				return nil, err
			}
			m = append(m, field{fmt.Sprint(name), v})
		}
		_, err = dec.Token()
		return m, err
	}
	return tok, nil
}

// prettyYAML writes fields in a readable form: texts of several lines as blocks.
func prettyYAML(fields []field) ([]byte, error) {
	var b bytes.Buffer
	err := EncodeYAML(&b, yamlNode(members(fields)))
	return b.Bytes(), err
}

// MisreadYAML reports whether a text without quotes is text to YAML 1.2 alone: programs that read YAML 1.1 take yes,
// no, on and off for booleans, and 12:30 or 010_0 for numbers.
func MisreadYAML(text string) bool { return misread().MatchString(text) }

var misread = compiled(`^(?i:y|n|yes|no|on|off)$|^[-+]?[0-9][0-9_:]*(?:\.[0-9_]*)?$`)

func yamlNode(v any) *yaml.Node {
	switch v := v.(type) {
	case members:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, f := range v {
			n.Content = append(n.Content, yamlNode(f.name), yamlNode(f.value))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, yamlNode(e))
		}
		return n
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		if strings.Contains(v, "\n") {
			n.Style = yaml.LiteralStyle
		} else if MisreadYAML(v) {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// plainYAML writes each field as JSON on one line, with everything escaped that YAML could misread: for the rare text
// that a block can't contain.
func plainYAML(fields []field) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f.name + ": ")
		flow(&b, f.value)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

func flow(w io.StringWriter, v any) {
	switch v := v.(type) {
	case members:
		put(w, "{")
		for i, f := range v {
			if i > 0 {
				put(w, ", ")
			}
			quote(w, f.name)
			put(w, ": ")
			flow(w, f.value)
		}
		put(w, "}")
	case []any:
		put(w, "[")
		for i, e := range v {
			if i > 0 {
				put(w, ", ")
			}
			flow(w, e)
		}
		put(w, "]")
	case string:
		quote(w, v)
	case nil:
		put(w, "null")
	default:
		put(w, fmt.Sprint(v))
	}
}

func put(w io.StringWriter, s string) {
	_, _ = w.WriteString(s) // into memory
}

// quote writes a text between double quotes, in ASCII.
func quote(w io.StringWriter, s string) {
	put(w, `"`)
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			put(w, `\`+string(r))
		case r >= ' ' && r < 0x7f:
			put(w, string(r))
		case r > 0xffff:
			put(w, fmt.Sprintf(`\U%08X`, r))
		default:
			put(w, fmt.Sprintf(`\u%04X`, r))
		}
	}
	put(w, `"`)
}
