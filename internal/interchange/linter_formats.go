package interchange

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// falcoList reports whether a list is one of Falco's rules, macros and lists.
func falcoList(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool {
		m, ok := v.(map[string]any)
		return ok && textOf(m["rule"]) != "" && (m["condition"] != nil || m["desc"] != nil || m["enabled"] != nil)
	})
}

func falcoRules(f *file, list []any, n *yaml.Node) []foundRule {
	var out []foundRule
	others := 0
	for i, v := range list {
		m, _ := v.(map[string]any)
		name := textOf(m["rule"])
		if name == "" && m != nil && (m["macro"] != nil || m["list"] != nil || m["required_engine_version"] != nil || m["required_plugin_versions"] != nil) ||
			name != "" && (m["append"] == true || m["override"] != nil) {
			others++
			continue
		}
		y := foundRule{values: m, line: lineOf(n, i), listed: true, ident: name, title: name, severity: pick(m, "priority")}
		y.text, y.off = y.take("desc"), m["enabled"] == false
		y.used = append(y.used, "rule")
		if name == "" || y.text == "" {
			y.err = fmt.Errorf("%s has no desc", y.called())
		}
		out = append(out, y)
	}
	if others > 0 {
		f.note("%d macros, lists and additions are no rules: passed over", others)
	}
	return out
}

// policyRules reads a policy of Kubernetes: Kyverno's, Gatekeeper's, or one of its own.
func policyRules(_ *file, m map[string]any, _ *yaml.Node) ([]foundRule, bool) {
	kind, name := pick(m, "kind"), pick(m, "metadata.name")
	if pick(m, "apiVersion") == "" || name == "" || !slices.Contains([]string{
		"ClusterPolicy", "Policy", "ValidatingPolicy", "MutatingPolicy", "ClusterCleanupPolicy", "CleanupPolicy", "ConstraintTemplate",
		"ValidatingAdmissionPolicy",
	}, kind) {
		return nil, false
	}
	notes, _ := dig(m, "metadata.annotations").(map[string]any)
	label := func(word string) string {
		return cmp.Or(textOf(notes["policies.kyverno.io/"+word]), textOf(notes["metadata.gatekeeper.sh/"+word]), textOf(notes[word]))
	}
	y := foundRule{
		values: m, line: 1, ident: name, title: cmp.Or(label("title"), humanName(name)), text: label("description"),
		severity: label("severity"), category: label("category"), tags: listOf(label("subject")),
	}
	rules, _ := dig(m, "spec.rules").([]any)
	var messages []string
	for _, v := range rules {
		one, _ := v.(map[string]any)
		if s := pick(one, "validate.message"); s != "" {
			messages = append(messages, "- "+s)
		}
	}
	if y.text == "" {
		y.text = strings.Join(messages, "\n")
	}
	switch strings.ToLower(pick(m, "spec.validationFailureAction", "spec.enforcementAction")) {
	case "enforce", "deny":
		y.enforcement = "mandatory"
	case "audit", "warn", "dryrun":
		y.enforcement = "recommended"
	}
	if y.text == "" {
		y.text = cmp.Or(pick(m, "spec.crd.spec.names.kind"), "The policy "+name+" holds.")
	}
	return []foundRule{y}, true
}

// nucleiRules reads a template of nuclei.
func nucleiRules(_ *file, m map[string]any, _ *yaml.Node) ([]foundRule, bool) {
	info, ok := m["info"].(map[string]any)
	if !ok || pick(m, "id") == "" || pick(info, "name") == "" || pick(info, "severity", "author") == "" {
		return nil, false
	}
	y := foundRule{
		values: m, line: 1, ident: pick(m, "id"), title: pick(info, "name"), text: pick(info, "description"), severity: pick(info, "severity"),
		action: pick(info, "remediation"), tags: listOf(info["tags"]),
	}
	if strings.EqualFold(y.severity, "unknown") {
		y.severity = ""
	}
	return []foundRule{y}, true
}

// valeRules reads a rule of Vale, which is called like its file.
func valeRules(f *file, m map[string]any, _ *yaml.Node) ([]foundRule, bool) {
	if !slices.Contains([]string{
		"existence", "substitution", "occurrence", "repetition", "consistency", "conditional", "capitalization", "metric", "spelling",
		"sequence", "script",
	}, pick(m, "extends")) || pick(m, "message") == "" {
		return nil, false
	}
	y := foundRule{values: m, line: 1, title: valeTitle(f.path), severity: pick(m, "level")}
	y.text = y.take("message")
	return []foundRule{y}, true
}

func valeTitle(p string) string {
	name := stem(p)
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return humanName(b.String())
}

// switchedRules reads a map from names to settings below "rules", as ESLint, stylelint and Spectral have it.
func switchedRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	rules, ok := m["rules"].(map[string]any)
	if !ok || len(rules) == 0 {
		rules, ok = m["custom_rules"].(map[string]any) // SwiftLint
		n = childNode(n, "custom_rules")
	} else {
		n = childNode(n, "rules")
	}
	if !ok || len(rules) == 0 {
		return nil, false
	}
	tool, known := toolOf(f.path, m)
	if !known && !slices.ContainsFunc(slices.Collect(maps.Values(rules)), func(v any) bool { return isSwitch(v) }) {
		return nil, false
	}
	var out []foundRule
	for _, name := range keysInOrder(rules, n) {
		y := switched(tool, name, rules[name])
		y.line, y.listed = keyLineOf(n, name), true
		out = append(out, y)
	}
	return out, true
}

// toolOf names the linter whose settings a file holds, by its name.
func toolOf(p string, m map[string]any) (string, bool) {
	base := strings.ToLower(path.Base(p))
	switch {
	case strings.Contains(base, "eslint"):
		return "ESLint", true
	case strings.Contains(base, "stylelint"):
		return "stylelint", true
	case strings.Contains(base, "spectral"):
		return "Spectral", true
	case strings.Contains(base, "tslint"):
		return "TSLint", true
	case strings.Contains(base, "swiftlint") || m["custom_rules"] != nil:
		return "SwiftLint", true
	}
	return "The linter", false
}

// isSwitch reports whether a value is what a linter's settings have behind a rule's name.
func isSwitch(v any) bool {
	switch v := v.(type) {
	case string:
		_, ok := severity(v)
		return ok || strings.EqualFold(v, "off")
	case []any:
		return len(v) > 0 && isSwitch(v[0])
	case map[string]any:
		return v["given"] != nil && v["then"] != nil
	}
	return false
}

// switched reads one name of a linter's settings.
func switched(tool, name string, v any) foundRule {
	y := foundRule{values: map[string]any{"setting": v, "tool": tool}, ident: name, title: name}
	level, options := v, any(nil)
	switch v := v.(type) {
	case []any:
		if len(v) > 0 {
			level = v[0]
			if len(v) > 1 {
				options = v[1:]
			}
		}
	case map[string]any:
		y.values = maps.Clone(v)
		y.values["tool"] = tool
		y.text = y.take("description", "message")
		y.title = cmp.Or(y.take("name"), name)
		y.action = pick(v, "message")
		if y.action == y.text {
			y.action = ""
		}
		level = v["severity"]
		if v["recommended"] == false || v["enabled"] == false {
			y.off = true
		}
	}
	y.severity, y.off = levelOf(tool, level, y.off)
	if y.text == "" {
		y.text = fmt.Sprintf("%s's rule %s is set to %s.", tool, name, cmp.Or(y.severity, offWord(y.off)))
		if b, err := json.MarshalIndent(options, "", "  "); err == nil && options != nil {
			y.text += "\n\n```json\n" + string(b) + "\n```"
		}
		y.notes = append(y.notes, "no description: what it is set to stands for it")
	}
	return y
}

func offWord(off bool) string {
	if off {
		return "off"
	}
	return "on"
}

// levelOf returns the word for a level, which tools also write as a number, and whether it switches the rule off.
func levelOf(tool string, v any, off bool) (string, bool) {
	switch v := v.(type) {
	case string:
		if l := strings.ToLower(v); l == "off" || l == "none" || l == "never" {
			return "", true
		}
		if _, ok := severity(v); ok {
			return v, off
		}
	case bool:
		return "", off || !v
	case nil:
		return "", off
	case json.Number:
		words := []string{"off", "warning", "error"}
		if tool == "Spectral" {
			words = []string{"error", "warning", "info", "hint"}
		}
		i, err := v.Int64()
		switch {
		case err != nil || i < 0 || int(i) >= len(words):
		case words[i] == "off":
			return "", true
		default:
			return words[i], off
		}
	}
	return "", off
}

var copName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(?:/[A-Z][A-Za-z0-9]*)+$`)

// copRules reads RuboCop's map from names such as Layout/LineLength to settings.
func copRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	if !slices.ContainsFunc(slices.Collect(maps.Keys(m)), func(k string) bool {
		_, ok := m[k].(map[string]any)
		return ok && copName.MatchString(k)
	}) {
		return nil, false
	}
	var out []foundRule
	for _, name := range keysInOrder(m, n) {
		line := keyLineOf(n, name)
		if !copName.MatchString(name) {
			f.note("line %d: %s holds for all rules and is none: passed over", line, shortQuote(name))
			continue
		}
		out = append(out, cop(name, m[name], line))
	}
	return out, true
}

func cop(name string, v any, line int) foundRule {
	values, ok := v.(map[string]any)
	y := foundRule{values: maps.Clone(values), line: line, listed: true, ident: name, title: name}
	if !ok {
		y.err = fmt.Errorf("%s: want settings below its name", y.called())
		return y
	}
	y.text = y.take("Description")
	y.severity = pick(values, "Severity")
	y.off = values["Enabled"] == false || pick(values, "Enabled") == "pending"
	y.globs = append(patternsOf(values["Include"], "", false), patternsOf(values["Exclude"], "!", false)...)
	y.languages = []string{"ruby"}
	if y.text == "" {
		var set []string
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if b, err := json.Marshal(values[k]); err == nil {
				set = append(set, "- "+k+": "+string(b))
			}
		}
		y.text = fmt.Sprintf("RuboCop's %s is set:\n\n%s", name, strings.Join(set, "\n"))
		y.notes = append(y.notes, "no description: what it is set to stands for it")
	}
	return y
}
