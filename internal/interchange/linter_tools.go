package interchange

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// settingsText describes a rule that says nothing of itself by what it is set to.
func settingsText(tool, name string, values map[string]any) string {
	var set []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if b, err := json.Marshal(values[k]); err == nil {
			set = append(set, "- "+k+": "+string(b))
		}
	}
	return fmt.Sprintf("%s's %s is set:\n\n%s", tool, name, orElse(strings.Join(set, "\n"), "- as it comes"))
}

const standsForIt = "no description: what it is set to stands for it"

// detektRules reads detekt's map from sets to rules, each of which says whether it is active.
func detektRules(_ *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	var out []foundRule
	for _, set := range keysInOrder(m, n) {
		rules, _ := m[set].(map[string]any)
		at := childNode(n, set)
		for _, name := range keysInOrder(rules, at) {
			values, ok := rules[name].(map[string]any)
			if _, switched := values["active"].(bool); !ok || !switched || !unicode.IsUpper(rune(name[0])) {
				continue
			}
			y := foundRule{
				values: maps.Clone(values), line: keyLineOf(at, name), listed: true, ident: name, title: name,
				category: set,
				text:     settingsText("detekt", name, values), severity: pick(values, "severity"),
				languages: []string{"kotlin"},
				off:       values["active"] == false || rules["active"] == false, notes: []string{standsForIt},
			}
			y.globs = append(patternsOf(values["includes"], "", false), patternsOf(values["excludes"], "!", false)...)
			y.values["tool"] = "detekt"
			out = append(out, y)
		}
	}
	return out, len(out) > 0
}

// pathInstructions reads the instructions for a CodeRabbit reviewer about some files.
func pathInstructions(_ *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	list, _ := dig(m, "reviews.path_instructions").([]any)
	at := childNode(childNode(n, "reviews"), "path_instructions")
	var out []foundRule
	for i, v := range list {
		one, _ := v.(map[string]any)
		where := pick(one, "path")
		y := foundRule{values: maps.Clone(one), line: lineOf(at, i), listed: true, ident: where, title: "In " +
			strings.ReplaceAll(where, "**", "")}
		y.text, y.globs = y.take("instructions"), patternsOf(one["path"], "", false)
		if where == "" || y.text == "" {
			y.err = fmt.Errorf("%s wants a path and instructions",
				cmp.Or(shortQuote(where), "an entry of path_instructions"))
		}
		out = append(out, y)
	}
	return out, len(out) > 0
}

// cargoLints reads the levels that a Cargo.toml gives to lints of Rust and Clippy.
func cargoLints(_ *file, m map[string]any, _ *yaml.Node) ([]foundRule, bool) {
	var out []foundRule
	for _, key := range []string{"lints", "workspace.lints"} {
		tools, _ := dig(m, key).(map[string]any)
		for _, tool := range slices.Sorted(maps.Keys(tools)) {
			lints, _ := tools[tool].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(lints)) {
				values, isMap := lints[name].(map[string]any)
				level := pick(values, "level")
				if !isMap {
					level = textOf(lints[name])
				}
				y := foundRule{
					values: map[string]any{"tool": tool, "level": level}, listed: true, ident: name, title: name,
					languages: []string{"rust"},
					text:      fmt.Sprintf("%s's lint %s is set to %s.", tool, name, level),
					notes:     []string{standsForIt},
				}
				y.severity, y.off = lintLevel(level)
				if y.off && level != "allow" {
					y.err = fmt.Errorf("%s: want a level: allow, warn, deny or forbid", y.called())
				}
				if tool != "rust" {
					y.ident = tool + "::" + name
				}
				out = append(out, y)
			}
		}
	}
	return out, len(out) > 0
}
