package check

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// anyLineEnd returns a pattern that takes the line ends of Windows for those of others: without it $ would not match
// there. A pattern that speaks of them itself stays as it is.
func anyLineEnd(pattern string) string {
	if strings.Contains(pattern, `\r`) || !strings.ContainsAny(pattern, "$\n") && !strings.Contains(pattern, `\n`) {
		return pattern
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return pattern // compiling it says why
	}
	return withReturns(re).String()
}

func withReturns(re *syntax.Regexp) *syntax.Regexp {
	for i, sub := range re.Sub {
		re.Sub[i] = withReturns(sub)
	}
	if re.Op == syntax.OpEndLine {
		return joined(mayReturn(), re)
	}
	if re.Op != syntax.OpLiteral || !slices.Contains(re.Rune, '\n') {
		return re
	}
	var parts []*syntax.Regexp
	for _, r := range re.Rune {
		if r == '\n' {
			parts = append(parts, mayReturn())
		}
		parts = append(parts, &syntax.Regexp{Op: syntax.OpLiteral, Flags: re.Flags, Rune: []rune{r}})
	}
	return joined(parts...)
}

func joined(parts ...*syntax.Regexp) *syntax.Regexp {
	return &syntax.Regexp{Op: syntax.OpConcat, Sub: parts}
}

// mayReturn matches a carriage return, or nothing.
func mayReturn() *syntax.Regexp {
	return &syntax.Regexp{
		Op: syntax.OpQuest, Sub: []*syntax.Regexp{{Op: syntax.OpLiteral, Rune: []rune{'\r'}}},
	}
}
