package knowledge

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Limits of path patterns.
const (
	MaxGlob       = 1024 // bytes of one glob
	MaxGlobBraces = 256  // patterns that the braces of one glob stand for
	MaxPath       = 4096 // bytes of a path
)

// A Glob is a path pattern of a scope, in tenet's own dialect. It is anchored at the repository's root. ** matches any
// number of folders, * anything within one name, ? one character, [a-z] one of these, [!a-z] none of these, {a,b}
// either; a backslash escapes a character. Dotfiles match like others, and case matters. A leading ./ or / is ignored,
// a trailing / means everything below, and ! excludes paths that the other globs of the scope include.
type Glob struct {
	Exclude  bool
	Patterns []string // the patterns that the braces expand to, for [MatchPattern]
}

// ParseGlob reads a glob. The error says what is wrong with it, and where.
func ParseGlob(text string) (Glob, error) {
	var g Glob
	rest, why := text, ""
	switch {
	case len(text) > MaxGlob:
		return g, fmt.Errorf("%d bytes: a glob has at most %d", len(text), MaxGlob)
	case TextFault(text) != "":
		return g, fmt.Errorf("%s", TextFault(text))
	}
	if after, ok := strings.CutPrefix(rest, "!"); ok {
		g.Exclude, rest = true, after
	}
	if strings.Trim(rest, "./ ") == "" {
		return g, fmt.Errorf("empty: want a path pattern, as in **/*.go")
	}
	var list []string
	if list, why = expandBraces(rest); why != "" {
		return g, fmt.Errorf("%s", why)
	}
	for _, p := range list {
		if p, why = tidyPattern(p); why != "" {
			return g, fmt.Errorf("%s", why)
		}
		if p != "" && !slices.Contains(g.Patterns, p) {
			g.Patterns = append(g.Patterns, p)
		}
	}
	if len(g.Patterns) == 0 {
		return g, fmt.Errorf("empty: want a path pattern, as in **/*.go")
	}
	return g, nil
}

// EscapeGlob returns a glob that matches a path and nothing else: a folder may be called [id].
func EscapeGlob(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if strings.IndexByte(`*?[]{}\`, path[i]) >= 0 || i == 0 && path[i] == '!' {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// Match reports whether one of the glob's patterns matches a path that [CleanPath] returned, excluding or not.
func (g *Glob) Match(clean string) bool {
	return slices.ContainsFunc(g.Patterns, func(p string) bool { return MatchPattern(p, clean) })
}

// MatchPattern reports whether a pattern of [Glob.Patterns] matches a path that [CleanPath] returned.
func MatchPattern(pattern, clean string) bool { return doublestar.MatchUnvalidated(pattern, clean) }

// CleanPath returns the path of a file for matching: from the repository's root, with slashes, without dots. The error
// says why it is not a path.
func CleanPath(text string) (string, error) {
	switch {
	case len(text) > MaxPath:
		return "", fmt.Errorf("%d bytes: a path has at most %d", len(text), MaxPath)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("not a path: want UTF-8 without control characters")
	case strings.HasSuffix(text, "/"):
		return "", fmt.Errorf("%q names a folder: name a file in it", clipped(text))
	}
	p := path.Clean(strings.TrimLeft(text, "/"))
	if p == "." || text == "" {
		return "", fmt.Errorf("%q: want the path of a file from the repository's root, as in cmd/main.go",
			clipped(text))
	}
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", fmt.Errorf("%q leads out of the repository", clipped(text))
	}
	return p, nil
}

// expandBraces returns the patterns that the braces of a glob expand to, or what is wrong with its braces, classes and
// backslashes.
func expandBraces(glob string) (list []string, why string) {
	done, todo := []string{}, []string{glob}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		open, parts, after, why := firstBraces(p)
		if why != "" {
			return nil, why
		}
		if open < 0 {
			done = append(done, p)
			continue
		}
		if len(done)+len(todo)+len(parts) > MaxGlobBraces {
			return nil, fmt.Sprintf("its braces stand for more than %d patterns: write fewer alternatives",
				MaxGlobBraces)
		}
		next := make([]string, 0, len(parts)+len(todo))
		for _, part := range parts {
			next = append(next, p[:open]+part+after)
		}
		todo = append(next, todo...)
	}
	return done, ""
}

// firstBraces finds the first outermost braces of a glob: where they open, their content, and the rest behind them. If
// there are none, open is negative.
func firstBraces(p string) (open int, parts []string, after, why string) {
	open = -1
	depth, start := 0, 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			if i++; i == len(p) || p[i] == '/' {
				return 0, nil, "", "a backslash with nothing behind it: write \\\\ for a backslash itself, and / " +
					"between folders"
			}
		case '[':
			end, why := classEnd(p, i)
			if why != "" {
				return 0, nil, "", why
			}
			i = end
		case '{':
			if depth++; depth == 1 {
				open, start = i, i+1
			}
		case ',':
			if depth == 1 {
				parts, start = append(parts, p[start:i]), i+1
			}
		case '}':
			switch depth--; {
			case depth < 0:
				return 0, nil, "", fmt.Sprintf("character %d: } closes no {; write \\} for a brace itself",
					1+utf8.RuneCountInString(p[:i]))
			case depth == 0:
				return open, append(parts, p[start:i]), p[i+1:], ""
			}
		}
	}
	if depth > 0 {
		return 0, nil, "", fmt.Sprintf("character %d: { is never closed; write \\{ for a brace itself",
			1+utf8.RuneCountInString(p[:open]))
	}
	return open, nil, "", ""
}

// classEnd returns where the class that begins at i ends, or what is wrong with it.
func classEnd(p string, i int) (end int, why string) {
	at := 1 + utf8.RuneCountInString(p[:i])
	j := i + 1
	if j < len(p) && (p[j] == '!' || p[j] == '^') {
		j++
	}
	for first := j; j < len(p); j++ {
		switch {
		case p[j] == '/':
			return 0, fmt.Sprintf("character %d: a class in brackets can't hold a /", at)
		case p[j] == '\\':
			j++
		case p[j] == ']' && j == first:
			return 0, fmt.Sprintf("character %d: [] holds nothing; write \\[ for a bracket itself", at)
		case p[j] == ']':
			if !doublestar.ValidatePattern(p[i : j+1]) {
				return 0, fmt.Sprintf("character %d: %s is no class: want one such as [a-z] or [!0-9]", at, p[i:j+1])
			}
			return j, ""
		}
	}
	return 0, fmt.Sprintf("character %d: [ is never closed; write \\[ for a bracket itself", at)
}

// tidyPattern returns the canonical form of a pattern without braces, or "" if it matches nothing.
func tidyPattern(p string) (tidy, why string) {
	below := strings.HasSuffix(p, "/")
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		switch part = singleStars(part); {
		case part == "" || part == ".":
		case part == "..":
			return "", "leads out of the repository: .. stands for the folder above"
		case part == "**" && len(parts) > 0 && parts[len(parts)-1] == "**":
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	if below && parts[len(parts)-1] != "**" {
		parts = append(parts, "**")
	}
	if parts[len(parts)-1] == "**" {
		parts = append(parts, "*") // what is below a folder, and not the folder
	}
	tidy = strings.Join(parts, "/")
	if !doublestar.ValidatePattern(tidy) {
		return "", fmt.Sprintf("%q is no pattern", clipped(tidy))
	}
	return tidy, ""
}

// singleStars replaces several stars beside other characters by one: ** means folders only if it stands alone.
func singleStars(part string) string {
	if part == "**" || !strings.Contains(part, "**") {
		return part
	}
	var b strings.Builder
	star := false
	for i := 0; i < len(part); i++ {
		end := i
		switch part[i] {
		case '\\':
			end = min(i+1, len(part)-1)
		case '[':
			end, _ = classEnd(part, i)
			end = max(end, i)
		case '*':
			if star {
				continue
			}
		}
		star = part[i] == '*'
		b.WriteString(part[i : end+1])
		i = end
	}
	return b.String()
}

// globs checks the globs of a scope.
func (f *faults) globs(pointer string, list []string) {
	f.count(pointer, len(list))
	for i, text := range list {
		f.bytes += len(text)
		if _, err := ParseGlob(text); err != nil {
			f.add(at(pointer, i), "%q: %s", clipped(text), err)
		}
	}
}
