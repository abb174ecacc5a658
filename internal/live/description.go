package live

import _ "embed"

//go:embed asyncapi.json
var description []byte

// Description returns the AsyncAPI document of the stream, as JSON.
func Description() []byte { return description }
