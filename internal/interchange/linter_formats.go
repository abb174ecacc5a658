package interchange

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
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
		if name == "" && m != nil && (m["macro"] != nil || m["list"] != nil || m["required_engine_version"] != nil ||
			m["required_plugin_versions"] != nil) ||
			name != "" && (m["append"] == true || m["override"] != nil) {
			others++
			continue
		}
		// it switches a rule on or off, of this file or another
		if name != "" && m["desc"] == nil && m["condition"] == nil {
			others++
			for i := range out {
				out[i].off = out[i].off && m["enabled"] != true || out[i].ident == name && m["enabled"] == false
			}
			continue
		}
		y := foundRule{
			values: m, line: lineOf(n, i), listed: true, ident: name, title: name,
			severity: pick(m, "priority"),
		}
		y.text, y.off = y.take("desc"), m["enabled"] == false
		y.used = append(y.used, "rule")
		if name == "" || y.text == "" {
			y.err = fmt.Errorf("%s has no desc", y.called())
		}
		out = append(out, y)
	}
	if others > 0 {
		f.note("%s of macros, lists and additions: no rules, passed over", knowledge.Count(others, "entry", "entries"))
	}
	return out
}

// policyRules reads a policy of Kubernetes: Kyverno's, Gatekeeper's, or one of its own.
func policyRules(_ *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	kind, name := pick(m, "kind"), pick(m, "metadata.name")
	if !isPolicy(pick(m, "apiVersion"), kind) {
		return nil, false
	}
	if name == "" {
		return []foundRule{{
			values: m, line: firstLine(n), listed: true,
			err: fmt.Errorf("a policy (%s) without metadata.name", shortQuote(kind)),
		}}, true
	}
	notes, _ := dig(m, "metadata.annotations").(map[string]any)
	label := func(word string) string {
		return cmp.Or(textOf(notes["policies.kyverno.io/"+word]), textOf(notes["metadata.gatekeeper.sh/"+word]),
			textOf(notes[word]))
	}
	y := foundRule{
		values: m, line: firstLine(n), ident: name, title: cmp.Or(label("title"), humanName(name)),
		text:     label("description"),
		severity: label("severity"), category: label("category"), tags: listOf(label("subject")),
	}
	messages, strict := policyMessages(m)
	y.text, y.enforcement = cmp.Or(y.text, strings.Join(messages, "\n")), strict
	if y.text == "" {
		y.text = cmp.Or(pick(m, "spec.crd.spec.names.kind"), "The policy "+name+" holds.")
	}
	return []foundRule{y}, true
}

// isPolicy tells a policy from any other resource of Kubernetes.
func isPolicy(api, kind string) bool {
	group, _, _ := strings.Cut(api, "/")
	switch group {
	case "constraints.gatekeeper.sh":
		return true
	case "templates.gatekeeper.sh":
		return kind == "ConstraintTemplate"
	case "admissionregistration.k8s.io":
		return kind == "ValidatingAdmissionPolicy" || kind == "MutatingAdmissionPolicy"
	}
	return strings.HasSuffix(group, "kyverno.io") && strings.HasSuffix(kind, "Policy")
}

// policyMessages returns what a policy says to who breaks it, as a list, and how strictly it holds: "" where it does
// not say.
func policyMessages(m map[string]any) (messages []string, enforcement string) {
	actions := []string{pick(m, "spec.validationFailureAction", "spec.enforcementAction", "spec.validationActions")}
	for _, key := range []string{"spec.rules", "spec.validations"} {
		list, _ := dig(m, key).([]any)
		for _, v := range list {
			one, _ := v.(map[string]any)
			if s := pick(one, "validate.message", "message"); s != "" {
				messages = append(messages, "- "+s)
			}
			actions = append(actions, pick(one, "validate.failureAction"))
		}
	}
	for _, a := range actions {
		for a := range strings.SplitSeq(strings.ToLower(a), ", ") {
			switch a {
			case "enforce", "deny":
				return messages, "mandatory"
			case "audit", "warn", "dryrun":
				enforcement = "recommended"
			}
		}
	}
	return messages, enforcement
}

// firstLine returns the line where a YAML document begins.
func firstLine(n *yaml.Node) int {
	if n == nil {
		return 1
	}
	return n.Line
}

// nucleiRules reads a template of nuclei.
func nucleiRules(_ *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	info, ok := m["info"].(map[string]any)
	if m["workflows"] != nil { // it runs other templates
		return nil, false
	}
	if !ok || pick(m, "id") == "" || pick(info, "name") == "" || pick(info, "severity", "author") == "" {
		return nil, false
	}
	y := foundRule{
		values: m, line: firstLine(n), ident: pick(m, "id"), title: pick(info, "name"),
		text: pick(info, "description"), severity: pick(info, "severity"),
		action: pick(info, "remediation"), tags: listOf(info["tags"]),
	}
	if strings.EqualFold(y.severity, "unknown") {
		y.severity = ""
	}
	return []foundRule{y}, true
}

// checkovRules reads a policy of Checkov's own form.
func checkovRules(_ *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	if m["definition"] == nil || pick(m, "metadata.id") == "" || pick(m, "metadata.name") == "" {
		return nil, false
	}
	return []foundRule{{
		values: m, line: firstLine(n), ident: pick(m, "metadata.id"), title: pick(m, "metadata.name"),
		severity: pick(m, "metadata.severity"),
		text:     cmp.Or(pick(m, "metadata.description", "metadata.guidelines"), pick(m, "metadata.name")),
		category: pick(m, "metadata.category"),
	}}, true
}

// valeRules reads a rule of Vale, which is called like its file.
func valeRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	if !slices.Contains([]string{
		"existence", "substitution", "occurrence", "repetition", "consistency", "conditional", "capitalization",
		"metric", "spelling",
		"sequence", "script",
	}, pick(m, "extends")) || pick(m, "message") == "" {
		return nil, false
	}
	y := foundRule{values: m, line: firstLine(n), title: valeTitle(f.path), severity: pick(m, "level")}
	y.text = strings.TrimSpace(y.take("message") + "\n\n" + valeWords(m))
	return []foundRule{y}, true
}

// valeWords lists what a rule of Vale looks for: its message names the word with "%s".
func valeWords(m map[string]any) string {
	var lines []string
	for _, key := range []string{"tokens", "raw"} {
		for _, word := range listOf(m[key]) {
			lines = append(lines, "- "+word)
		}
	}
	for _, key := range []string{"swap", "either"} {
		words, _ := m[key].(map[string]any)
		for _, word := range slices.Sorted(maps.Keys(words)) {
			if key == "swap" {
				lines = append(lines, "- "+word+" → "+textOf(words[word]))
			} else {
				lines = append(lines, "- "+word+" or "+textOf(words[word]))
			}
		}
	}
	return strings.Join(lines, "\n")
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

var copName = compiled(`^[A-Z][A-Za-z0-9]*(?:/[A-Z][A-Za-z0-9]*)+$`)

// copRules reads RuboCop's map from names such as Layout/LineLength to settings.
func copRules(f *file, m map[string]any, n *yaml.Node) ([]foundRule, bool) {
	if !slices.ContainsFunc(slices.Collect(maps.Keys(m)), func(k string) bool {
		_, ok := m[k].(map[string]any)
		return ok && copName().MatchString(k)
	}) {
		return nil, false
	}
	var out []foundRule
	for _, name := range keysInOrder(m, n) {
		line := keyLineOf(n, name)
		if !copName().MatchString(name) {
			f.note("line %d: %s holds for all rules and is none: passed over", line, shortQuote(name))
			continue
		}
		out = append(out, cop(name, m[name], line))
	}
	return out, true
}

func cop(name string, v any, line int) foundRule {
	values, ok := v.(map[string]any)
	if v == nil {
		values, ok = map[string]any{}, true
	}
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
		y.text, y.notes = settingsText("RuboCop", name, values), append(y.notes, standsForIt)
	}
	return y
}
