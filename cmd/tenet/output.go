package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// print prints a value as --output says: as JSON or YAML of v, or by what people does.
func (a *app) print(v any, people func(w io.Writer, s screen) error) error {
	switch a.Output {
	case "json":
		return printJSON(a.out, v)
	case "yaml":
		return printYAML(a.out, v)
	}
	return people(a.out, screenOf(a.out, a.env))
}

// printTable prints a table, or v for programs.
func (a *app) printTable(v any, t *table) error { return a.print(v, t.write) }

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printYAML prints what a value is in JSON, with the same names in the same order.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	node, err := yamlOf(data)
	if err != nil {
		return err
	}
	return encodeYAML(w, node)
}

func encodeYAML(w io.Writer, node *yaml.Node) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return enc.Close()
}

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
		n.SetString(tok)
	case json.Number:
		n.Tag, n.Value = "!!int", tok.String()
		if _, err := tok.Int64(); err != nil {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(tok)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// jsonOf returns the JSON values of a text that holds JSON or YAML: one or several documents, or a list of them.
func jsonOf(data []byte) ([]json.RawMessage, error) {
	var out []json.RawMessage
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		return jsonValues(first)
	}
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("neither JSON nor YAML: %w", err)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("YAML that JSON can't hold: %w", err)
		}
		list, err := jsonValues(raw)
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
