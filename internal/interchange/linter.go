package interchange

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

// A foundRule is a rule as read from a file, before it becomes a document.
type foundRule struct {
	values map[string]any // everything that stood there
	used   []string       // its keys that have a field of their own
	line   int
	place  string // where it stands, for a file without lines of its own
	listed bool   // it stands in a list or a map of rules
	ident  string
	title  string
	text   string
	action string // what to do about it

	severity    string // the tool's word
	enforcement string
	category    string
	tags        []string
	languages   []string
	globs       []string
	off         bool   // the tool has it switched off
	activation  string // when it holds where no pattern says so; "" for the usual
	good, bad   []knowledge.Example
	notes       []string
	err         error // why it is no rule
}

// entryName returns what names the rule in its file.
func (y *foundRule) entryName() string { return cmp.Or(y.ident, y.title) }

// pick returns the first of several keys that says something; "a.b" is b below a.
func pick(m map[string]any, keys ...string) string {
	for _, key := range keys {
		if s := textOf(dig(m, key)); s != "" {
			return s
		}
	}
	return ""
}

func dig(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	first, rest, ok := strings.Cut(key, ".")
	if !ok {
		return nil
	}
	below, _ := m[first].(map[string]any)
	if below == nil {
		return nil
	}
	return dig(below, rest)
}

// take is pick of top-level keys, and notes the one that it found as used.
func (y *foundRule) take(keys ...string) string {
	for _, key := range keys {
		if s := textOf(y.values[key]); s != "" {
			y.used = append(y.used, key)
			return s
		}
	}
	return ""
}

// Keys that tools have for the same thing, in the order in which they count.
func identKeys() []string { return []string{"rule_id", "id", "key", "code"} }

func textKeys() []string {
	return []string{"description", "message", "msg", "desc", "mdDesc", "htmlDesc", "summary", "details", "rule"}
}

// genericRule reads a rule by the keys that most tools share.
func genericRule(m map[string]any, line int) foundRule {
	y := foundRule{values: m, line: line}
	y.ident = orElse(pick(m, "custom.id"), pick(m, "id", "rule_id", "key", "code"))
	y.title = y.take("title")
	if y.title == "" {
		y.title = pick(m, "name")
	}
	y.text = y.take(textKeys()...)
	y.severity = pick(m, "severity", "level", "custom.severity", "metadata.severity")
	y.action = pick(m, "custom.recommended_action", "custom.recommended_actions", "recommended_action", "remediation",
		"note")
	y.category = pick(m, "metadata.category")
	y.off = strings.EqualFold(y.severity, "off") || m["enabled"] == false || m["Enabled"] == false
	if y.off && strings.EqualFold(y.severity, "off") {
		y.severity = ""
	}
	y.languages = languagesOf(slices.Concat(listOf(m["languages"]), listOf(m["language"]), listOf(m["lang"])))
	y.tags = listOf(m["sysTags"])
	y.globs = append(reaching(dig(m, "paths.include"), ""), patternsOf(m["files"], "", false)...)
	y.globs = append(y.globs, patternsOf(m["globs"], "", false)...)
	y.globs = append(y.globs, append(reaching(dig(m, "paths.exclude"), "!"),
		patternsOf(m["ignores"], "!", false)...)...)
	if y.title == "" && y.text == "" {
		y.err = y.nothingSaid()
	}
	// Continue's rules hold unless they say otherwise
	if _, sentence := m["rule"].(string); sentence && len(y.globs) == 0 {
		y.activation = always
		if m["alwaysApply"] == false {
			y.activation = model
		}
	}
	// ast-grep needs no message
	if rule, ok := m["rule"].(map[string]any); ok && y.ident != "" && len(rule) > 0 && y.err != nil {
		y.text, y.err = "No code like this pattern.", nil
		y.bad = codeExamples(pick(m, "language"), pick(rule, "pattern"))
	}
	return y
}

// nothingSaid is the fault of a rule that says nothing.
func (y *foundRule) nothingSaid() error {
	return fmt.Errorf("%s has neither a title nor a description or message", y.called())
}

// called names a rule for a person.
func (y *foundRule) called() string {
	if name := y.entryName(); name != "" {
		return "rule " + shortQuote(name)
	}
	return "an entry of the list"
}

// describesRule tells the description of a rule from any other YAML.
func describesRule(m map[string]any) bool {
	ident, label, text := pick(m, identKeys()...), pick(m, "title", "name"), pick(m, textKeys()...)
	_, known := severity(pick(m, "severity", "level", "custom.severity"))
	_, isASTGrep := m["rule"].(map[string]any)
	sentence, _ := m["rule"].(string) // a rule of Continue is one
	switch {
	case label != "" && strings.ContainsAny(sentence, " \n"):
		return true
	case textOf(m["rule_id"]) != "":
		return true
	case isASTGrep && textOf(m["id"]) != "" && textOf(m["language"]) != "":
		return true
	case label != "":
		return known || textOf(m["id"]) != "" && text != ""
	case ident != "":
		finds := m["languages"] != nil || m["language"] != nil || m["pattern"] != nil || m["regex"] != nil
		return text != "" && (known || strings.EqualFold(pick(m, "severity"), "off") || finds)
	}
	return false
}

// halfRule reports whether an entry was meant to be a rule.
func halfRule(m map[string]any) bool {
	_, known := severity(pick(m, "severity", "level"))
	return pick(m, identKeys()...) != "" || known || pick(m, "title", "name") != "" && pick(m, textKeys()...) != ""
}

// languagesOf returns the languages of a rule, as others spell them.
func languagesOf(list []string) []string {
	other := map[string]string{
		"js": "javascript", "ts": "typescript", "py": "python", "python3": "python", "rb": "ruby", "rs": "rust",
		"golang": "go", "cs": "csharp",
		"c#": "csharp", "kt": "kotlin", "sh": "bash", "c++": "cpp", "yml": "yaml", "ex": "elixir",
	}
	var out []string
	for _, l := range list {
		l = strings.ToLower(l)
		if o, ok := other[l]; ok {
			l = o
		}
		if l != "" && l != "generic" && l != "regex" && l != "none" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// patternsOf returns path patterns as tenet has them, each behind a prefix.
func patternsOf(v any, prefix string, bare bool) []string {
	var out []string
	list, ok := v.([]any)
	if s, isText := v.(string); isText && s != "" {
		list, ok = []any{s}, true
	}
	if !ok {
		return nil
	}
	for _, e := range list {
		if g := textOf(e); g != "" {
			out = append(out, prefix+anchored(strings.TrimPrefix(g, "!"), bare, ""))
		}
	}
	return out
}

// reaching returns path patterns as semgrep has them, each behind a prefix: one that names a folder is for all that
// lies in it. What is excluded is so at any depth; what is included and has a slash in it is anchored, which is
// narrower.
func reaching(v any, prefix string) []string {
	var out []string
	for _, g := range patternsOf(v, "", false) {
		g, isAnchored := strings.CutPrefix(strings.TrimPrefix(g, "."), "/")
		g, folder := strings.CutSuffix(g, "/")
		if !isAnchored && (prefix != "" || !strings.Contains(g, "/")) {
			g = "**/" + strings.TrimPrefix(g, "**/")
		}
		if !folder {
			out = append(out, prefix+g)
		}
		if last := path.Base(g); folder || last != "**" && !strings.HasPrefix(last, "*.") {
			out = append(out, prefix+g+"/**")
		}
	}
	return out
}

// scope says for which files a rule holds: excludes alone are of everything.
func (y *foundRule) scope(f *file) knowledge.Scope {
	s := knowledge.Scope{Languages: y.languages, Activation: y.activation}
	folder, whole := settingsFolder(f.path), "**"
	if folder != "" {
		whole = globEscape(folder) + "/**"
	}
	for _, g := range y.globs {
		if folder != "" {
			g = anchored(g, false, folder)
		}
		if _, err := knowledge.ParseGlob(g); err != nil {
			f.note("the pattern %q is left out: %s", shortQuote(g), err)
		} else if !slices.Contains(s.Globs, g) {
			s.Globs = append(s.Globs, g)
		}
	}
	switch {
	case len(s.Globs) > 0:
		s.Activation = glob
		if !slices.ContainsFunc(s.Globs, func(g string) bool { return !strings.HasPrefix(g, "!") }) {
			s.Globs = append([]string{whole}, s.Globs...)
		}
	case folder != "":
		s.Activation, s.Globs = orElse(s.Activation, model), []string{whole}
	}
	return s
}

// grade fills in how grave a rule is and how strictly it holds. The tool's word stays in extra where it is another one.
func (y *foundRule) grade(f *file, d *knowledge.Rule, fm *frontMatter) {
	if y.severity != "" {
		sev, ok := severity(y.severity)
		if !ok {
			f.note("severity %q is none that is known: WARNING instead", shortQuote(y.severity))
		}
		d.Severity = sev
		if fm.peek("severity") == sev && sev != "" {
			delete(fm.values, "severity")
		}
	}
	if s := strings.ToLower(orElse(y.enforcement, fm.peek("enforcement"))); slices.Contains(knowledge.Enforcements(),
		s) {
		d.Enforcement = s
		if strings.EqualFold(fm.peek("enforcement"), s) {
			delete(fm.values, "enforcement")
		}
	}
	if n, err := strconv.ParseInt(fm.peek("priority"), 10, 64); err == nil && n >= -knowledge.MaxPriority &&
		n <= knowledge.MaxPriority {
		d.Priority = n
		delete(fm.values, "priority")
	}
	if s := strings.ToUpper(fm.peek("status")); slices.Contains(knowledge.RuleStatuses(), s) {
		d.Status = s
		delete(fm.values, "status")
	}
	if b, ok := dig(fm.values, "custom.deprecated").(bool); ok && b || fm.peek("deprecated") == "true" {
		d.Status = knowledge.StatusDeprecated
	}
}

// rulesIn returns the rules of a YAML document; false for one that describes none.
func rulesIn(f *file, d yamlValue) ([]foundRule, bool) {
	n := contentNode(d.node)
	switch v := d.value.(type) {
	case []any:
		if falcoList(v) {
			return falcoRules(f, v, n), true
		}
		if some, ok := publishedRules(v, n); ok {
			return some, true
		}
		return listedRules(f, v, n)
	case map[string]any:
		for _, read := range []func(*file, map[string]any, *yaml.Node) ([]foundRule, bool){
			policyRules, nucleiRules, checkovRules, valeRules, listedLinters, packageSettings, pathInstructions,
			cargoLints,
			biomeRules, switchedRules, copRules, detektRules,
		} {
			if some, ok := read(f, v, n); ok {
				return some, true
			}
		}
		for _, key := range []string{"rules", "policies", "checks", "guidelines", "standards", "controls"} {
			if list, ok := v[key].([]any); ok && (key == "rules" || graded(list)) {
				return listedRules(f, list, childNode(n, key))
			}
		}
		if describesRule(v) {
			return []foundRule{genericRule(v, d.line)}, true
		}
		if rules, ok := v["rules"].(map[string]any); ok {
			return namedRules(f, rules, childNode(n, "rules"), true)
		}
		return namedRules(f, v, n, false)
	}
	return nil, false
}

// listedRules reads a list of which at least one entry is a rule: then every entry is meant to be one.
func listedRules(_ *file, list []any, n *yaml.Node) ([]foundRule, bool) {
	if !slices.ContainsFunc(list, func(v any) bool { m, ok := v.(map[string]any); return ok && describesRule(m) }) {
		return nil, false
	}
	out := make([]foundRule, 0, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		y := foundRule{err: errors.New("an entry of the list is no rule: want a title and a description")}
		if ok {
			y = genericRule(m, 0)
			if y.err == nil && !describesRule(m) && !halfRule(m) {
				y.err = errors.New("an entry of the list is no rule: want a title and a severity, a description " +
					"or an id")
			}
		}
		y.line, y.listed = lineOf(n, i), true
		out = append(out, y)
	}
	return out, true
}

// graded reports whether an entry of a list has a severity and something to say, as rules have: lists of other things
// have names and descriptions too.
func graded(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		_, known := severity(pick(m, "severity", "level", "custom.severity"))
		return known && describesRule(m)
	})
}

// namedRules reads a map from ids to rules. At least one of them has a severity and something to say: then every entry
// is meant to be one, but for settings that stand beside them if the map holds more than rules (all is false).
func namedRules(f *file, m map[string]any, n *yaml.Node, all bool) ([]foundRule, bool) {
	if !slices.ContainsFunc(slices.Collect(maps.Values(m)), func(v any) bool {
		one, _ := v.(map[string]any)
		_, known := severity(pick(one, "severity", "level"))
		return known && pick(one, append(textKeys(), "title", "name")...) != ""
	}) {
		return nil, false
	}
	var out []foundRule
	for _, name := range keysInOrder(m, n) {
		one, ok := m[name].(map[string]any)
		ok = ok || m[name] == nil
		if !all && (!ok || besideRules(name)) {
			f.note("line %d: %s is no rule: passed over", keyLineOf(n, name), shortQuote(name))
			continue
		}
		y := genericRule(one, keyLineOf(n, name))
		y.listed = true
		if !ok {
			y.ident, y.err = name, fmt.Errorf("%s is no rule: want a title and a description", shortQuote(name))
		}
		if y.ident == "" {
			y.ident = name
			if y.err != nil {
				y.err = y.nothingSaid()
			} else {
				y.title = cmp.Or(y.title, name)
			}
		}
		out = append(out, y)
	}
	return out, true
}

// besideRules reports whether a key beside rules names settings for all of them.
func besideRules(name string) bool {
	return strings.HasPrefix(name, "x-") || strings.HasPrefix(name, ".") || slices.Contains([]string{
		"common", "config", "default", "defaults", "globals", "info", "meta", "metadata", "options", "settings", "variables",
	}, strings.ToLower(name))
}

// contentNode returns what a document's node holds.
func contentNode(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	return n
}

// childNode returns the node below a key of a mapping; nil for none.
func childNode(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// lineOf returns the line of entry i of a list.
func lineOf(n *yaml.Node, i int) int {
	return firstLine(entryNode(n, i))
}

// entryNode returns the node of entry i of a list; nil for none.
func entryNode(n *yaml.Node, i int) *yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}

// keyLineOf returns the line of a key of a mapping.
func keyLineOf(n *yaml.Node, key string) int {
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i].Line
			}
		}
	}
	return 1
}

// keysInOrder returns the keys of a mapping in the order of the file.
func keysInOrder(m map[string]any, n *yaml.Node) []string {
	var out []string
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			out = append(out, n.Content[i].Value)
		}
	}
	if len(out) != len(m) {
		return slices.Sorted(maps.Keys(m))
	}
	return out
}
