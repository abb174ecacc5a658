package mcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// misnamed returns an error for arguments that a tool does not have. The SDK would name them too, but not those that
// the tool has, which is what a caller has to know next.
func (d *Door) misnamed(tool string, arguments json.RawMessage) error {
	i := slices.IndexFunc(d.offered, func(t *mcp.Tool) bool { return t.Name == tool })
	if i < 0 {
		return nil // the SDK reports it
	}
	schema, ok := d.offered[i].InputSchema.(*jsonschema.Schema)
	var values any
	if ok && json.Unmarshal(arguments, &values) == nil {
		return unknownIn(schema, values, tool)
	}
	return nil // the SDK reports it
}

// unknownIn returns an error for the first member of a value that its schema does not have; in says whose it would be.
func unknownIn(schema *jsonschema.Schema, value any, in string) error {
	switch value := value.(type) {
	case map[string]any:
		if len(schema.Properties) == 0 {
			return nil // such as the values of a template: any names
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			of := schema.Properties[name]
			if of == nil {
				return fmt.Errorf("%s has no argument %q: %s", in, name, argumentsOf(schema))
			}
			if err := unknownIn(of, value[name], in+"/"+name); err != nil {
				return err
			}
		}
	case []any:
		for i, one := range value {
			if schema.Items == nil {
				return nil
			}
			if err := unknownIn(schema.Items, one, fmt.Sprintf("%s/%d", in, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// argumentsOf says which arguments a schema needs and which it takes.
func argumentsOf(schema *jsonschema.Schema) string {
	var may []string
	for _, name := range schema.PropertyOrder {
		if !slices.Contains(schema.Required, name) {
			may = append(may, name)
		}
	}
	needs, takes := strings.Join(schema.Required, ", "), strings.Join(may, ", ")
	switch {
	case needs == "":
		return "it takes " + takes
	case takes == "":
		return "it needs " + needs
	}
	return "it needs " + needs + ", and takes " + takes
}
