package mcp

import (
	"context"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"tenet/internal/check"
)

// A Tool is a tool for the manual.
type Tool struct {
	Name, About string
	Arguments   []Argument
}

// An Argument is an argument of a [Tool].
type Argument struct {
	Name, Type, About string
	Required          bool
}

// Tools returns the tools of a server, in the order in which they are offered.
func Tools() []Tool {
	checks := func(context.Context, *check.Question) (*check.Result, error) { return &check.Result{}, nil }
	d := New(Options{Check: checks})
	var list []Tool
	for _, t := range d.offered {
		one := Tool{Name: t.Name, About: t.Description}
		if schema, ok := t.InputSchema.(*jsonschema.Schema); ok {
			one.Arguments = described(schema, "")
		}
		list = append(list, one)
	}
	return list
}

// described returns the arguments of a schema, and those of objects in a list behind the list.
func described(schema *jsonschema.Schema, in string) []Argument {
	var list []Argument
	for _, name := range schema.PropertyOrder {
		of := schema.Properties[name]
		a := Argument{in + name, of.Type, of.Description, slices.Contains(schema.Required, name)}
		if of.Items == nil {
			list = append(list, a)
			continue
		}
		a.Type = "list of " + of.Items.Type + "s"
		list = append(append(list, a), described(of.Items, in+name+"[].")...)
	}
	return list
}
