package interchange

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tenet/internal/knowledge"
)

func TestVariablesComeOutOfDollarBraces(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		vars           []knowledge.Variable
	}{
		{"a name", "Hi ${name}.", "Hi {{name}}.", []knowledge.Variable{{Name: "name", Title: "name", Required: true}}},
		{
			"a default with colons", "${time: 10:30 }", "{{time}}",
			[]knowledge.Variable{{Name: "time", Title: "time", Default: "10:30"}},
		},
		{
			"an empty default", "${x:}", "{{x}}",
			[]knowledge.Variable{{Name: "x", Title: "x", Required: true}},
		},
		{
			"names that differ only in what is not safe", "${My name} ${my_name} ${My name:Bo}",
			"{{my_name}} {{my_name_2}} {{my_name}}",
			[]knowledge.Variable{
				{Name: "my_name", Title: "My name", Default: "Bo"},
				{Name: "my_name_2", Title: "my_name", Required: true},
			},
		},
		{
			"braces of the text's own", "{{name}} is not ${name}", "{{name}} is not {{name_2}}",
			[]knowledge.Variable{{Name: "name_2", Title: "name", Required: true}},
		},
		{
			"sections of the text's own", "{{#name}}x{{/name}} ${name}", "{{#name}}x{{/name}} {{name_2}}",
			[]knowledge.Variable{{Name: "name_2", Title: "name", Required: true}},
		},
		{
			"within braces", `{"a": ${a}, "b": {${b}}}`, `{"a": {{a}}, "b": {{{{b}}}}}`,
			[]knowledge.Variable{{Name: "a", Title: "a", Required: true}, {Name: "b", Title: "b", Required: true}},
		},
		{
			"a name in another script", "${商品}", "{{v}}",
			[]knowledge.Variable{{Name: "v", Title: "商品", Required: true}},
		},
		{
			"several lines of default", "${list:a\nb}", "{{list}}",
			[]knowledge.Variable{{Name: "list", Title: "list", Type: knowledge.TypeMultiline, Default: "a\nb"}},
		},
		{
			"code", "${i + 1} ${f(x)} ${a.b} ${a[0]} ${a ? b : c} $${x} ${} ${ }",
			"${i + 1} ${f(x)} ${a.b} ${a[0]} ${a ? b : c} $${x} ${} ${ }", nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, vars, _ := variables(tc.in)
			for i := range tc.vars {
				if tc.vars[i].Type == "" {
					tc.vars[i].Type = knowledge.TypeText
				}
			}
			if got != tc.want {
				t.Errorf("text is %q, want %q", got, tc.want)
			}
			if diff := cmp.Diff(tc.vars, vars); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
		})
	}
}

// What a template renders is the text that was imported with the values put where the variables stood, whatever stands
// around.
func TestRenderingPutsValuesWhereTheVariablesStood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"${a}", "${b:two}", "${A}", "{", "}", "{{", "}}", "{{a}}", "{{{b}}}", "{{#a}}", "{{/a}}", "{{^b}}", "$",
			" ", "a", "#", "/",
		}), 0, 12).Draw(t, "parts")
		text := strings.Join(parts, "")
		content, vars, _ := variables(text)
		if strings.TrimSpace(content) == "" {
			return
		}
		d := &knowledge.Template{
			TemplateID: "x", Category: "c", Name: "n", TemplateContent: content, Variables: vars,
			IsActive: true,
		}
		d.Normalize()
		if err := d.Validate(); err != nil {
			t.Fatalf("%q gives %q: %v", text, content, err)
		}
		values := map[string]any{}
		want := dollarBraces().ReplaceAllStringFunc(text, func(s string) string {
			title, _, ok := splitVariable(s[2 : len(s)-1])
			if !ok {
				return s
			}
			return "<" + title + ">"
		})
		if strings.Contains(text, "$${") {
			return // an escaped variable stays as it is, and ReplaceAll can't see what stands before
		}
		for _, v := range vars {
			values[v.Name] = "<" + v.Title + ">"
		}
		got, err := d.Render(values)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("%q became %q, which renders %q, want %q", text, content, got, want)
		}
	})
}
