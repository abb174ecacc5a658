package seed

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

func TestTemplatesRender(t *testing.T) {
	left := regexp.MustCompile(`\{\{|\}\}`)
	for _, tmpl := range ofType[*knowledge.Template](load(t)) {
		t.Run(tmpl.TemplateID, func(t *testing.T) {
			for _, on := range []bool{true, false} {
				got, err := tmpl.Render(values(t, tmpl, on, false))
				if err != nil {
					t.Fatalf("with every value given and booleans %t: %v", on, err)
				}
				if at := left.FindStringIndex(got); at != nil {
					t.Errorf("with booleans %t a placeholder is left: %q", on, got[at[0]:min(at[0]+40, len(got))])
				}
				if strings.Contains(got, "\n\n\n") {
					t.Errorf("with booleans %t two blank lines follow one another in\n%s", on, got)
				}
			}
			got, err := tmpl.Render(values(t, tmpl, true, true))
			if err != nil {
				t.Fatalf("with defaults and the required values only: %v", err)
			}
			if left.MatchString(got) {
				t.Errorf("with defaults and the required values only a placeholder is left in\n%s", got)
			}
		})
	}
}

func TestTemplateVariablesAreTheirPlaceholders(t *testing.T) {
	for _, tmpl := range ofType[*knowledge.Template](load(t)) {
		used := map[string]bool{}
		for _, name := range knowledge.Placeholders(tmpl.TemplateContent) {
			used[name] = true
		}
		for _, v := range tmpl.Variables {
			if !used[v.Name] {
				t.Errorf("%s: variable %s stands nowhere in the text", tmpl.TemplateID, v.Name)
			}
			delete(used, v.Name)
			if v.Title == v.Name || v.Description == "" {
				t.Errorf("%s: variable %s wants a title to show and a description", tmpl.TemplateID, v.Name)
			}
			if v.Required && v.Default != nil {
				t.Errorf("%s: variable %s is required but has a default, so it is never missed", tmpl.TemplateID,
					v.Name)
			}
		}
		for name := range used {
			t.Errorf("%s: placeholder {{%s}} has no variable", tmpl.TemplateID, name)
		}
	}
}

func TestEveryVariableTypeIsShownSeveralTimes(t *testing.T) {
	count := map[string]int{}
	for _, tmpl := range ofType[*knowledge.Template](load(t)) {
		if tmpl.Description == "" {
			t.Errorf("%s has no description", tmpl.TemplateID)
		}
		for _, v := range tmpl.Variables {
			count[v.Type]++
			if v.Pattern != "" {
				count["with a pattern"]++
			}
			if v.Required {
				count["required"]++
			}
			if v.Default != nil {
				count["with a default"]++
			}
		}
	}
	for _, what := range append(knowledge.VariableTypes(), "with a pattern", "required", "with a default") {
		if count[what] < 5 {
			t.Errorf("%d variables %s, want several", count[what], what)
		}
	}
}

// values makes a value for every variable, or only for the required ones, with all booleans set alike.
func values(t *testing.T, tmpl *knowledge.Template, on, requiredOnly bool) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, v := range tmpl.Variables {
		if requiredOnly && !v.Required {
			continue
		}
		switch v.Type {
		case knowledge.TypeText:
			out[v.Name] = "some " + v.Title
			if v.Pattern != "" {
				re, err := syntax.Parse(v.Pattern, syntax.Perl)
				if err != nil {
					t.Fatalf("variable %s: %v", v.Name, err)
				}
				out[v.Name] = sample(re)
			}
		case knowledge.TypeMultiline:
			out[v.Name] = "first line of " + v.Title + "\nsecond line"
		case knowledge.TypeNumber:
			out[v.Name] = 3.5
		case knowledge.TypeBoolean:
			out[v.Name] = on
		case knowledge.TypeSelect:
			out[v.Name] = v.Options[len(v.Options)-1]
		case knowledge.TypeMultiselect:
			out[v.Name] = v.Options
		default:
			t.Fatalf("variable %s has type %q, for which no value can be made", v.Name, v.Type)
		}
	}
	return out
}

// sample returns a short text that a pattern matches.
func sample(re *syntax.Regexp) string {
	var b strings.Builder
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(re.Rune[0])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpAlternate, syntax.OpCapture, syntax.OpPlus:
		return sample(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			b.WriteString(sample(sub))
		}
	case syntax.OpRepeat:
		for range re.Min {
			b.WriteString(sample(re.Sub[0]))
		}
	default: // what may be left out: anchors, *, ?
	}
	return b.String()
}
