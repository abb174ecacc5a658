package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"tenet/internal/knowledge"
)

// documentOf returns a document as it is printed: one that waits for an absent primary names its batch.
func documentOf(rec *knowledge.Record) (json.RawMessage, error) {
	if rec.Pending == (knowledge.BatchID{}) {
		return rec.JSON, nil
	}
	return withPending(rec.JSON, rec.Pending)
}

// viewWidth is how wide a text for reading is at most.
const viewWidth = 100

// writeView prints a document for a person who reads it: its title, short fields side by side with their names, then
// texts and lists. What is empty is left out. The text stands as it is written, since it is Markdown.
func writeView(w io.Writer, sc screen, rec *knowledge.Record) error {
	doc, err := rec.Document()
	if err != nil {
		return err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(rec.JSON, &members); err != nil {
		return fmt.Errorf("read %s: %w", rec.Key, err)
	}
	desc := knowledge.Describe(rec.Key.Kind)
	var b strings.Builder
	b.WriteString(heading(sc, doc.Text().Title))
	short := &table{wide: 1}
	state := rec.Key.String() + ", version " + itoa(rec.Version)
	if !rec.Active {
		state += " (" + desc.Off + ")"
	}
	short.add("key", state)
	var long []knowledge.Field
	for _, f := range knowledge.FieldsOf(rec.Key.Kind) {
		v, ok := knowledge.FieldValue(rec.JSON, f.Name)
		if !ok || isEmpty(v) || !isViewed(desc, f) || f.Name == rec.Key.Kind.IDField() {
			continue
		}
		text := fieldText(rec.JSON, f.Name)
		if strings.ContainsAny(text, "\n") || len(text) > viewWidth || f.Name == desc.TextField ||
			strings.HasPrefix(f.Type, "list of object") || f.Type == "anything" {
			long = append(long, f)
			continue
		}
		if _, list := v.([]any); list {
			text = strings.ReplaceAll(text, ",", ", ")
		}
		short.add(words(f.Name), text)
	}
	short.add("written by", doc.Stamps().UpdatedBy+", "+moment(rec.Updated)+" UTC")
	if err := short.writeRows(&b, screen{columns: sc.columns}); err != nil {
		return err
	}
	for _, f := range long {
		v, _ := knowledge.FieldValue(rec.JSON, f.Name)
		b.WriteString("\n")
		b.WriteString(heading(sc, strings.ToUpper(words(f.Name)[:1])+words(f.Name)[1:]))
		if text, ok := v.(string); ok {
			b.WriteString(wrap(plain(strings.TrimRight(text, "\n")), sc.columns) + "\n")
			continue
		}
		var lines strings.Builder
		if err := printYAML(&lines, members[f.Name]); err != nil { // in the order of the document
			return err
		}
		b.WriteString(plain(lines.String()))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// heading returns a line that stands above a part, bold where the screen can show it.
func heading(sc screen, text string) string {
	text = cell(text)
	if sc.styled {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	return text + "\n"
}

// isViewed reports whether a view shows a field: not those that the heading and the first lines show already, and of
// the fields of an object only those of the scope.
func isViewed(desc *knowledge.Description, f knowledge.Field) bool {
	if f.Kept || f.Name == desc.TitleField || f.Name == desc.ActiveField || f.Name == "scope" {
		return false
	}
	return !strings.Contains(f.Name, ".") || strings.HasPrefix(f.Name, "scope.")
}

func isEmpty(v any) bool {
	if m, ok := v.(map[string]any); ok {
		return len(m) == 0
	}
	if n, ok := v.(json.Number); ok {
		return n == "0"
	}
	return isNothing(v)
}

// words returns a field's name as people say it.
func words(name string) string { return strings.NewReplacer("_", " ", ".", " ").Replace(name) }

// plain returns a text of several lines that can do nothing to a terminal.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = cell(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// wrap breaks the lines of prose that are wider than a terminal between two words. Code, tables and lists keep their
// lines' beginnings.
func wrap(text string, columns int) string {
	if columns <= 0 {
		return text
	}
	columns = min(columns, viewWidth)
	var out []string
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "|") {
			out = append(out, line)
			continue
		}
		for textWidth(line) > columns {
			at := strings.LastIndexByte(shorten(line, columns+1), ' ')
			if at <= 0 {
				break
			}
			out = append(out, line[:at])
			line = line[at+1:]
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
