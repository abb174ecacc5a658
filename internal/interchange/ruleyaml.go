package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// ruleYAML reads a YAML file that describes rules: one, a list, or a list below the key "rules".
func (r *reader) ruleYAML(f *file) ([]Entry, error) {
	docs, err := parseYAML(f.text)
	if err != nil {
		if r.s.single || isMetadata(f.path) || r.s.o.Format != "" {
			return nil, err
		}
		return nil, nothing("%s", err)
	}
	var found []yamlRule
	for _, d := range docs {
		if d.value == nil {
			continue
		}
		some, ok := rulesIn(d)
		if !ok {
			return nil, nothing("YAML that describes no rules: want a title and a severity, a description or an id")
		}
		found = append(found, some...)
	}
	if len(found) == 0 {
		return nil, nothing("YAML without content")
	}
	examples := r.exampleSets(f)
	entries := make([]Entry, 0, len(found))
	base := r.ids[knowledge.KindRule].forPath(r.s.name, f.path)
	texts := append([]string{r.s.name}, pathTexts(f.path)...)
	for _, y := range found {
		one := &file{path: f.path, text: f.text}
		id, place := base, ""
		if len(found) > 1 {
			id = r.ids[knowledge.KindRule].free(makeID(append(texts, y.name())...))
			one.text, place = "", fmt.Sprintf("line %d", y.line)
		}
		d := r.ruleOf(one, y, id, examples)
		e := r.entry(one, d, place)
		e.Notes = one.notes
		entries = append(entries, e)
	}
	if len(found) == 1 {
		f.notes = append(f.notes, entries[0].Notes...)
		entries[0].Notes = nil
	}
	return entries, nil
}

func isMetadata(p string) bool {
	_, ok := examplesBeside(p)
	return ok
}

// A yamlRule is a rule as YAML has it.
type yamlRule struct {
	values map[string]any
	line   int
}

// rulesIn returns the rules of a YAML document.
func rulesIn(d yamlValue) ([]yamlRule, bool) {
	list, ok := d.value.([]any)
	if m, isMap := d.value.(map[string]any); isMap {
		if list, ok = m["rules"].([]any); !ok {
			list, ok = []any{m}, true
		}
	}
	if !ok || len(list) == 0 {
		return nil, false
	}
	lines := listLines(d)
	out := make([]yamlRule, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok || !describesRule(m) {
			return nil, false
		}
		out[i] = yamlRule{values: m, line: d.line}
		if i < len(lines) {
			out[i].line = lines[i]
		}
	}
	return out, true
}

// listLines returns the lines at which the entries of a document's list begin.
func listLines(d yamlValue) []int {
	n := d.node
	if len(n.Content) > 0 {
		n = n.Content[0]
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "rules" {
			n = n.Content[i+1]
			break
		}
	}
	lines := make([]int, 0, len(n.Content))
	for _, c := range n.Content {
		lines = append(lines, c.Line)
	}
	return lines
}

// describesRule tells the metadata of a rule from any other YAML.
func describesRule(m map[string]any) bool {
	if textOf(m["title"]) == "" && textOf(m["name"]) == "" && textOf(m["rule_id"]) == "" {
		return false
	}
	custom, _ := m["custom"].(map[string]any)
	_, known := severity(textOf(m["severity"]))
	_, below := severity(textOf(custom["severity"]))
	return known || below || textOf(m["rule_id"]) != "" || textOf(m["id"]) != "" && textOf(m["description"]) != ""
}

func (y *yamlRule) name() string {
	for _, key := range []string{"rule_id", "id", "title", "name"} {
		if s := textOf(y.values[key]); s != "" {
			return s
		}
	}
	return ""
}

// ruleOf makes a rule of its YAML. Keys without a field go into extra.
func (r *reader) ruleOf(f *file, y yamlRule, id string, examples []exampleSet) *knowledge.Rule {
	fm := &frontMatter{values: maps.Clone(y.values)}
	custom := &frontMatter{values: map[string]any{}}
	if m, ok := fm.values["custom"].(map[string]any); ok {
		custom.values = maps.Clone(m)
	}
	d := &knowledge.Rule{IsActive: true, RuleID: id}
	ident := orElse(textOf(custom.values["id"]), orElse(fm.peek("id"), fm.peek("rule_id")))
	if s := custom.peek("severity"); s != "" && !fm.has("severity") {
		if sev, ok := severity(s); ok {
			d.Severity = sev
		}
	}
	severityNow := d.Severity
	r.ruleFields(f, d, fm)
	d.Severity = orElse(d.Severity, severityNow)
	if b, ok := custom.values["deprecated"].(bool); ok && b || fm.peek("deprecated") == "true" {
		d.Status = knowledge.StatusDeprecated
	}
	title := plain(fm.text("title"))
	if title == "" {
		title = orElse(fm.peek("name"), orElse(ident, humanName(stem(f.path))))
	}
	text := trimBlankLines(fm.text("description"))
	if text == "" {
		text = described(f, "", title)
	}
	if action := orElse(custom.peek("recommended_action"), orElse(custom.peek("recommended_actions"), fm.peek("recommended_action"))); action != "" {
		text += "\n\n## Recommended action\n\n" + action
	}
	d.Title, d.Description = fitTitle(f, title, text, fm)
	d.Scope = knowledge.Scope{}
	for _, set := range examples {
		d.Examples = append(d.Examples, set.good...)
		d.AntiPatterns = append(d.AntiPatterns, set.bad...)
		if len(set.links) > 0 {
			links, _ := fm.values["example_links"].(map[string]any)
			if links == nil {
				links = map[string]any{}
			}
			links[set.name] = set.links
			fm.values["example_links"] = links
		}
	}
	r.common(f, &d.Common, fm, ident)
	return d
}

// An exampleSet is what a file of examples shows for one technology.
type exampleSet struct {
	name      string
	good, bad []knowledge.Example
	links     []any
}

// exampleSets reads the examples that stand beside a file of metadata.
func (r *reader) exampleSets(f *file) []exampleSet {
	p, ok := examplesBeside(f.path)
	if !ok || !r.paths[p] {
		return nil
	}
	sets, err := r.readExamples(p)
	if err != nil {
		f.note("its examples in %s were left out: %s", path.Base(p), err)
	}
	return sets
}

func (r *reader) readExamples(p string) ([]exampleSet, error) {
	data, err := r.s.tree.read(p)
	if err != nil {
		return nil, readError(err)
	}
	text, err := cleanText(data)
	if err != nil {
		return nil, err
	}
	text, _ = withoutSeparators(text)
	if why := knowledge.TextFault(text); why != "" {
		return nil, errors.New(why)
	}
	docs, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	var sets []exampleSet
	for _, d := range docs {
		m, ok := d.value.(map[string]any)
		if !ok {
			return nil, errors.New("want good and bad examples below the name of a technology")
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			of, ok := m[name].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("want good and bad examples below %q", name)
			}
			set := exampleSet{name: name, good: codeExamples(name, of["good"]), bad: codeExamples(name, of["bad"])}
			set.links, _ = of["links"].([]any)
			sets = append(sets, set)
		}
	}
	return sets, nil
}

func codeExamples(technology string, v any) []knowledge.Example {
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	var out []knowledge.Example
	for _, e := range list {
		code := ""
		switch e := e.(type) {
		case string:
			code = strings.Trim(e, "\n")
		case nil:
		default:
			if b, err := json.MarshalIndent(e, "", "  "); err == nil {
				code = string(b)
			}
		}
		if code != "" {
			out = append(out, knowledge.Example{Title: humanName(technology), Language: languageOf(technology, code), Code: code})
		}
	}
	return out
}

// languageOf returns the language in which a technology is configured.
func languageOf(technology, code string) string {
	switch technology {
	case "terraform":
		return "hcl"
	case "cloudformation", "kubernetes", "helm", "azure-arm":
		if strings.HasPrefix(strings.TrimSpace(code), "{") {
			return "json"
		}
		return "yaml"
	}
	return strings.ToLower(technology)
}
