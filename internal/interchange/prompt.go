package interchange

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// prompt makes a template of a text that a person calls by name and fills in: a prompt file, a slash command, the form
// of an issue or of a pull request.
func (r *reader) prompt(f *file, fm *frontMatter, body string) *knowledge.Template {
	d := &knowledge.Template{IsActive: true, TemplateID: r.pathID(knowledge.KindTemplate, f)}
	a, _ := adapterFor(f.path)
	if a == nil {
		a = &Adapter{Means: Meaning{Default: manual}, Arguments: ArgumentsInput}
		if isCommand(f.path, fm, body) {
			a.Arguments = ArgumentsDollar
		}
	}
	if a.Means.Describes == "about" {
		d.Description = fm.text("about")
	}
	if d.Description == "" {
		d.Description = fm.text("description")
	}
	title := fm.peek("name")
	// there a title is that of the issue which the form makes, and a heading a part of the form
	if a.Target != "github" {
		title = titleOf(f, fm, body, "")
	}
	title = orElse(title, promptName(f.path))
	short, cut := shorten(title)
	if cut {
		f.note("the name has more than %d characters: shortened, the whole one is kept", knowledge.MaxTitle)
		fm.values["title"] = title
	}
	if short == fm.peek("name") {
		fm.take("name")
	}
	d.Name = short
	d.Category = r.category(f, firstOf(fm.list("category")))
	d.Tags = tagsOf(fm)
	d.TemplateContent, d.Variables = a.Arguments.read(f, fm, body)
	d.Scope = r.scopeOf(f, FormatPrompt, fm, d.Description)
	r.common(f, &d.Common, fm)
	return d
}

// promptName makes a name of a file's, "Pull request template" for those that have no other.
func promptName(p string) string { return humanName(strings.ToLower(stem(path.Base(p)))) }

var (
	inputVariable  = compiled(`\$\{input:([^{}:]+)(?::([^{}]*))?\}`)
	dollarArgument = compiled(`\$(ARGUMENTS(?:\[\d+\])?|[0-9]\b|[A-Za-z_][A-Za-z0-9_]*)`)
	capitals       = compiled(`^[A-Z][A-Z0-9_]*$`)
	bracesArgument = compiled(`\{\{\{?\s*(args|input)\s*\}?\}\}`)
)

// read turns what a caller fills in into placeholders, and returns the text and the variables in the order of their
// first standing. Everything else in the text stays as it is.
func (a Arguments) read(f *file, fm *frontMatter, body string) (string, []knowledge.Variable) {
	w := argumentWriter{f: f, taken: map[string]bool{}, names: map[string]string{}}
	for _, name := range knowledge.Placeholders(body) {
		w.taken[name] = true // text in braces of its own stays text
	}
	switch a {
	case ArgumentsInput:
		return w.replace(body, inputVariable(), func(m []string) (string, string, bool) {
			return strings.TrimSpace(m[1]), strings.TrimSpace(m[2]), true
		})
	case ArgumentsDollar, ArgumentsNamed:
		hint := argumentHint(fm)
		declared := fm.list("arguments")
		return w.replace(body, dollarArgument(), func(m []string) (string, string, bool) {
			name, about, ok := dollarName(m[1], hint, declared)
			return name, about, ok || a == ArgumentsNamed && capitals().MatchString(m[1])
		})
	case ArgumentsBraces:
		delete(w.taken, "args")
		delete(w.taken, "input")
		return w.replace(body, bracesArgument(),
			func(m []string) (string, string, bool) { return m[1], argumentHint(fm), true })
	case ArgumentsNone:
	}
	return body, nil
}

// argumentHint returns what a prompt says of its arguments, as it stands: "[number]" is a list to YAML.
func argumentHint(fm *frontMatter) string {
	return orElse(unquote(fm.raw["argument-hint"]), fm.peek("argument-hint"))
}

// dollarName returns the name and the hint of a dollar's argument; false for a dollar that is only text.
func dollarName(s, hint string, declared []string) (name, about string, ok bool) {
	switch {
	case s == "ARGUMENTS":
		return "arguments", hint, true
	case strings.HasPrefix(s, "ARGUMENTS["):
		n := strings.Trim(s[len("ARGUMENTS"):], "[]")
		return "argument_" + n, hint, true
	case s[0] >= '0' && s[0] <= '9':
		return "argument_" + s, hint, true
	}
	return s, "", slices.Contains(declared, s)
}

// An argumentWriter puts placeholders in place of arguments.
type argumentWriter struct {
	f     *file
	taken map[string]bool
	names map[string]string // as written → variable
	vars  []knowledge.Variable
}

func (w *argumentWriter) replace(text string, re *regexp.Regexp,
	read func(m []string) (name, about string, ok bool),
) (string, []knowledge.Variable) {
	var b strings.Builder
	last := 0
	for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = text[at[2*i]:at[2*i+1]]
			}
		}
		title, about, ok := read(m)
		if escaped := at[0] > 0 && (text[at[0]-1] == '\\' || text[at[0]-1] == '$'); !ok || escaped ||
			len(title) > knowledge.MaxTitle {
			continue
		}
		name := w.variable(title, about)
		b.WriteString(text[last:at[0]])
		b.WriteString(placeholderFor(name, text, at[0], at[1]))
		last = at[1]
	}
	b.WriteString(text[last:])
	return b.String(), w.vars
}

// variable returns the name of the variable that stands for an argument.
func (w *argumentWriter) variable(title, about string) string {
	if name, known := w.names[title]; known {
		i := slices.IndexFunc(w.vars, func(v knowledge.Variable) bool { return v.Name == name })
		if i >= 0 && w.vars[i].Description == "" {
			w.vars[i].Description = about
		}
		return name
	}
	name := knowledge.FreeName(safeKeepCase(title), w.taken)
	w.taken[name] = true
	w.names[title] = name
	w.vars = append(w.vars, knowledge.Variable{
		Name: name, Title: title, Type: knowledge.TypeMultiline, Required: true, Description: about,
	})
	return name
}

// safeKeepCase returns a name that can stand between braces, as it is where it can.
func safeKeepCase(title string) string {
	if safeName().MatchString(title) {
		return title
	}
	return knowledge.SafeName(title)
}

var safeName = compiled(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// issueForm makes a template of a form in YAML, with a variable for each of its fields.
func (r *reader) issueForm(f *file) (Entry, error) {
	docs, err := parseYAML(f.text)
	if err != nil {
		return Entry{}, err
	}
	if len(docs) == 0 {
		return Entry{}, nothing("it is empty")
	}
	m, _ := docs[0].value.(map[string]any)
	fields, ok := m["body"].([]any)
	if !ok {
		return Entry{}, nothing("YAML that is no form: it has no body")
	}
	fm := &frontMatter{values: m, raw: map[string]string{}}
	d := &knowledge.Template{IsActive: true, TemplateID: r.pathID(knowledge.KindTemplate, f)}
	d.Name, _ = shorten(orElse(fm.text("name"), promptName(f.path)))
	d.Description = fm.text("description")
	w := formWriter{w: argumentWriter{f: f, taken: map[string]bool{}, names: map[string]string{}}}
	for i, v := range fields {
		w.field(i, v)
	}
	d.TemplateContent, d.Variables = strings.TrimSpace(w.b.String()), w.vars
	d.Category = r.category(f, "")
	d.Scope.Activation = manual
	r.common(f, &d.Common, fm)
	return r.entry(f, d, ""), nil
}

// A formWriter writes the text of a form.
type formWriter struct {
	w    argumentWriter
	b    strings.Builder
	vars []knowledge.Variable
}

func (w *formWriter) field(i int, v any) {
	m, _ := v.(map[string]any)
	attributes, _ := m["attributes"].(map[string]any)
	kind := textOf(m["type"])
	if kind == "markdown" {
		fmt.Fprintf(&w.b, "%s\n\n", strings.TrimSpace(textOf(attributes["value"])))
		return
	}
	label := orElse(textOf(attributes["label"]), orElse(textOf(m["id"]), fmt.Sprintf("field %d", i+1)))
	title, _ := shorten(label)
	name := knowledge.SafeName(title)
	if id := strings.ReplaceAll(textOf(m["id"]), "-", "_"); id != "" {
		name = safeKeepCase(id)
	}
	name = knowledge.FreeName(name, w.w.taken)
	w.w.taken[name] = true
	checks, _ := m["validations"].(map[string]any)
	required, _ := checks["required"].(bool)
	one := knowledge.Variable{
		Name: name, Title: title, Type: knowledge.TypeMultiline, Required: required,
		Description: textOf(attributes["description"]),
	}
	switch options := optionsOf(attributes["options"]); kind {
	case "input":
		one.Type = knowledge.TypeText
	case "dropdown", "checkboxes":
		one.Type, one.Options = knowledge.TypeSelect, options
		if many, _ := attributes["multiple"].(bool); many || kind == "checkboxes" {
			one.Type = knowledge.TypeMultiselect
		}
		if len(options) == 0 {
			one.Type = knowledge.TypeText
		}
	}
	if n, err := strconv.Atoi(textOf(attributes["default"])); err == nil && n >= 0 && n < len(one.Options) {
		one.Default = one.Options[n] // the number of an option, from 0
		if one.Type == knowledge.TypeMultiselect {
			one.Default = []any{one.Options[n]}
		}
	}
	if value := textOf(attributes["value"]); value != "" && len(one.Options) == 0 {
		one.Default = value
		if strings.ContainsAny(value, "\r\n") {
			one.Type = knowledge.TypeMultiline
		}
	}
	w.vars = append(w.vars, one)
	fmt.Fprintf(&w.b, "### %s\n\n{{%s}}\n\n", title, name)
}

// optionsOf returns the choices of a field of a form.
func optionsOf(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		s := textOf(e)
		if m, ok := e.(map[string]any); ok {
			s = textOf(m["label"])
		}
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// tomlCommand makes a template of a command in TOML.
func (r *reader) tomlCommand(f *file) (Entry, error) {
	m, err := parseTOML(f.text)
	if err != nil {
		return Entry{}, err
	}
	text, _ := m["prompt"].(string)
	if strings.TrimSpace(text) == "" {
		return Entry{}, nothing("TOML that is no command: it has no prompt")
	}
	delete(m, "prompt")
	fm := &frontMatter{values: m, raw: map[string]string{}}
	d := r.prompt(f, fm, trimBlankLines(text))
	return r.entry(f, d, ""), nil
}
