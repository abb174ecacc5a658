package check

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// A Skipped is a file that was not checked.
type Skipped struct {
	Path string `json:"path" doc:"The file"`
	Why  string `json:"why" doc:"Why not"`
}

// unread adds a file that is too large, or binary, to what was skipped, and returns true, if any check would have read
// it; and one that could not be read in any case. It names the mandatory rules among them: a reviewer must know that
// they were not looked for. A binary file is only told of where a check names files like it: two bytes make a binary
// file of a source file.
func (s *Set) unread(r *Result, clean string, f *File) bool {
	binary, why := isBinary(f.Content), "it has more than "+strconv.Itoa(MaxFile)+" bytes"
	switch {
	case f.Fault != "":
		why = f.Fault
	case binary:
		why = "it is binary"
	case len(f.Content) <= MaxFile:
		return false
	}
	some, mandatory := false, []string(nil)
	for i := range s.rules {
		rl := &s.rules[i]
		if !slices.ContainsFunc(rl.checks, func(c one) bool {
			return c.Kind != knowledge.CheckPath && rl.covers(&c, clean) && (!binary || rl.names(&c))
		}) {
			continue
		}
		some = true
		out := Finding{Rule: rl.RuleID, Path: clean}
		if s.exempt(&out); out.Exempt == nil && rl.Enforcement == "mandatory" {
			mandatory = append(mandatory, "rule/"+rl.RuleID)
		}
	}
	if !some && f.Fault == "" {
		return false
	}
	if n := len(mandatory); n > 0 {
		why += ": what is mandatory was not looked for in it (" + strings.Join(mandatory[:min(n, maxNamed)], ", ")
		if n > maxNamed {
			why += " and " + strconv.Itoa(n-maxNamed) + " more"
		}
		why += ")"
	}
	r.Skipped = append(r.Skipped, Skipped{clean, why})
	return true
}

// isBinary reports whether a text is none. One zero byte does not make a source file binary: in a comment it would hide
// the rest of the file.
func isBinary(text []byte) bool { return bytes.IndexByte(text, 0) >= 0 && !utf8.Valid(text) }
