package interchange

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// Changes summarizes what a step changes in its document, field by field.
func (st *Step) Changes() []string {
	if st.was == nil || st.doc == nil {
		return nil
	}
	was, err := orderedFields(st.was)
	if err != nil {
		return nil
	}
	will, err := orderedFields(st.doc)
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range will {
		i := slices.IndexFunc(was, func(o field) bool { return o.name == f.name })
		var before any
		if i >= 0 {
			before = was[i].value
		}
		if part := changed(f.name, before, f.value); part != "" {
			out = append(out, part)
		}
	}
	for _, f := range was {
		if !slices.ContainsFunc(will, func(n field) bool { return n.name == f.name }) {
			out = append(out, changed(f.name, f.value, nil))
		}
	}
	return out
}

// changed describes how a field differs; "" when it does not.
func changed(name string, was, will any) string {
	a, b := shown(was), shown(will)
	if a == b {
		return ""
	}
	oneLine := !strings.Contains(a, "\n") && !strings.Contains(b, "\n")
	switch {
	case name == "extra" && sameButOrigin(was, will):
		return ""
	case oneLine && len(a) <= 60 && len(b) <= 60:
		return fmt.Sprintf("%s: %s → %s", name, orElse(a, "nothing"), orElse(b, "nothing"))
	case name == "extra" || name == "scope" && !oneLine:
		return name
	}
	more, less := lineCounts(a, b)
	return fmt.Sprintf("%s: +%d −%d lines", name, more, less)
}

// sameButOrigin reports whether two values of extra differ only in where the document came from.
func sameButOrigin(a, b any) bool {
	without := func(v any) any {
		m, _ := v.(members)
		return slices.DeleteFunc(slices.Clone(m), func(f field) bool { return f.name == importedFrom })
	}
	return shown(without(a)) == shown(without(b))
}

// shown formats a value for people.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case members:
		var b strings.Builder
		flow(&b, v)
		return b.String()
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = shown(e)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

// lineCounts returns how many lines a text has that another has not, and the other way round.
func lineCounts(a, b string) (more, less int) {
	count := map[string]int{}
	for line := range strings.Lines(a) {
		count[strings.TrimRight(line, "\n")]++
	}
	for line := range strings.Lines(b) {
		line = strings.TrimRight(line, "\n")
		if count[line] > 0 {
			count[line]--
			continue
		}
		more++
	}
	for _, n := range count {
		less += n
	}
	return more, less
}

// Plain returns a document as YAML without its stamps and empty fields, to compare two versions line by line.
func Plain(d knowledge.Document) ([]byte, error) {
	fields, err := orderedFields(d)
	if err != nil {
		return nil, err
	}
	if text, err := prettyYAML(fields); err == nil {
		return text, nil
	}
	text, err := plainYAML(fields)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(text), nil
}
