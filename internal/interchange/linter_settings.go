package interchange

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// switchedRules reads a map from names to settings below "rules", as ESLint, stylelint and Spectral have it, and those
// that hold for some files only ("overrides").
func switchedRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	tool, known := toolOf(f.path, m)
	rules, at := settingsOf(f.path, tool, m, n)
	overrides, _ := m["overrides"].([]any)
	if len(rules) == 0 && (!known || len(overrides) == 0) {
		return nil, false
	}
	if !known && !slices.ContainsFunc(slices.Collect(maps.Values(rules)), func(v any) bool { return isSwitch(v) }) {
		return nil, false
	}
	if tool == "markdownlint" && m["default"] == true {
		f.note("its default is true: rules that it does not name hold too")
	}
	if from := textOf(m["extends"]); from != "" {
		f.note("what it extends is not read: %s", shortQuote(from))
	}
	var out []foundRule
	for _, name := range keysInOrder(rules, at) {
		y := switched(tool, name, rules[name])
		y.line, y.listed = keyLineOf(at, name), true
		out = append(out, y)
	}
	for i, v := range overrides {
		part, _ := v.(map[string]any)
		out = append(out, overridden(f, tool, part, entryNode(childNode(n, "overrides"), i))...)
	}
	return out, true
}

// settingsOf returns the map from names to settings, and where it stands.
func settingsOf(p, tool string, m map[string]any, n *yaml.Node) (map[string]any, *yaml.Node) {
	if tool == "markdownlint" {
		if config, ok := m["config"].(map[string]any); ok || strings.Contains(p, "-cli2.") {
			m, n = config, childNode(n, "config")
		}
		rules := maps.Clone(m)
		maps.DeleteFunc(rules, func(k string, _ any) bool {
			return k == "default" || k == "extends" || strings.HasPrefix(k, "$")
		})
		return rules, n
	}
	for _, key := range []string{"rules", "custom_rules"} {
		if rules, ok := m[key].(map[string]any); ok && len(rules) > 0 {
			return rules, childNode(n, key)
		}
	}
	return nil, nil
}

// overridden reads the rules that hold for some files only. What names each has the files' patterns beside it, since
// the same rule may stand there for all files too.
func overridden(f *file, tool string, part map[string]any, n *yaml.Node) []foundRule {
	rules, _ := part["rules"].(map[string]any)
	files := listOf(part["files"])
	if len(rules) == 0 || len(files) == 0 {
		if part != nil {
			f.note("an override without files or rules: passed over")
		}
		return nil
	}
	globs := append(patternsOf(part["files"], "", true), patternsOf(part["excludedFiles"], "!", true)...)
	var out []foundRule
	for _, name := range keysInOrder(rules, childNode(n, "rules")) {
		y := switched(tool, name, rules[name])
		y.line, y.listed, y.globs = keyLineOf(childNode(n, "rules"), name), true, globs
		y.ident += " (" + strings.Join(files, ", ") + ")"
		y.tags = append(y.tags, name)
		out = append(out, y)
	}
	return out
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
	case strings.Contains(base, "markdownlint"):
		return "markdownlint", true
	case strings.Contains(base, "yamllint"):
		return "yamllint", true
	case strings.Contains(base, "commitlint"):
		return "commitlint", true
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
		level, options = levelInList(tool, v)
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
		if level == nil && v["level"] != nil {
			level = v["level"]
		}
		if level == nil {
			level = true
		}
		if v["recommended"] == false || v["enabled"] == false {
			y.off = true
		}
		options = v
	case string, json.Number, bool, nil:
		if tool == "stylelint" && v != nil { // a value of the rule's own, and no level
			level, options = true, []any{v}
		}
	}
	y.severity, y.off = levelOf(tool, level, y.off)
	if said := textOf(level); y.severity == "" && !y.off && said != "" && !isLevelWord(said) {
		y.notes = append(y.notes, fmt.Sprintf("level %q is none that is known: WARNING instead", shortQuote(said)))
	}
	if y.text == "" {
		y.text = fmt.Sprintf("%s's rule %s is set to %s.", tool, name, cmp.Or(y.severity, offWord(y.off)))
		if b, err := json.MarshalIndent(options, "", "  "); err == nil && options != nil {
			y.text += "\n\n```json\n" + string(b) + "\n```"
		}
		y.notes = append(y.notes, standsForIt)
	}
	return y
}

// levelInList returns the level of settings that are a list, and what else stands in it.
func levelInList(tool string, v []any) (level, options any) {
	if len(v) == 0 {
		return true, nil
	}
	if tool == "stylelint" { // its first value is the rule's own, the level is one of the options behind it
		level = v[0] != nil
		if o, ok := v[len(v)-1].(map[string]any); ok && o["severity"] != nil && v[0] != nil {
			level = o["severity"]
		}
		return level, v
	}
	if len(v) > 1 {
		options = v[1:]
	}
	return v[0], options
}

// isLevelWord reports whether a level says no more than that the rule is on.
func isLevelWord(said string) bool {
	return slices.Contains([]string{"true", "on", "yes", "enable", "enabled", "always", "default"}, strings.ToLower(said))
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
		if l := strings.ToLower(v); l == "off" || l == "none" || l == "never" || l == "disable" {
			return "", true
		}
		if _, ok := severity(v); ok {
			return v, off
		}
	case bool:
		return "", off || !v
	case nil:
		return "", true
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
