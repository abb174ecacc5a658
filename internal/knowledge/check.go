package knowledge

import (
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// A Check lets a program find violations of a rule: by a pattern for the text of a file, or for its path.
type Check struct {
	ID      string   `json:"id" doc:"The check's id within its rule" pattern:"^[A-Za-z0-9._-]+$" example:"private-key"`
	Kind    string   `json:"kind" doc:"forbid: no text may match; require: some text of each file must; path: no file may have such a path" enum:"forbid,require,path"`
	Pattern string   `json:"pattern" doc:"A regular expression (RE2), with ^ and $ at lines" example:"password\\s*=\\s*[\"']"`
	Globs   []string `json:"globs,omitempty" doc:"Path patterns of its files; empty: those of the rule's scope"`
	Message string   `json:"message,omitempty" doc:"What is wrong there; the rule's title when empty"`
	Fix     string   `json:"fix,omitempty" doc:"What to do about it"`
}

// Kinds of checks.
const (
	CheckForbid  = "forbid"
	CheckRequire = "require"
	CheckPath    = "path"
)

// CheckKinds returns the kinds of checks.
func CheckKinds() []string { return []string{CheckForbid, CheckRequire, CheckPath} }

// Limits of checks. A pattern costs its steps times the bytes that it reads, and every edit waits for all checks.
const (
	maxChecks       = 50
	maxPattern      = 1000
	maxPatternSteps = 2000
)

// checks checks the checks of a rule.
func (f *faults) checks(list []Check) {
	if len(list) > maxChecks {
		f.add("/checks", "%d checks: a rule has at most %d", len(list), maxChecks)
		return
	}
	seen := map[string]bool{}
	for i := range list {
		p, c := at("/checks", i), &list[i]
		f.id(p+"/id", c.ID)
		if seen[c.ID] {
			f.add(p+"/id", "%q stands there twice", clipped(c.ID))
		}
		seen[c.ID] = true
		f.oneOf(p+"/kind", c.Kind, CheckKinds())
		if why := patternFault(c.Pattern); why != "" {
			f.add(p+"/pattern", "%s", why)
		}
		f.globs(p+"/globs", c.Globs)
		f.text(p+"/message", c.Message)
		f.text(p+"/fix", c.Fix)
		f.bytes += len(c.Pattern)
	}
}

// patternFault says why a pattern can't be used, or returns "".
func patternFault(pattern string) string {
	switch {
	case pattern == "":
		return "empty: want a regular expression (RE2)"
	case len(pattern) > maxPattern:
		return "longer than 1000 bytes: cut it into several checks"
	case strings.ContainsRune(pattern, 0):
		return "holds a zero byte"
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "not a regular expression (RE2): " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return "not a regular expression (RE2): " + err.Error()
	}
	if len(prog.Inst) > maxPatternSteps {
		return "too costly: it has " + strconv.Itoa(len(prog.Inst)) +
			" steps, at most 2000 may be; a counted repetition such as {1000} costs as many, use * or +"
	}
	if matchesNothing(parsed) {
		return "matches the empty text, which stands everywhere: ask for at least one character"
	}
	return ""
}

// matchesNothing reports whether a pattern matches the empty text.
func matchesNothing(re *syntax.Regexp) bool {
	switch re.Op {
	default: // any character
		return false
	case syntax.OpEmptyMatch, syntax.OpStar, syntax.OpQuest, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText,
		syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return matchesNothing(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || matchesNothing(re.Sub[0])
	case syntax.OpConcat:
		for _, s := range re.Sub {
			if !matchesNothing(s) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, matchesNothing)
	}
}
