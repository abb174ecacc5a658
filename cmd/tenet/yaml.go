package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/interchange"
)

// yamlOf returns JSON as a YAML node with its members in the same order. YAML's own reader would not do: JSON's escapes
// are not quite YAML's.
func yamlOf(data []byte) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	n, err := yamlValue(dec)
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return n, nil
}

func yamlValue(dec *json.Decoder) (*yaml.Node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch tok := tok.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if tok == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for dec.More() {
			child, err := yamlValue(dec) // an object's names and values come one after the other, in both formats
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		_, err = dec.Token()
		return n, err
	case string:
		yamlText(n, tok)
	case json.Number:
		n.Value = tok.String() // without a tag: a number of any length is written as it is
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(tok)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// yamlText makes a node of a text: as a block where it has lines and YAML's blocks keep them all, in quotes where they
// would not.
func yamlText(n *yaml.Node, text string) {
	n.SetString(text)
	n.Tag = "!!str"
	if !strings.Contains(text, "\n") {
		if interchange.MisreadYAML(text) {
			n.Style = yaml.DoubleQuotedStyle
		}
		return
	}
	n.Style = yaml.LiteralStyle
	first, _, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(first) == "" || first[0] == ' ' || first[0] == '\t' ||
		strings.ContainsAny(text, "\r\u0085\u2028\u2029\ufeff") ||
		strings.HasSuffix(text, "\n\n") {
		n.Style = yaml.DoubleQuotedStyle
	}
}

// jsonOf returns the JSON values of a text that holds JSON or YAML: one or several documents, or a list of them.
func jsonOf(data []byte) ([]json.RawMessage, error) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		return jsonValues(first)
	}
	var out []json.RawMessage
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("neither JSON nor YAML: %w", err)
		}
		var b bytes.Buffer
		w := yamlWriter{b: &b}
		if err := w.value(&n, 0); err != nil {
			return nil, err
		}
		list, err := jsonValues(b.Bytes())
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
}

// jsonValues returns the values of a JSON text, the elements of a list each on its own.
func jsonValues(data []byte) ([]json.RawMessage, error) {
	var out []json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.More() {
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		if v[0] != '[' {
			out = append(out, v)
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(v, &list); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		out = append(out, list...)
	}
	return out, nil
}

// Bounds of a YAML text: aliases can make a small one endless.
const (
	yamlDepth = 100
	yamlNodes = 1_000_000
)

// A yamlWriter writes YAML as JSON. Numbers keep their digits, and what YAML takes for a time stays the text that it
// is.
type yamlWriter struct {
	b     *bytes.Buffer
	nodes int
}

func (w *yamlWriter) value(n *yaml.Node, depth int) error {
	if w.nodes++; depth > yamlDepth || w.nodes > yamlNodes {
		return fmt.Errorf("line %d: YAML that is nested too deep, or grows too large", n.Line)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return w.value(n.Content[0], depth)
	case yaml.AliasNode:
		return w.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		return w.list(n, depth)
	case yaml.MappingNode:
		return w.object(n, depth)
	case yaml.ScalarNode:
	}
	return w.scalar(n)
}

func (w *yamlWriter) list(n *yaml.Node, depth int) error {
	w.b.WriteByte('[')
	for i, c := range n.Content {
		if i > 0 {
			w.b.WriteByte(',')
		}
		if err := w.value(c, depth+1); err != nil {
			return err
		}
	}
	w.b.WriteByte(']')
	return nil
}

func (w *yamlWriter) object(n *yaml.Node, depth int) error {
	w.b.WriteByte('{')
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		switch {
		case name.Kind != yaml.ScalarNode:
			return fmt.Errorf("line %d: a name that is no text", name.Line)
		case name.ShortTag() == "!!merge":
			return fmt.Errorf("line %d: merge keys (<<) are not supported: write the fields out", name.Line)
		case seen[name.Value]:
			return fmt.Errorf("line %d: %q stands there twice", name.Line, name.Value)
		}
		seen[name.Value] = true
		if i > 0 {
			w.b.WriteByte(',')
		}
		if err := w.text(name.Value); err != nil {
			return err
		}
		w.b.WriteByte(':')
		if err := w.value(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	w.b.WriteByte('}')
	return nil
}

func (w *yamlWriter) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return w.text(n.Value)
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			w.b.WriteString(n.Value)
			return nil
		}
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("line %d: %s is nothing that JSON can hold", n.Line, n.Value)
	}
	w.b.Write(data)
	return nil
}

func (w *yamlWriter) text(s string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	w.b.Write(data)
	return nil
}
