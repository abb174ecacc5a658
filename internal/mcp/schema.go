package mcp

import (
	"bytes"
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf returns the schema of a tool's arguments. Optional arguments have one type: some models' clients lose a type
// next to "null". [withoutNulls] compensates for that.
func schemaOf[In any]() *jsonschema.Schema {
	s, err := jsonschema.For[In](nil)
	if err != nil {
		panic(err) // the types of arguments are ours
	}
	oneType(s)
	return s
}

func oneType(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	oneType(s.Items)
	for _, p := range s.Properties {
		oneType(p)
	}
}

// withoutNulls removes arguments that are null: some clients send every argument, and null for those left out. Nulls
// inside an argument stay, since a null in a patch means something. Arguments that are not an object stay, for the
// schema to refuse.
func withoutNulls(args json.RawMessage) json.RawMessage {
	if !bytes.Contains(args, []byte("null")) {
		return args
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(args, &m) != nil || m == nil {
		return args
	}
	for name, value := range m {
		if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
			delete(m, name)
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		return args
	}
	return out
}
