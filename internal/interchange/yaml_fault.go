package interchange

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bounds of the search for the line of a fault.
const (
	maxFaultText  = 1 << 20 // bytes
	maxFaultLines = 50      // that one quote or bracket may go over
)

var yamlLine = compiled(`^line \d+: `)

// yamlFault says why a text is not YAML, with the line of the fault. The library names the line in which the list or
// the mapping around it begins, and sometimes none.
func yamlFault(text string, err error) error {
	why := strings.TrimPrefix(err.Error(), "yaml: ")
	if line := yamlFaultLine(text); line > 0 {
		return fmt.Errorf("not YAML: line %d: %s", line, yamlLine().ReplaceAllString(why, ""))
	}
	return fmt.Errorf("not YAML: %s", why)
}

// yamlFaultLine returns the line in which a text stops being YAML, or in which the quote or the bracket begins that
// never ends; 0 if that is too far to look for.
func yamlFaultLine(text string) int {
	if len(text) > maxFaultText {
		return 0
	}
	lines := strings.SplitAfter(strings.TrimRight(text, "\n"), "\n")
	r := &lineReader{lines: lines}
	if wellFormed(r) {
		return 0
	}
	for n := r.read; n > r.read-maxFaultLines; n-- {
		if n <= 1 || wellFormed(&lineReader{lines: lines[:n-1]}) {
			return n
		}
	}
	return 0
}

// wellFormed reports whether all that a reader gives is YAML.
func wellFormed(r io.Reader) bool {
	dec := yaml.NewDecoder(r)
	for {
		switch err := dec.Decode(new(yaml.Node)); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}

// A lineReader gives a line at a time, so that it is known how far its reader came.
type lineReader struct {
	lines []string
	rest  string
	read  int // lines that were given, at least in part
}

// Read gives the rest of a line, or the next one.
func (r *lineReader) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.read == len(r.lines) {
			return 0, io.EOF
		}
		r.rest = r.lines[r.read]
		r.read++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
