package mcp

import (
	"bytes"
	"encoding/json"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf returns the schema of a tool's arguments. What may be left out has one type: a type beside "null" is lost on the way to some
// models, and [withoutNulls] makes up for it.
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

// withoutNulls takes the arguments away that are null: some clients name every argument, and mean by null that it is left out. What is
// within an argument stays, since a null in a patch means something. What is no object stays as it is, and is refused by its schema.
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
