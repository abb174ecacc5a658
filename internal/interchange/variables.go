package interchange

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"tenet/internal/knowledge"
)

var dollarBraces = compiled(`\$\{([^{}]*)\}`)

// variables turns ${name} and ${name:default} into {{placeholders}}, and returns the text, the variables in the order
// of their first standing, and what a person may want to know. Braces of program code, as in ${index + 1}, stay as they
// are.
func variables(text string) (string, []knowledge.Variable, []string) {
	var vars []knowledge.Variable
	var notes []string
	byTitle := map[string]int{}
	taken := map[string]bool{}
	for _, name := range knowledge.Placeholders(text) {
		taken[name] = true // text in braces of its own must stay text
	}
	others := map[int][]string{}
	var b strings.Builder
	last := 0
	for _, m := range dollarBraces().FindAllStringSubmatchIndex(text, -1) {
		title, def, ok := splitVariable(text[m[2]:m[3]])
		if !ok || m[0] > 0 && text[m[0]-1] == '$' {
			continue
		}
		i, known := byTitle[title]
		if !known && len(vars) > knowledge.MaxItems {
			continue // too many to be valid, and every free name takes longer to find
		}
		if !known {
			i = len(vars)
			byTitle[title] = i
			name := knowledge.FreeName(knowledge.SafeName(title), taken)
			taken[name] = true
			vars = append(vars, knowledge.Variable{Name: name, Title: title, Type: knowledge.TypeText, Required: true})
		}
		v := &vars[i]
		switch {
		case def == "":
		case v.Default == nil:
			v.Default, v.Required = def, false
			if strings.ContainsAny(def, "\r\n") {
				v.Type = knowledge.TypeMultiline
			}
		case v.Default != def && !slices.Contains(others[i], def):
			others[i] = append(others[i], def)
		}
		b.WriteString(text[last:m[0]])
		last = m[1]
		b.WriteString(placeholderFor(v.Name, text, m[0], m[1]))
	}
	b.WriteString(text[last:])
	for i := range vars {
		if len(others[i]) > 0 {
			list := strings.Join(others[i], ", ")
			vars[i].Description = "Elsewhere in the text with the default " + list
			notes = append(notes, fmt.Sprintf(
				"variable %q has several defaults: %v holds, %s is noted in its description",
				vars[i].Title, vars[i].Default, list))
		}
	}
	return b.String(), vars, notes
}

// placeholderFor writes the placeholder in place of text[start:end]. Between braces it needs three of them: {{{name}}}
// there reads as one placeholder and loses its neighbours.
func placeholderFor(name, text string, start, end int) string {
	if start > 0 && text[start-1] == '{' && end < len(text) && text[end] == '}' {
		return "{{{" + name + "}}}"
	}
	return "{{" + name + "}}"
}

// splitVariable takes what stands in ${…} apart, or says that it is no variable but code.
func splitVariable(s string) (title, def string, ok bool) {
	title, def, _ = strings.Cut(s, ":")
	title, def = strings.TrimSpace(title), strings.TrimSpace(def)
	if len(title) > knowledge.MaxTitle || title == "" {
		return "", "", false
	}
	prev := ' '
	for i, r := range title {
		switch {
		case unicode.IsLetter(r) || unicode.IsMark(r) && i > 0:
		case i == 0:
			return "", "", false
		case unicode.IsDigit(r) || strings.ContainsRune(" _-'’/,&#)", r):
		case r == '.' && (i+1 == len(title) || title[i+1] == ' '): // "etc.", but not a.b
		case r == '(' && prev == ' ': // "size (in cm)", but not f(x)
		default:
			return "", "", false
		}
		prev = r
	}
	return title, def, true
}
