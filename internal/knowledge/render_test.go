package knowledge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func template(content string, vars ...Variable) *Template {
	t := &Template{TemplateID: "t", Category: "c", Name: "T", TemplateContent: content, Variables: vars}
	t.Normalize()
	return t
}

func TestRenderWritesValuesOfEveryType(t *testing.T) {
	tmpl := template("{{text}}|{{lines}}|{{n}}|{{b}}|{{one}}|{{many}}|{{ text }}|{{{text}}}",
		Variable{Name: "text"}, Variable{Name: "lines", Type: TypeMultiline}, Variable{Name: "n", Type: TypeNumber},
		Variable{Name: "b", Type: TypeBoolean},
		Variable{Name: "one", Type: TypeSelect, Options: []string{"a", "b c"}},
		Variable{Name: "many", Type: TypeMultiselect, Options: []string{"x", "y", "z"}})
	for _, c := range []struct {
		values map[string]any
		want   string
	}{
		{nil, "|||||||"},
		{
			map[string]any{"text": "<&>", "lines": "1\n2", "n": 1.5, "b": true, "one": "b c", "many": []any{"x", "z"}},
			"<&>|1\n2|1.5|true|b c|x, z|<&>|<&>",
		},
		{
			map[string]any{"n": json.Number("12345678901234567890"), "b": "false", "many": "x, y"},
			"||12345678901234567890|false||x, y||",
		},
		{map[string]any{"n": "-3e2", "b": false, "many": []string{"z"}}, "||-3e2|false||z||"},
		{map[string]any{"n": 7, "text": nil, "lines": "", "many": []any{}}, "||7|||||"},
		{
			map[string]any{"n": int64(-7), "text": "{{lines}}", "lines": "{{text}}"},
			"{{lines}}|{{text}}|-7||||{{lines}}|{{lines}}",
		},
	} {
		got, err := tmpl.Render(c.values)
		if err != nil || got != c.want {
			t.Errorf("Render(%v) = %q (%v), want %q", c.values, got, err, c.want)
		}
	}
}

func TestRenderNamesEveryFaultAtOnce(t *testing.T) {
	tmpl := template("x", Variable{Name: "text", Required: true}, Variable{
		Name: "n", Type: TypeNumber,
		Required: true,
	}, Variable{Name: "b", Type: TypeBoolean},
		Variable{Name: "one", Type: TypeSelect, Options: []string{"a"}, Required: true},
		Variable{Name: "many", Type: TypeMultiselect, Options: []string{"x"}, Required: true},
		Variable{Name: "p", Pattern: "[a-z]+"}, Variable{Name: "m", Type: TypeMultiline})
	_, err := tmpl.Render(nil)
	wantFaults(t, "nothing given", err, "/values/text", "/values/n", "/values/one", "/values/many")
	_, err = tmpl.Render(map[string]any{"text": "", "n": "", "one": "", "many": []any{}, "a/b": 1})
	wantFaults(t, "emptiness given", err, "/values/text", "/values/n", "/values/one", "/values/many", "/values/a~1b")
	for name, values := range map[string][]any{
		"text": {1, true, []any{"a"}, map[string]any{}, "two\nlines", "\x00", "\u202e"},
		"n":    {"many", true, "NaN", "Inf", "0x10", "1_000", "1,5", []any{1}, map[string]any{"a": 1}, " 1"},
		"b":    {"yes", 1, "True", []any{true}},
		"one":  {"b", 1, []any{"a"}, "a "},
		"many": {[]any{"x", "y"}, []any{1}, 1, map[string]any{}, "x,y"},
		"p":    {"A", "a1", "aé"},
		"m":    {"\x1b", 3},
	} {
		for _, v := range values {
			good := map[string]any{"text": "t", "n": 1, "one": "a", "many": []any{"x"}}
			good[name] = v
			_, err := tmpl.Render(good)
			if got := faultsOf(t, err); len(got) == 0 || got[0] != "/values/"+name {
				t.Errorf("%s = %v: faults at %q (%v)", name, v, got, err)
			}
		}
	}
}

func TestRenderTakesDefaults(t *testing.T) {
	tmpl := template("{{a}} {{b}} {{c}} {{d}}", Variable{Name: "a", Default: "x", Required: true},
		Variable{Name: "b", Type: TypeNumber, Default: 2.50},
		Variable{Name: "c", Type: TypeBoolean, Default: false}, Variable{
			Name: "d", Type: TypeMultiselect,
			Options: []string{"p", "q"}, Default: []any{"p", "q"},
		})
	if err := tmpl.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, values := range map[string]map[string]any{
		"x 2.5 false p, q": {"a": "", "b": nil, "d": []any{}},
		"y 3 true q":       {"a": "y", "b": 3, "c": "true", "d": []string{"q"}},
	} {
		if got, err := tmpl.Render(values); err != nil || got != want {
			t.Errorf("Render(%v) = %q (%v), want %q", values, got, err, want)
		}
	}
}

func TestBracesThatAreNoPlaceholderStayText(t *testing.T) {
	for content, want := range map[string]string{
		"{{x}}":                    "V",
		"{{ x }}":                  "V",
		"{{\tx\n}}":                "V",
		"{{{x}}}":                  "V",
		"{{{ x }}}":                "V",
		`{"x":{{x}}}`:              `{"x":V}`,
		`{"x":{"y":{{x}}}}`:        `{"x":{"y":V}}`,
		"{{{x}}":                   "{V",
		"{{x}}}":                   "V}",
		"{{{{x}}}}":                "{V}",
		"{{undeclared}} {{X}}":     "{{undeclared}} {{X}}",
		"{{#undeclared}}a":         "{{#undeclared}}a",
		"{{/undeclared}}":          "{{/undeclared}}",
		"{{! x }} {{> x}} {{& x}}": "{{! x }} {{> x}} {{& x}}",
		"{x} {{}} {{ }} {{x y}}":   "{x} {{}} {{ }} {{x y}}",
		"{{x.y}} {{x|upper}}":      "{{x.y}} {{x|upper}}",
		"${{x}} <% x %> ${x}":      "$V <% x %> ${x}",
		"{{x}}{{x}}":               "VV",
		"}}{{x}}{{":                "}}V{{",
		"":                         "",
	} {
		got, err := template(content, Variable{Name: "x"}).Render(map[string]any{"x": "V"})
		if err != nil || got != want {
			t.Errorf("%q renders as %q (%v), want %q", content, got, err, want)
		}
	}
}

func TestSectionsStandForWhatIsThere(t *testing.T) {
	vars := []Variable{{Name: "a"}, {Name: "b", Type: TypeBoolean}, {
		Name: "m", Type: TypeMultiselect,
		Options: []string{"x"},
	}}
	for content, want := range map[string][3]string{ // given nothing; a=A, b=true, m=x; a=A, b=false
		"{{#a}}has {{a}}{{/a}}{{^a}}none{{/a}}":       {"none", "has A", "has A"},
		"{{#b}}on{{/b}}{{^b}}off{{/b}}":               {"off", "on", "off"},
		"{{#a}}{{#b}}both{{/b}}{{^b}}one{{/b}}{{/a}}": {"", "both", "one"},
		"{{#m}}{{m}}{{/m}}.":                          {".", "x.", "."},
		"{{# a }}{{#a}}twice{{/a}}{{/ a }}":           {"", "twice", "twice"},
	} {
		for i, values := range []map[string]any{nil, {"a": "A", "b": true, "m": []any{"x"}}, {"a": "A", "b": false}} {
			if got, err := template(content, vars...).Render(values); err != nil || got != want[i] {
				t.Errorf("%q with %v renders as %q (%v), want %q", content, values, got, err, want[i])
			}
		}
	}
	for _, content := range []string{
		"{{#a}}", "{{/a}}", "{{#a}}{{#b}}{{/a}}{{/b}}", "{{^a}}{{#a}}{{/a}}", strings.Repeat("{{#a}}", MaxDepth+1) +
			strings.Repeat("{{/a}}", MaxDepth+1),
	} {
		wantFaults(t, content, template(content, vars...).Validate(), "/template_content")
		_, err := template(content, vars...).Render(nil)
		wantFaults(t, content, err, "/template_content")
	}
}

func TestARenderedTextHasABound(t *testing.T) {
	tmpl := template(strings.Repeat("{{x}}", 100), Variable{Name: "x", Type: TypeMultiline})
	_, err := tmpl.Render(map[string]any{"x": strings.Repeat("y", MaxText)})
	wantFaults(t, "50 MB", err, "")
}

func TestPlaceholdersAreListedOnceInOrder(t *testing.T) {
	got := Placeholders("{{b}} {{#a}}{{{c}}}{{/a}} {{b}} {{ d }} {{no name}} {{{e}}")
	if diff := cmp.Diff([]string{"b", "a", "c", "d", "e"}, got); diff != "" {
		t.Error(diff)
	}
	if got := Placeholders("none"); got == nil || len(got) != 0 {
		t.Errorf("Placeholders of none: %#v", got)
	}
}

func TestSafeNamesCanStandBetweenBraces(t *testing.T) {
	for title, want := range map[string]string{
		"Brand's core product": "brand_s_core_product", "name": "name", "  Two  words ": "two_words",
		"2nd try": "v_2nd_try", "": "v", "日本": "v", "é": "v",
		"__x__": "x", "A-B.C": "a_b_c", strings.Repeat("long ", 50): strings.TrimSuffix(strings.Repeat("long_",
			13)[:64], "_"),
	} {
		got := SafeName(title)
		if got != want || !variableName().MatchString(got) {
			t.Errorf("SafeName(%q) = %q, want %q", title, got, want)
		}
	}
	taken := map[string]bool{"a": true, "a_2": true}
	if got := FreeName("a", taken) + " " + FreeName("b", taken); got != "a_3 b" {
		t.Errorf("free names: %s", got)
	}
}

func TestVariablesKeepTheShownNameApart(t *testing.T) {
	v := template("x", Variable{Name: "brand"}, Variable{Name: "b", Title: "Brand's"}).Variables
	if v[0].Title != "brand" || v[1].Title != "Brand's" || v[0].Type != TypeText || v[0].Options == nil {
		t.Errorf("variables: %+v", v)
	}
}

func TestSlipsOfThePenAreNamed(t *testing.T) {
	for _, tc := range []struct {
		content string
		vars    []string
		want    []string
	}{
		{"To {{name}}: {{message}}.", []string{"name", "message"}, nil},
		{
			"To {{name}}:\n{{mesage}}.",
			[]string{"name", "message"},
			[]string{"/template_content line 2, column 1: {{mesage}} is declared by no variable: it stays text; is " +
				"{{message}} meant?", `/variables/1 "message" stands nowhere in the text`},
		},
		{
			"{{#on}}{{x}}{{/on}}",
			[]string{"on"},
			[]string{"/template_content line 1, column 8: {{x}} is declared by no variable: it stays text"},
		},
		{"{{^off}}x{{/off}} {{{ raw }}}", []string{"off", "raw"}, nil},
		{`{"a":{}} {{ "x": 1 }} ${{ github.ref }} ${{ matrix }} {{ .Values }} {{ a | b }}`, nil, nil},
		{
			"{{user-name}} {{user_name}}",
			[]string{"user_name"},
			[]string{"/template_content line 1, column 1: {{user-name}} is no name of a variable: it stays text; is " +
				"{{user_name}} meant?"},
		},
		{"{{ big name }} {{größe}}", nil, nil},
		{
			"{{Name}} {{name}} {{Name}}",
			[]string{"name"},
			[]string{"/template_content line 1, column 1: {{Name}} is declared by no variable: it stays text; is " +
				"{{name}} meant?"},
		},
		{
			"{{name | upper}} {{name}} {{ other | upper }} ${{ name.first }} {{name.first}}",
			[]string{"name"},
			[]string{
				"/template_content line 1, column 1: {{name | upper}} is more than the name of a variable: it " +
					"stays text; is {{name}} meant?",
				"/template_content line 1, column 65: {{name.first}} is more than the name of a variable: it " +
					"stays text; is {{name}} meant?",
			},
		},
		{"costs ${{amount}}", []string{"amount"}, nil},
		{"{{other}} {{other}}", nil, []string{"/template_content line 1, column 1: {{other}} is declared by no " +
			"variable: it stays text"}},
	} {
		tpl := &Template{TemplateContent: tc.content}
		for _, v := range tc.vars {
			tpl.Variables = append(tpl.Variables, Variable{Name: v})
		}
		var got []string
		for _, f := range tpl.Loose() {
			got = append(got, f.Pointer+" "+f.Detail)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.content, diff)
		}
	}
}
