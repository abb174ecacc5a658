package knowledge_test

import (
	"slices"
	"strings"
	"testing"

	"tenet/internal/knowledge"
)

// TestFieldsAreThoseOfTheJSON compares what people are told of each kind with what its example has.
func TestFieldsAreThoseOfTheJSON(t *testing.T) {
	for _, d := range knowledge.Described() {
		doc, err := knowledge.Canonical(d.Example())
		if err != nil {
			t.Fatal(err)
		}
		fields := knowledge.FieldsOf(d.Kind)
		for _, f := range fields {
			if f.Doc == "" {
				t.Errorf("%s.%s: nothing says what it is for", d.Kind, f.Name)
			}
			if _, ok := knowledge.FieldValue(doc, f.Name); f.Needed && !ok {
				t.Errorf("%s.%s is needed, and the example lacks it", d.Kind, f.Name)
			}
			if err := knowledge.CheckField(d.Kind, f.Name); err != nil {
				t.Error(err)
			}
		}
		for _, name := range d.Needed {
			if !slices.ContainsFunc(fields, func(f knowledge.Field) bool { return f.Name == name && f.Needed }) {
				t.Errorf("%s.%s is needed and not described", d.Kind, name)
			}
		}
	}
	if err := knowledge.CheckField(knowledge.KindRule, "sevrity"); err == nil ||
		!strings.Contains(err.Error(), `did you mean "severity"`) {
		t.Errorf("a mistyped field is refused with %v, want the one that was meant", err)
	}
}
