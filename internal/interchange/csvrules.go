package interchange

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ruleColumns maps the fields of a rule to what tables call them.
func ruleColumns() map[string][]string {
	return map[string][]string{
		"id": {
			"rule_id", "rule id", "id", "key", "code", "number", "rule no", "rule number", "no", "no.",
			"control id",
		},
		"title": {"title", "name", "rule name", "rule title", "rule", "summary"},
		"description": {
			"description", "text", "details", "guideline", "requirement", "statement", "rationale",
			"message", "body",
		},
		"severity":    {"severity", "level", "criticality"},
		"enforcement": {"enforcement", "obligation"},
		"category":    {"category", "topic", "area"},
		"tags":        {"tags", "keywords", "labels"},
		"languages":   {"languages", "language"},
		"globs":       {"globs", "paths", "applies_to", "files"},
		"action":      {"recommended_action", "remediation", "fix"},
		"status":      {"status"},
	}
}

// ColumnFields returns the fields that a column of a table can be named for, see [ReadOptions.Columns].
func ColumnFields() []string {
	all := maps.Clone(ruleColumns())
	maps.Copy(all, columns())
	return slices.Sorted(maps.Keys(all))
}

// place finds the columns of fields: as the caller says, else by their names.
func (t *table) place(fields map[string][]string, given map[string]string) (map[string]int, error) {
	at := map[string]int{}
	for field, names := range fields {
		if name, ok := given[field]; ok {
			names = []string{name}
		}
		for _, want := range names {
			i := slices.IndexFunc(t.header, func(h string) bool {
				return strings.EqualFold(h, strings.TrimSpace(want))
			})
			if i >= 0 {
				at[field] = i
				break
			}
		}
		if _, found := at[field]; !found && given[field] != "" {
			return nil, fmt.Errorf("line 1: no column %q: the table has %s", shortQuote(given[field]),
				shortQuote(strings.Join(t.header, ", ")))
		}
	}
	return at, nil
}

// holdsRules reports whether a table is one of rules: it has a column that only rules have, or no text of a template.
func (t *table) holdsRules(given map[string]string) bool {
	if given["content"] != "" {
		return false
	}
	for field := range given {
		if _, both := columns()[field]; !both {
			return true
		}
	}
	rules, err := t.place(ruleColumns(), given)
	if err != nil {
		return false
	}
	templates, err := t.place(columns(), given)
	if err != nil {
		return false
	}
	_, prompt := templates["content"]
	_, title := rules["title"]
	_, text := rules["description"]
	_, severity := rules["severity"]
	_, enforcement := rules["enforcement"]
	for _, name := range []string{"act", "prompt", "template_content", "template"} {
		if slices.ContainsFunc(t.header, func(h string) bool { return strings.EqualFold(h, name) }) {
			return false
		}
	}
	return (severity || enforcement) && (title || text) || title && text && !prompt
}

// rules makes a rule of each row of a table.
func (t *table) rules(r *reader, f *file, given map[string]string) ([]Entry, error) {
	at, err := t.place(ruleColumns(), given)
	if err != nil {
		return nil, err
	}
	used := map[int]bool{}
	for _, i := range at {
		used[i] = true
	}
	found := make([]foundRule, 0, len(t.rows))
	for _, row := range t.rows {
		y := foundRule{values: map[string]any{}, line: row.line, listed: true, err: row.err}
		value := func(field string) string {
			if i, ok := at[field]; ok && i < len(row.fields) {
				return strings.TrimSpace(row.fields[i])
			}
			return ""
		}
		y.ident, y.title, y.text, y.action = value("id"), value("title"), value("description"), value("action")
		y.severity, y.enforcement, y.category = value("severity"), value("enforcement"), value("category")
		y.tags, y.languages = listOf(value("tags")), languagesOf(listOf(value("languages")))
		y.globs = splitGlobs(value("globs"))
		if s := value("status"); s != "" {
			y.values["status"] = s
		}
		if y.severity != "" {
			y.values["severity"] = y.severity
		}
		for i, h := range t.header {
			if !used[i] && h != "" && i < len(row.fields) && row.fields[i] != "" {
				y.values[h] = row.fields[i]
			}
		}
		if y.err == nil && y.title == "" && y.text == "" {
			y.err = fmt.Errorf("%s has neither a title nor a description", y.called())
		}
		found = append(found, y)
	}
	return r.foundEntries(f, found, false), nil
}
