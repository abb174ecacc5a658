package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
)

// Ways to print.
const (
	asTable = "table"
	asWide  = "wide" // for people, with more columns, and nothing cut
	asJSON  = "json"
	asYAML  = "yaml"
	asCSV   = "csv"
	asName  = "name" // keys only
)

// outputs is the annotation of a command that names the ways in which it prints besides table, json and yaml.
const outputs = "outputs"

// prints says in which further ways a command prints.
func prints(ways ...string) map[string]string {
	return map[string]string{outputs: strings.Join(ways, ",")}
}

// printsLists says that a command prints a list in every way: wide, for spreadsheets, and by name.
func printsLists() map[string]string { return prints(asWide, asCSV, asName) }

// checkOutput refuses a way to print that a command does not have.
func checkOutput(cmd *cobra.Command, way string) error {
	ways := outputsOf(cmd)
	if slices.Contains(ways, way) {
		return nil
	}
	want := strings.Join(ways[:len(ways)-1], ", ") + " or " + ways[len(ways)-1]
	if near := knowledge.Nearest(way, slices.Values(ways)); near != "" {
		return usageError("--output %q: did you mean %s? %s prints %s", way, near, cmd.CommandPath(), want)
	}
	return usageError("--output %q: %s prints %s", way, cmd.CommandPath(), want)
}

func outputsOf(cmd *cobra.Command) []string {
	ways := []string{asTable, asJSON, asYAML}
	if more := cmd.Annotations[outputs]; more != "" {
		ways = append(ways, strings.Split(more, ",")...)
	}
	return ways
}

// writeCSV prints a table for spreadsheets.
func (t *table) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i] = strings.ToLower(h)
	}
	rows := [][]string{head}
	for _, row := range t.rows {
		plain := make([]string, len(row))
		for i, cell := range row {
			plain[i] = interchange.PlainCell(cell)
		}
		rows = append(rows, plain)
	}
	if err := c.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// writeNames prints the first column, which names each row.
func (t *table) writeNames(w io.Writer) error {
	var b strings.Builder
	for _, row := range t.rows {
		b.WriteString(cell(row[0]) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeNames prints keys, one on a line.
func writeNames(w io.Writer, keys []knowledge.Key) error {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func keysOfRecords(records []*knowledge.Record) []knowledge.Key {
	keys := make([]knowledge.Key, len(records))
	for i, r := range records {
		keys[i] = r.Key
	}
	return keys
}

// splitFields returns the fields that are asked for, each of which documents of the kind must have.
func splitFields(kind knowledge.Kind, text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var fields []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if err := knowledge.CheckField(kind, name); err != nil {
			return nil, usageError("--fields: %s\n`tenet explain %s` lists them", err, kind)
		}
		fields = append(fields, name)
	}
	return fields, nil
}

// chosen returns a document with nothing but some fields, in the order in which they were asked for.
func chosen(doc json.RawMessage, fields []string) (json.RawMessage, error) {
	if len(fields) == 0 {
		return doc, nil
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range fields {
		v, _ := knowledge.FieldValue(doc, name)
		data, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, data)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// fieldTable returns documents as a table of some fields.
func fieldTable(records []*knowledge.Record, fields []string) *table {
	t := &table{wide: len(fields) - 1}
	for _, name := range fields {
		t.head = append(t.head, strings.ToUpper(name))
	}
	for _, r := range records {
		var cells []string
		for _, name := range fields {
			cells = append(cells, fieldText(r.JSON, name))
		}
		t.add(cells...)
	}
	return t
}

// fieldText returns what a document has in a field as one word or line.
func fieldText(doc []byte, name string) string {
	v, _ := knowledge.FieldValue(doc, name)
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		var words []string
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				words = nil
				break
			}
			words = append(words, text)
		}
		if len(words) == len(v) {
			return strings.Join(words, ",")
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}
