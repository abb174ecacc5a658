package httpapi

import (
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"tenet/internal/knowledge"
)

// schemaPrefix begins the reference to a schema.
const schemaPrefix = "#/components/schemas/"

// inputSuffix ends the name of the schema of a document as a writer sends it.
const inputSuffix = "Input"

// bodySchema returns the schema of a request body. A document is sent without the fields that only the server writes.
func bodySchema(schemas huma.Registry, t reflect.Type) *huma.Schema {
	s := schemas.Schema(t, true, "")
	if slices.ContainsFunc(knowledge.Kinds(), func(k knowledge.Kind) bool { return documentType(k) == t }) {
		return &huma.Schema{Ref: s.Ref + inputSuffix}
	}
	return s
}

// input returns the schema of a document as a writer sends it: without the fields that the store writes, but for the
// version, which says what the writer saw. Who sends the others back, as they were read, is not refused.
func input(document *huma.Schema, needed []string) *huma.Schema {
	s := *document
	s.Required, s.Properties = slices.Clone(needed), map[string]*huma.Schema{}
	for name, p := range document.Properties {
		if name == "version" {
			seen := *p
			seen.ReadOnly = false
			seen.Description = "The version that the writer saw: another one there is a conflict. Left out, the " +
				"last writer wins"
			p = &seen
		}
		if !p.ReadOnly {
			s.Properties[name] = p
		}
	}
	s.AdditionalProperties = nil
	return &s
}
