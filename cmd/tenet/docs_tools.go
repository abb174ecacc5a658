package main

import (
	"bytes"
	"fmt"

	"tenet/internal/mcp"
)

// toolsPage is the page whose list of tools is generated, between toolsBegin and toolsEnd.
const (
	toolsPage  = "mcp.md"
	toolsBegin = "<!-- tools: written by `go run ./cmd/tenet docs` -->\n"
	toolsEnd   = "<!-- end of the tools -->\n"
)

// toolsDocument returns the page at path with a new list of tools.
func toolsDocument(path string) ([]byte, error) {
	before, after, err := around(path, toolsBegin, toolsEnd)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(before + toolsBegin)
	for _, t := range mcp.Tools() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| argument | type | meaning |\n| --- | --- | --- |\n", t.Name, t.About)
		for _, a := range t.Arguments {
			about := a.About
			if a.Required {
				about = "required: " + about
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", a.Name, a.Type, cellText(about))
		}
	}
	b.WriteString("\n" + toolsEnd + after)
	return b.Bytes(), nil
}
