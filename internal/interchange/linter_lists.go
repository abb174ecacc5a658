package interchange

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
)

// publishedRules reads the list that a linter prints of its own rules: `ruff rule --all --output-format json`, and
// Clippy's lints.json. False for any other list.
func publishedRules(list []any, n *yaml.Node) ([]foundRule, bool) {
	if len(list) == 0 {
		return nil, false
	}
	first, _ := list[0].(map[string]any)
	read := ruffRule
	switch {
	case pick(first, "code") != "" && pick(first, "linter") != "" && first["explanation"] != nil:
	case pick(first, "id") != "" && pick(first, "group") != "" && pick(first, "level") != "" && first["docs"] != nil:
		read = clippyLint
	default:
		return nil, false
	}
	var out []foundRule
	for i, v := range list {
		m, _ := v.(map[string]any)
		y := read(m)
		y.line, y.listed = lineOf(n, i), true
		if y.ident == "" || y.text == "" {
			y.err = fmt.Errorf("%s has no name or no text, as the others of the list have", y.called())
		}
		out = append(out, y)
	}
	return out, true
}

func ruffRule(m map[string]any) foundRule {
	y := foundRule{values: maps.Clone(m), ident: pick(m, "code"), languages: []string{"python"}}
	y.title = cmp.Or(y.take("summary"), humanName(pick(m, "name")))
	y.text = cmp.Or(strings.TrimSpace(y.take("explanation")), y.title)
	y.tags = listOf(m["linter"])
	status, _ := m["status"].(map[string]any)
	y.off = status["Removed"] != nil
	if status["Deprecated"] != nil {
		y.values["deprecated"] = true
	}
	return y
}

func clippyLint(m map[string]any) foundRule {
	y := foundRule{values: maps.Clone(m), languages: []string{"rust"}, tags: listOf(m["group"])}
	if id := pick(m, "id"); id != "" {
		y.ident, y.title = "clippy::"+id, id // as Cargo.toml has it
	}
	y.text = strings.TrimSpace(y.take("docs"))
	y.severity, y.off = lintLevel(pick(m, "level"))
	return y
}

// lintLevel returns the severity that a level of Rust's lints means, and whether it switches the lint off.
func lintLevel(level string) (string, bool) {
	switch level {
	case "deny", "forbid":
		return "error", false
	case "warn":
		return level, false
	}
	return "", true
}

// A lister is a tool whose settings list the names of what is on and off.
type lister struct {
	tool, language string
	inside         []string    // where the settings are, from the outermost key
	lists          [][2]string // key, severity; "off" for what is switched off
	settings       []string    // where the names have settings of their own
	sets           bool        // a name may stand for all that begin with it
}

// listerOf returns the tool whose settings a file holds; nil for none.
func listerOf(p string, m map[string]any) *lister {
	base := strings.ToLower(path.Base(p))
	ruff := [][2]string{
		{"lint.select", ""},
		{"lint.extend-select", ""},
		{"lint.ignore", "off"},
		{"lint.extend-ignore", "off"},
		{"select", ""},
		{"extend-select", ""},
		{"ignore", "off"},
		{"extend-ignore", "off"},
	}
	switch {
	case strings.Contains(base, "golangci"):
		return &lister{
			tool: "golangci-lint", language: "go",
			lists: [][2]string{
				{"linters.enable", ""}, {"formatters.enable", ""}, {"linters.disable", "off"},
			},
			settings: []string{"linters.settings", "linters-settings", "formatters.settings"},
		}
	case strings.Contains(base, "hadolint"):
		return &lister{tool: "hadolint", language: "dockerfile", lists: [][2]string{
			{"override.error", "error"},
			{"override.warning", "warning"},
			{"override.info", "info"},
			{"override.style", "style"},
			{"ignored", "off"},
		}}
	case base == "ruff.toml" || base == ".ruff.toml":
		return &lister{tool: "Ruff", language: "python", lists: ruff, sets: true}
	case base == "pyproject.toml" && dig(m, "tool.ruff") != nil:
		return &lister{tool: "Ruff", language: "python", inside: []string{"tool", "ruff"}, lists: ruff, sets: true}
	case base == "analysis_options.yaml":
		return &lister{tool: "Dart", language: "dart", lists: [][2]string{{"linter.rules", ""}}}
	case strings.Contains(base, "swiftlint"):
		return &lister{tool: "SwiftLint", language: "swift", lists: [][2]string{
			{"only_rules", ""},
			{"whitelist_rules", ""},
			{"opt_in_rules", ""},
			{"analyzer_rules", ""},
			{"disabled_rules", "off"},
		}}
	}
	return nil
}

// listedLinters reads the settings of tools that list the names of what is on and off.
func listedLinters(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	l := listerOf(f.path, m)
	if l == nil {
		return nil, false
	}
	for _, key := range l.inside {
		m, _ = m[key].(map[string]any)
		n = childNode(n, key)
	}
	left := maps.Clone(m)
	var out []foundRule
	named := map[string]bool{}
	for _, list := range l.lists {
		first, _, _ := strings.Cut(list[0], ".")
		delete(left, first)
		for _, y := range l.listed(m, n, list[0], list[1]) {
			if y.ident == "" {
				y.err = fmt.Errorf("an entry of %s is no name", list[0])
			}
			if named[y.ident] && y.err == nil { // in two lists, of which the first counts
				f.note("line %d: %s stands in %s too: passed over", y.line, shortQuote(y.ident), list[0])
				continue
			}
			named[y.ident] = true
			out = append(out, y)
		}
	}
	out = append(out, l.configured(m, n, left, named)...)
	if len(out) > 0 {
		l.noteRest(f, m, left)
	}
	return out, len(out) > 0
}

// listed returns the rules of one list of names, or of a map that says of each whether it is on.
func (l *lister) listed(m map[string]any, n *yaml.Node, key, severity string) []foundRule {
	for part := range strings.SplitSeq(key, ".") {
		n = childNode(n, part)
	}
	var out []foundRule
	switch names := dig(m, key).(type) {
	case []any:
		for i, v := range names {
			y := l.rule(m, textOf(v), severity)
			y.line = lineOf(n, i)
			out = append(out, y)
		}
	case map[string]any:
		for _, name := range keysInOrder(names, n) {
			y := l.rule(m, name, severity)
			y.line, y.off = keyLineOf(n, name), names[name] == false
			out = append(out, y)
		}
	}
	return out
}

// rule returns the rule of one name that is listed.
func (l *lister) rule(m map[string]any, name, severity string) foundRule {
	y := foundRule{
		values: map[string]any{"tool": l.tool}, listed: true, ident: name, title: name, languages: []string{l.language},
		severity: severity, notes: []string{standsForIt},
	}
	if severity == "off" {
		y.severity, y.off = "", true
	}
	var settings map[string]any
	for _, key := range append(l.settings, "") {
		if v, ok := dig(m, strings.TrimPrefix(key+"."+name, ".")).(map[string]any); ok {
			settings = v
		}
	}
	y.text = settingsText(l.tool, name, settings)
	if l.sets && !oneRuffRule().MatchString(name) && name != "" {
		y.title = l.tool + "'s rules " + name
		y.text = fmt.Sprintf("%s's rules whose codes begin with %s.", l.tool, name)
		if name == "ALL" {
			y.text = "All rules of " + l.tool + "."
		}
	}
	return y
}

var oneRuffRule = compiled(`^[A-Z]+[0-9]{3,}$`)

// configured returns the rules that are in no list and have settings, and takes those out of what is left.
func (l *lister) configured(m map[string]any, n *yaml.Node, left map[string]any, named map[string]bool) []foundRule {
	var out []foundRule
	add := func(name string, line int) {
		if !named[name] {
			y := l.rule(m, name, "")
			y.line = line
			out = append(out, y)
		}
	}
	for _, key := range l.settings {
		of, _ := dig(m, key).(map[string]any)
		at := n
		for part := range strings.SplitSeq(key, ".") {
			at = childNode(at, part)
		}
		first, _, _ := strings.Cut(key, ".")
		delete(left, first)
		for _, name := range keysInOrder(of, at) {
			if name != "custom" { // plugins, which are programs
				add(name, keyLineOf(at, name))
			}
		}
	}
	if l.tool != "SwiftLint" {
		return out
	}
	custom, _ := m["custom_rules"].(map[string]any)
	at := childNode(n, "custom_rules")
	for _, name := range keysInOrder(custom, at) {
		y := switched(l.tool, name, custom[name])
		y.line, y.listed = keyLineOf(at, name), true
		out = append(out, y)
	}
	delete(left, "custom_rules")
	for _, name := range keysInOrder(m, n) { // what else stands there is a rule with its settings, or holds for all
		if _, is := left[name]; is && !slices.Contains(swiftLintsOwn(), name) {
			y := l.rule(m, name, "")
			y.line, y.text = keyLineOf(n, name), settingsText(l.tool, name, map[string]any{"setting": m[name]})
			if !named[name] {
				out = append(out, y)
			}
			delete(left, name)
		}
	}
	return out
}

// swiftLintsOwn returns those keys of SwiftLint's settings that are no rules.
func swiftLintsOwn() []string {
	return []string{
		"included", "excluded", "strict", "lenient", "reporter", "baseline", "write_baseline", "check_for_updates",
		"allow_zero_lintable_files", "warning_threshold", "cache_path", "swiftlint_version", "parent_config",
		"child_config", "indentation", "disabled_rules", "opt_in_rules",
	}
}

// noteRest names what the settings say besides, so that nobody takes what was read for all of it.
func (l *lister) noteRest(f *file, m, left map[string]any) {
	if names := slices.Sorted(maps.Keys(left)); len(names) > 0 {
		f.note("%s: no rules, and passed over", shortQuote(strings.Join(names, ", ")))
	}
	for _, key := range []string{
		"linters.default", "linters.presets", "linters.enable-all", "linters.exclusions", "lint.per-file-ignores",
	} {
		if v := dig(m, key); v != nil && v != false && v != "none" {
			f.note("%s says more than the names that are listed, and is not read", key)
		}
	}
}

// packageSettings reads the settings of ESLint and stylelint within a package.json.
func packageSettings(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	if path.Base(f.path) != "package.json" {
		return nil, false
	}
	var out []foundRule
	for _, in := range [][2]string{{"eslintConfig", "eslint.json"}, {"stylelint", "stylelint.json"}} {
		part, _ := m[in[0]].(map[string]any)
		of := &file{path: in[1]}
		found, _ := switchedRules(of, part, childNode(n, in[0]))
		out = append(out, found...)
		f.notes = append(f.notes, of.notes...)
	}
	return out, len(out) > 0
}

// biomeRules reads the rules of Biome's settings, which stand in groups.
func biomeRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	groups, _ := dig(m, "linter.rules").(map[string]any)
	at := childNode(childNode(n, "linter"), "rules")
	var out []foundRule
	for _, group := range keysInOrder(groups, at) {
		rules, ok := groups[group].(map[string]any)
		if !ok {
			f.note("line %d: %s is set for all rules, and is none: passed over", keyLineOf(at, group),
				shortQuote(group))
			continue
		}
		below := childNode(at, group)
		for _, name := range keysInOrder(rules, below) {
			y := switched("Biome", group+"/"+name, rules[name])
			y.line, y.listed = keyLineOf(below, name), true
			out = append(out, y)
		}
	}
	return out, len(out) > 0
}

var (
	iniSection = compiled(`^\[(.*)\]$`)
	diagnostic = compiled(`^dotnet_diagnostic\.([\w.-]+)\.severity$`)
)

// editorConfig reads the severities that an .editorconfig or a .globalconfig gives to .NET's analyzers.
func editorConfig(f *file) ([]foundRule, error) {
	var found []foundRule
	var where string
	number, others := 0, 0
	for line := range strings.Lines(f.text) {
		number++
		line = strings.TrimSpace(line)
		if m := iniSection().FindStringSubmatch(line); m != nil {
			where = m[1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		m := diagnostic().FindStringSubmatch(strings.TrimSpace(key))
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if m == nil {
			others++
			continue
		}
		found = append(found, analyzerSetting(m[1], strings.ToLower(strings.TrimSpace(value)), where, number))
	}
	if len(found) == 0 {
		return nil, nothing("settings of editors, and no list of rules: want dotnet_diagnostic.ID.severity")
	}
	if others > 0 {
		f.note("%s: passed over", knowledge.Count(others, "other setting is no rule", "other settings are no rules"))
	}
	return found, nil
}

// analyzerSetting returns the rule of one analyzer, which may stand there once for each pattern of files.
func analyzerSetting(id, level, where string, line int) foundRule {
	y := foundRule{
		values: map[string]any{"tool": ".NET", "severity": level}, line: line, listed: true, ident: id, title: id,
		languages: []string{"csharp"}, severity: level,
	}
	switch level {
	case "none":
		y.severity, y.off = "", true
	case "silent", "suggestion":
		y.severity = "info"
	case "default":
		y.severity = ""
	}
	if where != "" && where != "*" {
		y.ident += " (" + where + ")"
		y.globs = patternsOf(where, "", true)
	}
	y.standIn(".NET", id, nil)
	return y
}
