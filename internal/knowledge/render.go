package knowledge

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A node of a parsed template: text, a placeholder, or a section with nodes of its own.
type node struct {
	text    string
	name    string
	section bool
	invert  bool
	nodes   []node
}

// MaxRendered is the largest size of a rendered text, in bytes.
const MaxRendered = 4 << 20

// parseTemplate parses {{name}}, {{{name}}}, {{#name}}…{{/name}} and {{^name}}…{{/name}}: the part of Mustache that
// needs no escaping and runs no code. Braces around anything but a declared name are text: templates are often about
// templates. {{ name }} may have spaces. Of more braces than a placeholder needs those outside are text, as in
// {"count":{{count}}}.
func parseTemplate(content string, declared map[string]bool) ([]node, error) {
	type frame struct {
		name  string
		nodes []node
	}
	stack := []frame{{}}
	add := func(n node) { top := &stack[len(stack)-1]; top.nodes = append(top.nodes, n) }
	var inverted []bool
	for len(content) > 0 {
		m := placeholder().FindStringSubmatchIndex(content)
		if m == nil {
			add(node{text: content})
			break
		}
		whole, sigil, name := content[m[0]:m[1]], "", ""
		if m[2] >= 0 {
			name = content[m[2]:m[3]]
		} else {
			sigil, name = content[m[4]:m[5]], content[m[6]:m[7]]
		}
		if m[0] > 0 {
			add(node{text: content[:m[0]]})
		}
		content = content[m[1]:]
		if !declared[name] {
			add(node{text: whole})
			continue
		}
		switch sigil {
		case "#", "^":
			if len(stack) > MaxDepth {
				return nil, fmt.Errorf("sections nested deeper than %d", MaxDepth)
			}
			stack = append(stack, frame{name: name})
			inverted = append(inverted, sigil == "^")
		case "/":
			if len(stack) == 1 || stack[len(stack)-1].name != name {
				return nil, fmt.Errorf("%s closes a section that is not open", whole)
			}
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			add(node{name: name, section: true, invert: inverted[len(inverted)-1], nodes: top.nodes})
			inverted = inverted[:len(inverted)-1]
		default:
			add(node{name: name})
		}
	}
	if len(stack) > 1 {
		return nil, fmt.Errorf("section {{#%s}} is not closed: add {{/%s}}", stack[len(stack)-1].name,
			stack[len(stack)-1].name)
	}
	return stack[0].nodes, nil
}

var placeholder = compiled(
	`\{\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}\}|\{\{\s*([#^/]?)\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}`)

// titled is what looks like a placeholder, and may hold the title of a variable in place of its name.
var titled = compiled(`\{\{\s*([\p{L}_][\p{L}\p{M}\p{N}_' -]*?)\s*\}\}`)

// filtered is a name with a filter or a part behind it, as other programs' templates have them.
var filtered = compiled(`\{\{-?\s*([A-Za-z][A-Za-z0-9_]*)\s*[|.\[(][^{}\n]*\}\}`)

// Placeholders returns the names between braces in a template's text, each once, in the order of their first
// occurrence.
func Placeholders(content string) []string {
	names := []string{}
	for _, m := range placeholder().FindAllStringSubmatch(content, -1) {
		if name := m[1] + m[3]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Loose returns probable mistakes of a template: a placeholder that no variable declares, which stays text, and a
// variable that the text does not use. Neither is an error, since templates are often about templates.
func (t *Template) Loose() []Fault {
	declared, used := map[string]bool{}, map[string]bool{}
	for _, v := range t.Variables {
		declared[v.Name] = true
	}
	var f faults
	for _, at := range placeholder().FindAllStringSubmatchIndex(t.TemplateContent, -1) {
		group := 2
		if at[group] < 0 {
			group = 6
		}
		name := t.TemplateContent[at[group]:at[group+1]]
		if used[name] {
			continue
		}
		if !declared[name] && at[0] > 0 && t.TemplateContent[at[0]-1] == '$' {
			continue // an expression of another program, as in ${{ github }}
		}
		used[name] = true
		if declared[name] {
			continue
		}
		hint := "it stays text"
		if near := Nearest(name, maps.Keys(declared)); near != "" && len(name) > 2 {
			hint += "; is {{" + near + "}} meant?"
		}
		f.add("/template_content", "%s: {{%s}} is declared by no variable: %s", place(t.TemplateContent, at[0]),
			clipped(name), hint)
	}
	for _, at := range titled().FindAllStringSubmatchIndex(t.TemplateContent, -1) {
		name := t.TemplateContent[at[2]:at[3]]
		if safe := SafeName(name); safe != name && declared[safe] && !used[name] {
			used[name] = true
			f.add("/template_content", "%s: {{%s}} is no name of a variable: it stays text; is {{%s}} meant?",
				place(t.TemplateContent, at[0]), clipped(name), clipped(safe))
		}
	}
	for _, at := range filtered().FindAllStringSubmatchIndex(t.TemplateContent, -1) {
		if name := t.TemplateContent[at[2]:at[3]]; declared[name] && (at[0] == 0 || t.TemplateContent[at[0]-1] != '$') {
			f.add("/template_content", "%s: %s is more than the name of a variable: it stays text; is {{%s}} meant?",
				place(t.TemplateContent, at[0]), clipped(t.TemplateContent[at[0]:at[1]]), clipped(name))
		}
	}
	for i, v := range t.Variables {
		if !used[v.Name] {
			f.add(at("/variables", i), "%q stands nowhere in the text", clipped(v.Name))
		}
	}
	return f.list
}

// Left says which placeholders a rendering leaves in the text since no variable declares them.
func (t *Template) Left() []string {
	var notes []string
	for _, f := range t.Loose() {
		if f.Pointer == "/template_content" {
			notes = append(notes, f.Detail)
		}
	}
	return notes
}

// Render returns the template's text with values in place of its variables. Values are strings, numbers, booleans or,
// for multiselect, lists of strings; a string is also taken for a number or a boolean that it spells. The error is an
// [*InvalidError] that names every missing, wrong and unknown value at once, with pointers below /values.
func (t *Template) Render(values map[string]any) (string, error) {
	var f faults
	known := make(map[string]bool, len(t.Variables))
	texts := make(map[string]string, len(t.Variables))
	for i := range t.Variables {
		v := &t.Variables[i]
		known[v.Name] = true
		given, ok := values[v.Name]
		if !ok || none(given) {
			given = v.Default
		}
		p := "/values/" + v.Name
		if none(given) {
			if v.Required {
				f.add(p, "missing: %s", v.wanted())
			}
			continue
		}
		text, why := v.check(given)
		if why != "" {
			f.add(p, "%s", why)
		}
		if why := TextFault(text); why != "" {
			f.add(p, "%s", why)
		}
		texts[v.Name] = text
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !known[name] {
			f.add("/values/"+EscapePointer(clipped(name).String()), "the template has no such variable")
		}
	}
	if err := f.err(); err != nil {
		return "", err
	}
	nodes, err := parseTemplate(t.TemplateContent, known)
	if err != nil {
		return "", Invalid("/template_content", "%s", err)
	}
	var b strings.Builder
	if !writeNodes(&b, nodes, texts) {
		return "", Invalid("", "the text grows over %d bytes: give shorter values", MaxRendered)
	}
	return b.String(), nil
}

func writeNodes(b *strings.Builder, nodes []node, texts map[string]string) bool {
	for _, n := range nodes {
		switch {
		case n.section:
			on := texts[n.name] != "" && texts[n.name] != "false"
			if on != n.invert && !writeNodes(b, n.nodes, texts) {
				return false
			}
		case n.name != "":
			b.WriteString(texts[n.name])
		default:
			b.WriteString(n.text)
		}
		if b.Len() > MaxRendered {
			return false
		}
	}
	return true
}

// none reports whether a value is empty.
func none(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case []string:
		return len(v) == 0
	}
	return false
}

func (v *Variable) wanted() string {
	switch v.Type {
	case TypeNumber:
		return "want a number"
	case TypeBoolean:
		return "want true or false"
	case TypeSelect:
		return "want one of " + strings.Join(v.Options, ", ")
	case TypeMultiselect:
		return "want a list out of " + strings.Join(v.Options, ", ")
	}
	return "want text"
}

// check returns a value as text, or why it does not fit the variable.
func (v *Variable) check(value any) (text, why string) {
	switch v.Type {
	case TypeNumber:
		s := scalar(value)
		if _, ok := plainDecimal(s); !ok { // nor NaN, infinity or hexadecimal digits
			return "", fmt.Sprintf("%q: %s", clipped(s), v.wanted())
		}
		return s, ""
	case TypeBoolean:
		s := scalar(value)
		if s != "true" && s != "false" {
			return "", fmt.Sprintf("%q: %s", clipped(s), v.wanted())
		}
		return s, ""
	case TypeMultiselect:
		list, ok := stringList(value)
		if !ok {
			return "", v.wanted()
		}
		for _, s := range list {
			if !slices.Contains(v.Options, s) {
				return "", fmt.Sprintf("%q: %s", clipped(s), v.wanted())
			}
		}
		return strings.Join(list, ", "), ""
	}
	s, ok := value.(string)
	if !ok {
		return "", fmt.Sprintf("%s: %s", clipped(fmt.Sprint(value)), v.wanted())
	}
	switch {
	case v.Type == TypeSelect && !slices.Contains(v.Options, s):
		return "", fmt.Sprintf("%q: %s", clipped(s), v.wanted())
	case v.Type == TypeText && strings.ContainsAny(s, lineBreaks):
		return "", "holds a line break: want one line"
	case v.Pattern != "":
		re, err := regexp.Compile("^(?:" + v.Pattern + ")$")
		if err != nil || !re.MatchString(s) {
			return "", fmt.Sprintf("%q does not match the pattern %s", clipped(s), v.Pattern)
		}
	}
	return s, ""
}

// scalar spells a JSON scalar.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return fmt.Sprint(v)
}

func stringList(v any) ([]string, bool) {
	switch v := v.(type) {
	case []string:
		return v, true
	case string: // "a,b", as a command line gives it
		parts := strings.Split(v, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, true
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out[i] = s
		}
		return out, true
	}
	return nil, false
}
