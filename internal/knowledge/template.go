package knowledge

import (
	"regexp"
	"strconv"
	"strings"
)

// A Template is a text with variables: a prompt, a form, a skeleton.
type Template struct {
	TemplateID      string     `json:"template_id" doc:"The template's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"incident-report"`
	Name            string     `json:"name" doc:"The name to show" maxLength:"255"`
	Description     string     `json:"description" doc:"What it is for"`
	Category        string     `json:"category" doc:"The id of the template's category" example:"incidents"`
	TemplateContent string     `json:"template_content" doc:"The text, with placeholders such as {{name}}"`
	Variables       []Variable `json:"variables" doc:"What the placeholders stand for"`
	IsActive        bool       `json:"is_active" doc:"False once the template is retired" default:"true"`
	Common
	Stamp
}

// Variable types.
const (
	TypeText        = "text"
	TypeMultiline   = "multiline"
	TypeNumber      = "number"
	TypeBoolean     = "boolean"
	TypeSelect      = "select"
	TypeMultiselect = "multiselect"
)

// VariableTypes returns the types a variable can have.
func VariableTypes() []string {
	return []string{TypeText, TypeMultiline, TypeNumber, TypeBoolean, TypeSelect, TypeMultiselect}
}

// A Variable declares a placeholder. Name is safe between braces; Title is shown to people.
type Variable struct {
	Name        string   `json:"name" doc:"The name between the braces: a letter, then letters, digits and underscores" pattern:"^[A-Za-z][A-Za-z0-9_]*$" example:"brand_product"`
	Title       string   `json:"title" doc:"The name to show" example:"Brand's core product"`
	Type        string   `json:"type" doc:"What values fit" enum:"text,multiline,number,boolean,select,multiselect" default:"text"`
	Default     any      `json:"default" doc:"The value when none is given; null for none"`
	Options     []string `json:"options" doc:"The values to choose from, for select and multiselect"`
	Required    bool     `json:"required" doc:"True when rendering needs a value"`
	Description string   `json:"description" doc:"What to put there"`
	Pattern     string   `json:"pattern" doc:"A regular expression (RE2) that the whole text must match, for text"`
}

// Key implements [Document].
func (t *Template) Key() Key { return Key{KindTemplate, t.TemplateID} }

// CategoryID implements [Document].
func (t *Template) CategoryID() string { return t.Category }

// Active implements [Document].
func (t *Template) Active() bool { return t.IsActive }

// SetActive implements [Document].
func (t *Template) SetActive(active bool) { t.IsActive = active }

// Rank implements [Document]: all beside WARNING rules, so that house order is by id.
func (t *Template) Rank() int64 { return Rank(2, 0) }

// Text implements [Document].
func (t *Template) Text() Text {
	return Text{
		Title: t.Name, Tags: append([]string{t.TemplateID, t.Category}, t.Tags...), Lead: t.Description,
		Body: t.TemplateContent,
	}
}

// Normalize implements [Document].
func (t *Template) Normalize() {
	t.Variables = orEmpty(t.Variables)
	for i := range t.Variables {
		v := &t.Variables[i]
		v.Title = orDefault(v.Title, v.Name)
		v.Type = orDefault(v.Type, TypeText)
		v.Options = orEmpty(v.Options)
		v.Default = tidy(v.Default)
	}
	t.normalize()
}

var variableName = compiled(`^[A-Za-z][A-Za-z0-9_]{0,127}$`)

// Validate implements [Document].
func (t *Template) Validate() error {
	var f faults
	f.id("/template_id", t.TemplateID)
	f.category("/category", t.Category)
	f.line("/name", t.Name)
	f.text("/description", t.Description)
	f.needed("/template_content", t.TemplateContent)
	f.count("/variables", len(t.Variables))
	seen := map[string]bool{}
	for i := range t.Variables {
		f.variable(at("/variables", i), &t.Variables[i], seen)
	}
	if _, err := parseTemplate(t.TemplateContent, seen); err != nil {
		f.add("/template_content", "%s", err)
	}
	f.common(&t.Common)
	return f.document(t)
}

func (f *faults) variable(p string, v *Variable, seen map[string]bool) {
	switch {
	case !variableName().MatchString(v.Name):
		f.add(p+"/name", "%q: want a letter, then letters, digits and underscores; the shown name goes into title",
			clipped(v.Name))
	case seen[v.Name]:
		f.add(p+"/name", "%q stands there twice", clipped(v.Name))
	}
	seen[v.Name] = true
	f.short(p+"/title", v.Title)
	f.oneOf(p+"/type", v.Type, VariableTypes())
	f.texts(p+"/options", v.Options)
	choice := v.Type == TypeSelect || v.Type == TypeMultiselect
	if choice && len(v.Options) == 0 {
		f.add(p+"/options", "missing: a %s needs options", v.Type)
	}
	if !choice && len(v.Options) > 0 {
		f.add(p+"/options", "only select and multiselect have options")
	}
	f.text(p+"/description", v.Description)
	f.short(p+"/pattern", v.Pattern)
	if v.Pattern != "" {
		if v.Type != TypeText {
			f.add(p+"/pattern", "only text has a pattern")
		} else if _, err := regexp.Compile("^(?:" + v.Pattern + ")$"); err != nil {
			f.add(p+"/pattern", "not a regular expression: %s", err)
		}
	}
	f.value(p+"/default", v.Default, 1)
	if !none(v.Default) {
		if _, why := v.check(v.Default); why != "" {
			f.add(p+"/default", "%s", why)
		}
	}
}

func (*Template) document() {}

// SafeName makes a variable's name from its title: "Brand's core product" gives "brand_s_core_product".
func SafeName(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() >= 64 {
			break
		}
	}
	s := strings.Trim(b.String(), "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = strings.TrimSuffix("v_"+s, "_")
	}
	return s
}

// FreeName returns name, or name with the first number that makes it unused.
func FreeName(name string, taken map[string]bool) string {
	free := name
	for i := 2; taken[free]; i++ {
		free = name + "_" + strconv.Itoa(i)
	}
	return free
}

// KindTemplate is the kind of [*Template].
const KindTemplate Kind = "template"

func describeTemplate() *Description {
	variables := column("VARIABLES", func(t *Template) string {
		names := make([]string, len(t.Variables))
		for i, v := range t.Variables {
			names[i] = v.Name
		}
		return strings.Join(names, " ")
	})
	variables.Max = 40
	return &Description{
		Kind: KindTemplate, Plural: "templates", About: "Texts with variables, to be rendered",
		New:    func() Document { return &Template{IsActive: true} },
		Parent: KindCategory, ParentField: "category", ActiveField: "is_active", TitleField: "name",
		TextField: "template_content",
		Searched:  true, Filters: commonFilters(),
		Needed: []string{"template_id", "category", "name", "template_content"},
		Columns: []Column{
			column("ID", func(t *Template) string { return t.TemplateID }),
			column("CATEGORY", func(t *Template) string { return t.Category }),
			variables,
			column("NAME", func(t *Template) string { return t.Name }),
		},
		Example: exampleTemplate,
		Patches: []Sample{{
			"description", "Another description", map[string]any{"description": "What to write down when it is over."},
		}},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}

func exampleTemplate() Document {
	return &Template{
		TemplateID: "incident-report", Category: "security", Name: "Incident report",
		Description:     "What to write down after an incident.",
		TemplateContent: "# {{title}}\n\nImpact: {{impact}}\n{{#followed_up}}Followed up.{{/followed_up}}\n",
		Variables: []Variable{
			{Name: "title", Title: "Title", Type: TypeText, Required: true, Description: "One line"},
			{
				Name: "impact", Title: "Impact", Type: TypeSelect, Options: []string{"none", "some", "all"},
				Default: "none",
			},
			{Name: "followed_up", Title: "Followed up?", Type: TypeBoolean},
		},
		IsActive: true, Common: Common{Tags: []string{"operations"}},
	}
}
