package interchange

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A frontMatter is the front matter of a Markdown file. Readers take the keys that they know; the rest goes into extra.
type frontMatter struct {
	values map[string]any
	raw    map[string]string // what stood behind each key, for those that YAML would misread
	notes  []string
}

var keyLine = compiled(`^["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*:(?:[ \t]+(.*))?$`)

// tightKey is a key that tools know, written without the space that YAML wants.
var tightKey = compiled(`^(description|globs|alwaysApply|applyTo|title|name|tags):(\S.*)$`)

// splitFrontMatter returns the front matter of a text and what follows it. Real front matter is often not valid YAML
// (globs: **/*.ts), and sometimes has no end: what can be read is read, and noted.
func splitFrontMatter(text string) (*frontMatter, string) {
	fm := &frontMatter{values: map[string]any{}, raw: map[string]string{}}
	start, above := text, 1
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			break
		}
		start = start[len(line):]
		above++
	}
	first, rest, _ := strings.Cut(start, "\n")
	if strings.TrimRight(first, " \t") != "---" {
		return fm, text
	}
	var head []string
	body, closed := "", false
	for line := range strings.Lines(rest) {
		rest = rest[len(line):]
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " \t") == "---" {
			body, closed = rest, true
			break
		}
		head = append(head, line)
	}
	if !looksLikeKeys(head) {
		if closed && strings.TrimSpace(strings.Join(head, "")) == "" {
			return fm, body
		}
		return fm, text // a thematic break
	}
	if !closed {
		head, body = cutOpenHead(head)
		fm.notes = append(fm.notes, "the front matter has no closing ---: taken to end where its keys end")
	}
	fm.parse(head, above)
	return fm, body
}

// looksLikeKeys reports whether the first line that says something is a key.
func looksLikeKeys(head []string) bool {
	for _, line := range head {
		s := strings.TrimSpace(line)
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		line = strings.TrimRight(line, " \t")
		return keyLine().MatchString(line) || tightKey().MatchString(line)
	}
	return false
}

// cutOpenHead splits lines after "---" that has no end: keys and what is indented below them, then the body.
func cutOpenHead(lines []string) (head []string, body string) {
	n := 0
	for n < len(lines) {
		line := strings.TrimRight(lines[n], " \t")
		if line == "" || !keyLine().MatchString(line) && !tightKey().MatchString(line) && !strings.ContainsAny(line[:1],
			" \t-") {
			break
		}
		n++
	}
	return lines[:n], strings.Join(lines[n:], "\n")
}

// parse reads the lines of front matter, above which others stand in the file.
func (fm *frontMatter) parse(head []string, above int) {
	for _, c := range chunks(head) {
		fm.raw[c.key] = c.value
	}
	docs, err := parseYAML(strings.Repeat("\n", above) + strings.Join(head, "\n")) // so that lines count as in the file
	if err == nil && len(docs) == 1 {
		if m, ok := docs[0].value.(map[string]any); ok {
			fm.values = m
			return
		}
	}
	if err != nil {
		fm.notes = append(fm.notes, "front matter is "+strings.TrimPrefix(err.Error(), "yaml: ")+"; read key by key")
	}
	for _, c := range chunks(head) {
		if _, twice := fm.values[c.key]; twice {
			fm.notes = append(fm.notes, fmt.Sprintf("front matter has %q twice: the last one counts", c.key))
		}
		fm.values[c.key] = c.parse()
	}
}

// A chunk is a key of front matter with everything that belongs to it.
type chunk struct {
	key   string
	value string // behind the colon, without the lines below
	lines []string
}

func chunks(head []string) []chunk {
	var out []chunk
	for _, line := range head {
		m := keyLine().FindStringSubmatch(strings.TrimRight(line, " \t"))
		if m == nil {
			m = tightKey().FindStringSubmatch(strings.TrimRight(line, " \t"))
		}
		switch {
		case m != nil:
			out = append(out, chunk{key: m[1], value: strings.TrimSpace(m[2]), lines: []string{line}})
		case len(out) > 0:
			out[len(out)-1].lines = append(out[len(out)-1].lines, line)
		}
	}
	return out
}

// parse reads a chunk as YAML, or else as plain text.
func (c *chunk) parse() any {
	docs, err := parseYAML(strings.Join(c.lines, "\n"))
	if err == nil && len(docs) == 1 {
		if m, ok := docs[0].value.(map[string]any); ok && len(m) == 1 {
			return m[c.key]
		}
	}
	if list := c.list(); list != nil {
		return list
	}
	value := strings.Join(append([]string{c.value}, c.lines[1:]...), "\n")
	return unquote(strings.TrimSpace(value))
}

// list reads lines that begin with a hyphen, one element each; nil if there are others. To YAML an element such as
// **/*.ts is an alias, unless it is quoted.
func (c *chunk) list() []any {
	var list []any
	for _, line := range c.lines[1:] {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if line == "" || line[0] == '#' {
			continue
		}
		element, ok := strings.CutPrefix(line, "- ")
		if !ok || c.value != "" {
			return nil
		}
		list = append(list, unquote(strings.TrimSpace(element)))
	}
	return list
}

// unquote removes the quotation marks around a text. Those of a list, "a", "b", are not around it.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] && strings.IndexByte(s[1:len(s)-1],
		s[0]) < 0 {
		return s[1 : len(s)-1]
	}
	return s
}

// has reports whether one of the keys is there, in any case of letters.
func (fm *frontMatter) has(keys ...string) bool {
	for k := range fm.values {
		for _, want := range keys {
			if strings.EqualFold(k, want) {
				return true
			}
		}
	}
	return false
}

// keyFold returns a key as the front matter has it, in whatever case of letters.
func (fm *frontMatter) keyFold(key string) string {
	if _, ok := fm.values[key]; ok {
		return key
	}
	for _, have := range slices.Sorted(maps.Keys(fm.values)) {
		if strings.EqualFold(have, key) {
			return have
		}
	}
	return key
}

// take returns the value of a key and removes it, so that it does not go into extra.
func (fm *frontMatter) take(key string) (value any, raw string) {
	k := fm.keyFold(key)
	value, raw = fm.values[k], fm.raw[k]
	delete(fm.values, k)
	return value, raw
}

// text takes a key as one text.
func (fm *frontMatter) text(key string) string {
	v, _ := fm.take(key)
	return textOf(v)
}

// peek is text without taking the key.
func (fm *frontMatter) peek(key string) string { return textOf(fm.values[key]) }

// peekFold is peek in any case of letters.
func (fm *frontMatter) peekFold(key string) string { return fm.peek(fm.keyFold(key)) }

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, textOf(e))
		}
		return strings.Join(parts, ", ")
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}

// list takes a key as a list of texts: a YAML list, or a text with commas.
func (fm *frontMatter) list(key string) []string {
	v, _ := fm.take(key)
	return listOf(v)
}

func listOf(v any) []string {
	var out []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if s := textOf(e); s != "" {
				out = append(out, s)
			}
		}
	default:
		for s := range strings.SplitSeq(textOf(v), ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// truth takes a key as a boolean; anything but true, yes and 1 is false.
func (fm *frontMatter) truth(key string) bool {
	v, _ := fm.take(key)
	return slices.Contains([]string{"true", "yes", "1", "on"}, strings.ToLower(textOf(v)))
}

// globs takes a key as path patterns.
func (fm *frontMatter) globs(key string) []string {
	v, raw := fm.take(key)
	var parts []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			parts = append(parts, splitGlobs(textOf(e))...)
		}
	case string:
		v, _, _ = strings.Cut(v, " #") // a comment that YAML did not get to see
		if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
			v = v[1 : len(v)-1]
		}
		parts = splitGlobs(v)
	case nil:
	default:
		parts = splitGlobs(raw) // {a,b} and *.ts are other things to YAML
	}
	out := []string{}
	for _, g := range parts {
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

// splitGlobs splits patterns at the commas that stand outside of braces and brackets.
func splitGlobs(s string) []string {
	var out []string
	depth, start := 0, 0
	add := func(g string) {
		if g = strings.TrimSpace(unquote(strings.TrimSpace(g))); g != "" {
			out = append(out, g)
		}
	}
	for i := range len(s) {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth = max(0, depth-1)
		case ',', '\n':
			if depth == 0 {
				add(s[start:i])
				start = i + 1
			}
		}
	}
	add(s[start:])
	return out
}
