package knowledge

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one thing wrong with what a caller sent.
type Fault struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) of the faulty field, "" for the whole
	Detail  string `json:"detail"`  // what is wrong, and what would be right
}

// An InvalidError holds every fault of what a caller sent. Nothing was done.
type InvalidError struct {
	Faults []Fault
	// Query is true when a query or a path is at fault, not a document.
	Query bool
}

// Error lists the faults.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("invalid: ")
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Pointer != "" {
			b.WriteString(f.Pointer + ": ")
		}
		b.WriteString(f.Detail)
	}
	return b.String()
}

// Invalid returns an [*InvalidError] with one fault.
func Invalid(pointer, format string, args ...any) *InvalidError {
	return &InvalidError{Faults: []Fault{{pointer, fmt.Sprintf(format, args...)}}}
}

// BadQuery returns an [*InvalidError] about a parameter of a query.
func BadQuery(parameter, format string, args ...any) *InvalidError {
	return &InvalidError{Faults: []Fault{{"/" + parameter, fmt.Sprintf(format, args...)}}, Query: true}
}

// Below returns the error with every pointer moved below prefix.
func (e *InvalidError) Below(prefix string) *InvalidError {
	out := &InvalidError{Faults: make([]Fault, len(e.Faults)), Query: e.Query}
	for i, f := range e.Faults {
		out.Faults[i] = Fault{prefix + f.Pointer, f.Detail}
	}
	return out
}

// MaxFaults is how many faults an error names. A caller with more of them has another trouble than each of them.
const MaxFaults = 100

// faults collects what is wrong with a document.
type faults struct {
	list  []Fault
	more  int // those over MaxFaults
	bytes int // of all values that were looked at, roughly
}

// stampRoom is what the stamps of a document may add to it.
const stampRoom = 4 << 10

// document is err for a whole document, whose size it checks where that is near the bound. What is stored can then always
// be sent back: as JSON it is no longer than what may be sent.
func (f *faults) document(d Document) error {
	if f.bytes > MaxDocument/8 {
		whole, err := Canonical(d)
		stamp, stampErr := json.Marshal(d.Stamps())
		if n := len(whole) - len(stamp); err == nil && stampErr == nil && n > MaxDocument-stampRoom {
			f.add("", "%d bytes as JSON: a document has at most %d", n, MaxDocument-stampRoom)
		}
	}
	return f.err()
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	if f.more > 0 {
		f.list = append(f.list, Fault{"", fmt.Sprintf("and %d more faults", f.more)})
	}
	return &InvalidError{Faults: f.list}
}

// full reports whether another fault would only be counted.
func (f *faults) full() bool { return len(f.list) >= MaxFaults }

func (f *faults) add(pointer, format string, args ...any) {
	if f.full() {
		f.more++
		return
	}
	f.list = append(f.list, Fault{pointer, fmt.Sprintf(format, args...)})
}

// below adds the faults of a part, where err is an [*InvalidError] about it.
func (f *faults) below(pointer string, err error) {
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return
	}
	for _, fault := range invalid.Faults {
		f.add(pointer+fault.Pointer, "%s", fault.Detail)
	}
}

// clipped is a text as messages show it: its beginning, where it is long.
type clipped string

// String returns the text, or its beginning.
func (c clipped) String() string {
	const most = 80
	if len(c) <= most {
		return string(c)
	}
	end := most
	for end > 0 && !utf8.RuneStart(c[end]) { // what is no UTF-8 may have no start at all
		end--
	}
	return string(c[:end]) + "…"
}

func (f *faults) id(pointer, id string) {
	if why := idFault(id); why != "" {
		f.add(pointer, "%s", why)
	}
}

func (f *faults) ref(pointer, id string) {
	if id == "" {
		f.add(pointer, "missing: want the id of an existing document")
		return
	}
	f.id(pointer, id)
}

// line checks a title: one line, not empty, at most MaxTitle characters.
func (f *faults) line(pointer, s string) {
	if strings.TrimSpace(s) == "" {
		f.add(pointer, "missing: want one line of text")
		return
	}
	f.short(pointer, s)
}

func (f *faults) short(pointer, s string) {
	if n := utf8.RuneCountInString(s); n > MaxTitle {
		f.add(pointer, "%d characters: at most %d fit", n, MaxTitle)
	}
	if strings.ContainsAny(s, "\n\r") {
		f.add(pointer, "holds a line break: want one line")
	}
	f.text(pointer, s)
}

func (f *faults) needed(pointer, s string) {
	if strings.TrimSpace(s) == "" {
		f.add(pointer, "missing: want text")
		return
	}
	f.text(pointer, s)
}

func (f *faults) text(pointer, s string) {
	f.bytes += len(s)
	if len(s) > MaxText {
		f.add(pointer, "%d bytes: at most %d fit", len(s), MaxText)
		return
	}
	if why := TextFault(s); why != "" {
		f.add(pointer, "%s", why)
	}
}

func (f *faults) count(pointer string, n int) {
	if n > MaxItems {
		f.add(pointer, "%d entries: at most %d fit", n, MaxItems)
	}
}

func (f *faults) texts(pointer string, list []string) {
	f.count(pointer, len(list))
	for i, s := range list {
		f.text(at(pointer, i), s)
	}
}

func (f *faults) examples(pointer string, list []Example) {
	f.count(pointer, len(list))
	for i, e := range list {
		p := at(pointer, i)
		if e.Code == "" && e.Note == "" {
			f.add(p, "empty: want code or a note")
		}
		f.text(p+"/title", e.Title)
		f.text(p+"/language", e.Language)
		f.text(p+"/code", e.Code)
		f.text(p+"/note", e.Note)
	}
}

func (f *faults) oneOf(pointer, s string, want []string) {
	if slices.Contains(want, s) {
		return
	}
	f.add(pointer, "%q: want one of %s", clipped(s), strings.Join(want, ", "))
}

func (f *faults) between(pointer string, v, low, high float64) {
	if !(v >= low && v <= high) {
		f.add(pointer, "%v: want a number from %v to %v", v, low, high)
	}
}

func (f *faults) common(c *Common) {
	f.count("/tags", len(c.Tags))
	seen := map[string]bool{}
	for i, t := range c.Tags {
		if seen[t] {
			f.add(at("/tags", i), "%q stands there twice", clipped(t))
		}
		seen[t] = true
		f.line(at("/tags", i), t)
	}
	f.oneOf("/scope/activation", c.Scope.Activation, Activations())
	f.texts("/scope/globs", c.Scope.Globs)
	f.texts("/scope/languages", c.Scope.Languages)
	f.texts("/scope/targets", c.Scope.Targets)
	for i, l := range c.Scope.Languages {
		if l != strings.ToLower(l) || l == "" {
			f.add(at("/scope/languages", i), "%q: want a language in lower case, as in go", clipped(l))
		}
	}
	f.value("/extra", c.Extra, 1)
}

// time checks that an instant can be written in [TimeLayout].
func (f *faults) time(pointer string, t Time) {
	if y := t.UTC().Year(); !t.IsZero() && (y < 1 || y > 9999) {
		f.add(pointer, "the year %d: want one from 1 to 9999", y)
	}
}

// value checks every text of a free JSON value that stands depth levels deep.
func (f *faults) value(pointer string, v any, depth int) {
	if depth > MaxDepth {
		f.add(pointer, "nested deeper than %d levels", MaxDepth)
		return
	}
	f.bytes += 8
	switch v := v.(type) {
	case nil, bool:
	case string:
		f.text(pointer, v)
	case json.Number:
		f.bytes += len(v)
		if _, ok := plainDecimal(v.String()); !ok {
			f.add(pointer, "%q is no number that can be kept", clipped(v))
		}
	case []any:
		for i, e := range v {
			f.value(at(pointer, i), e, depth+1)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			f.text(pointer, k)
			f.value(pointer+"/"+escapePointer(clipped(k).String()), v[k], depth+1)
		}
	default:
		f.add(pointer, "%T: want a value that JSON has", v)
	}
}

func at(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

func escapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// secrets are the shapes of credentials that must not be stored where every assistant reads.
//
//nolint:gochecknoglobals // compiled once, never written
var secrets = []struct {
	what string
	re   *regexp.Regexp
	mark string // a cheap substring without which re can't match; rare in other texts
}{
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\s+(?:[A-Za-z0-9+/=]\s*){64}`), "PRIVATE KEY-----"},
	{"an AWS access key", regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`), "AKIA"},
	{"an AWS access key", regexp.MustCompile(`\bASIA[0-9A-Z]{16}\b`), "ASIA"},
	{"a GitHub token", regexp.MustCompile(`\bghp_[A-Za-z0-9]{36,}\b`), "ghp_"},
	{"a GitHub token", regexp.MustCompile(`\bgho_[A-Za-z0-9]{36,}\b`), "gho_"},
	{"a GitHub token", regexp.MustCompile(`\bghu_[A-Za-z0-9]{36,}\b`), "ghu_"},
	{"a GitHub token", regexp.MustCompile(`\bghs_[A-Za-z0-9]{36,}\b`), "ghs_"},
	{"a GitHub token", regexp.MustCompile(`\bghr_[A-Za-z0-9]{36,}\b`), "ghr_"},
	{"a GitHub token", regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{50,}\b`), "github_pat_"},
	{"a GitLab token", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20,}\b`), "glpat-"},
	{"a Slack token", regexp.MustCompile(`\bxox[abprs]-[0-9A-Za-z-]{20,}\b`), "xox"},
	{"a Google API key", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}\b`), "AIza"},
	{"a Stripe key", regexp.MustCompile(`\b[sr]k_live_[0-9a-zA-Z]{20,}\b`), "k_live_"},
	{"an Anthropic API key", regexp.MustCompile(`\bsk-ant-[A-Za-z0-9_-]{32,}\b`), "sk-ant-"},
	{"an OpenAI API key", regexp.MustCompile(`\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b`), "T3BlbkFJ"},
	{"an OpenAI API key", regexp.MustCompile(`\bsk-proj-[A-Za-z0-9_-]{40,}\b`), "sk-proj-"},
	{"an npm token", regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}\b`), "npm_"},
	{"a tenet token", regexp.MustCompile(`\btenet_[A-Za-z0-9_-]{43}\b`), "tenet_"},
}

// TextFault says what forbids storing a text, with the place, or nothing: invalid UTF-8, control characters,
// characters that change the direction of text or hide it, credentials.
func TextFault(s string) string {
	if !utf8.ValidString(s) {
		for i, r := range s {
			if r == utf8.RuneError {
				if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
					return place(s, i) + ": not valid UTF-8"
				}
			}
		}
	}
	prev := rune(0)
	for i, r := range s {
		if r >= ' ' && r < 0x7f { // most text, most of the time
			prev = r
			continue
		}
		switch {
		case r == '\n' || r == '\t' || r == '\r':
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return fmt.Sprintf("%s: control character U+%04X", place(s, i), r)
		case r == 0x061c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return fmt.Sprintf("%s: invisible direction character U+%04X, which makes text read otherwise than it is", place(s, i), r)
		case r >= 0xe0000 && r <= 0xe007f && prev != 0x1f3f4 && (prev < 0xe0000 || prev > 0xe007f):
			// Tag characters follow a black flag to make the flags of regions; elsewhere they only hide text.
			return fmt.Sprintf("%s: invisible tag character U+%04X", place(s, i), r)
		}
		prev = r
	}
	for _, k := range secrets {
		if !strings.Contains(s, k.mark) {
			continue
		}
		for _, m := range k.re.FindAllStringIndex(s, -1) {
			if strings.Contains(strings.ToUpper(s[m[0]:m[1]]), "EXAMPLE") { // the documented placeholder keys
				continue
			}
			return fmt.Sprintf("%s: looks like %s; remove it, and revoke it if it is real", place(s, m[0]), k.what)
		}
	}
	return ""
}

// place names the line and column of byte i of s.
func place(s string, i int) string {
	line := 1 + strings.Count(s[:i], "\n")
	col := 1 + utf8.RuneCountInString(s[strings.LastIndexByte(s[:i], '\n')+1:i])
	return fmt.Sprintf("line %d, column %d", line, col)
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func joinText(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p)
	}
	return b.String()
}

func exampleText(list []Example) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString(joinText(e.Title, e.Code, e.Note) + "\n")
	}
	return b.String()
}
