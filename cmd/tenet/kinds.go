package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
)

// explainKind shows the fields of a kind, or of one of its objects where the name goes on as in rule.scope.
func explainKind(a *app, name string) error {
	text, inner, _ := strings.Cut(name, ".")
	kind, err := parseKind(text)
	if err != nil {
		return usageError("%s\nTo hear why a document holds for a file, name both: `tenet explain PATH DOCUMENT`", err)
	}
	fields := knowledge.FieldsOf(kind)
	if inner != "" {
		if err := knowledge.CheckField(kind, inner); err != nil {
			return usageError("%s", err)
		}
		fields = slices.DeleteFunc(fields, func(f knowledge.Field) bool {
			return f.Name != inner && !strings.HasPrefix(f.Name, inner+".")
		})
	}
	t := &table{head: []string{"FIELD", "TYPE", "DEFAULT", "WHAT IT IS"}, wide: 3, wrap: true}
	for _, f := range fields {
		what := f.Doc
		if len(f.Values) > 0 {
			what += ": " + strings.Join(f.Values, ", ")
		}
		def := f.Default
		switch {
		case f.Needed:
			def = "needed"
		case f.Kept:
			def = "kept by tenet"
		}
		t.add(f.Name, f.Type, def, what)
	}
	d := knowledge.Describe(kind)
	return a.print(struct {
		Kind   knowledge.Kind    `json:"kind"`
		About  string            `json:"about"`
		Fields []knowledge.Field `json:"fields"`
	}{kind, d.About, fields}, func(w io.Writer, sc screen) error {
		if _, err := fmt.Fprintf(w, "%s: %s\n\n", kind, d.About); err != nil {
			return err
		}
		sc.columns = 0 // what a field is for is what this is for
		return t.write(w, sc)
	})
}

func addNew(a *app) {
	a.command(a.root, &cobra.Command{
		Use:   "new KIND [ID]",
		Short: "Print a document to fill in",
		Long: `Prints a document of a kind as YAML: the fields that it needs, with a sample of each, and the others
behind a #, with what each is for. Nothing is written; "tenet put" writes what became of it. Without an ID it is
called my-rule, or after another kind.`,
		Example:           "  tenet new rule SEC-100 > sec-100.yaml && $EDITOR sec-100.yaml && tenet put sec-100.yaml",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeKinds,
	}, nil, func(_ context.Context, args []string) error {
		name, id, _ := strings.Cut(args[0], "/")
		if len(args) == 2 {
			id = args[1]
		}
		kind, err := parseKind(name)
		if err != nil {
			return usageError("%s", err)
		}
		return printNew(a, kind, id)
	})
}

// printNew prints a document with the fields that a kind needs.
func printNew(a *app, kind knowledge.Kind, id string) error {
	d := knowledge.Describe(kind)
	sample := d.Example()
	switch {
	case id != "":
		if _, err := parseKey(string(kind) + "/" + id); err != nil {
			return err
		}
		knowledge.SetID(sample, id)
	case d.UUID:
		knowledge.SetID(sample, knowledge.NewBatchID().String())
	default: // the id of the sample is often that of a real document, which "tenet put" would replace
		knowledge.SetID(sample, "my-"+string(kind))
	}
	whole, err := knowledge.Canonical(sample)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	needed := &yaml.Node{Kind: yaml.MappingNode}
	var rest []string
	var names []string
	for _, f := range knowledge.FieldsOf(kind) {
		switch v, ok := knowledge.FieldValue(whole, f.Name); {
		case f.Kept || f.Name == d.ActiveField || strings.Contains(f.Name, "."):
		case f.Needed && ok:
			data, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("encode: %w", err)
			}
			value, err := yamlOf(data)
			if err != nil {
				return err
			}
			names = append(names, f.Name)
			needed.Content = append(needed.Content, &yaml.Node{
				Kind: yaml.ScalarNode, Value: f.Name,
				HeadComment: f.Doc,
			}, value)
		default:
			rest = append(rest, commented(&f, v))
		}
	}
	if a.Output == asJSON {
		doc, err := chosen(whole, names)
		if err != nil {
			return err
		}
		return printJSON(a.out, doc)
	}
	if err := interchange.EncodeYAML(a.out, needed); err != nil {
		return err
	}
	_, err = io.WriteString(a.out, strings.Join(rest, ""))
	return err
}

// withoutNulls returns a sample without what it leaves open, which would teach nothing.
func withoutNulls(sample any) any {
	if object, ok := sample.(map[string]any); ok {
		maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil })
	}
	return sample
}

// commented returns a field that may be left out as lines behind a #.
func commented(f *knowledge.Field, sample any) string {
	doc := f.Doc
	if len(f.Values) > 0 {
		doc += ": " + strings.Join(f.Values, ", ")
	}
	value := f.Default
	if value == "" {
		data, err := json.Marshal(withoutNulls(sample))
		switch {
		case sample == nil && strings.HasPrefix(f.Type, "list"):
			data = []byte("[]")
		case err != nil || sample == nil:
			data = []byte("null")
		}
		value = string(data) // JSON is YAML
	}
	return fmt.Sprintf("# %s\n# %s: %s\n", doc, f.Name, value)
}
