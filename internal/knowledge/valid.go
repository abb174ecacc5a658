package knowledge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Fault is one mistake in a caller's input.
type Fault struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) of the faulty field, "" for the whole
	Detail  string `json:"detail"`  // what is wrong, and what would be right
}

// An InvalidError holds every fault of a caller's input. Nothing was done.
type InvalidError struct {
	Faults []Fault
	// Query is true if a query or a path is at fault, not a document.
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

// MaxFaults is the largest number of faults that an error lists. With more, single faults are not the problem.
const MaxFaults = 100

// faults collects the faults of a document.
type faults struct {
	list  []Fault
	more  int // those over MaxFaults
	bytes int // approximate size of the values checked so far

	stored bool // from a database: unknown fields are not faults
}

// stampRoom is the largest size of the stamps of a document.
const stampRoom = 4 << 10

// document is err for a whole document. It also checks the size, so that a stored document can always be sent back: its
// JSON is never larger than the limit for requests.
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
		f.list = append(f.list, Fault{"", "and " + Count(f.more, "more fault", "more faults")})
	}
	return &InvalidError{Faults: f.list}
}

// full reports whether further faults are only counted.
func (f *faults) full() bool { return len(f.list) >= MaxFaults }

func (f *faults) add(pointer, format string, args ...any) {
	if f.full() {
		f.more++
		return
	}
	f.list = append(f.list, Fault{pointer, fmt.Sprintf(format, args...)})
}

// below adds the faults of a part, if err is an [*InvalidError].
func (f *faults) below(pointer string, err error) {
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return
	}
	for _, fault := range invalid.Faults {
		f.add(pointer+fault.Pointer, "%s", fault.Detail)
	}
}

// clipped is a text that messages truncate if it is long.
type clipped string

// String returns the text, or its beginning.
func (c clipped) String() string {
	const most = 80
	if len(c) <= most {
		return string(c)
	}
	end := most
	for end > 0 && !utf8.RuneStart(c[end]) { // invalid UTF-8 may have no start at all
		end--
	}
	return string(c[:end]) + "…"
}

func (f *faults) id(pointer, id string) {
	if id == "" {
		f.add(pointer, "missing: want an id of 1 to %d characters of A-Z, a-z, 0-9, '.', '_', '-'", MaxID)
		return
	}
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

func (f *faults) category(pointer, id string) {
	if id == "" {
		f.add(pointer, "missing: want the id of an existing category")
		return
	}
	f.id(pointer, id)
}

// line checks a title: one line, not empty, at most MaxTitle characters.
func (f *faults) line(pointer, s string) {
	if blank(s) {
		f.add(pointer, "missing: want one line of text")
		return
	}
	f.short(pointer, s)
}

// lineBreaks are the characters that end a line, on paper or in Unicode.
const lineBreaks = "\n\r\u2028\u2029"

func (f *faults) short(pointer, s string) {
	if n := utf8.RuneCountInString(s); n > MaxTitle {
		f.add(pointer, "%d characters: at most %d fit", n, MaxTitle)
	}
	if strings.ContainsAny(s, lineBreaks) {
		f.add(pointer, "holds a line break: want one line")
	}
	f.text(pointer, s)
}

func (f *faults) needed(pointer, s string) {
	if blank(s) {
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
	f.globs("/scope/globs", c.Scope.Globs)
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

// value checks every text of a free JSON value at a nesting depth.
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
			f.value(pointer+"/"+EscapePointer(clipped(k).String()), v[k], depth+1)
		}
	default:
		f.add(pointer, "%T: want a value that JSON has", v)
	}
}

func at(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

// EscapePointer writes a name as a part of a JSON pointer.
func EscapePointer(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// TextFault says why a text may not be stored, with the place, or returns "": invalid UTF-8, control characters,
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
	var h hider
	for i, r := range s {
		if r >= ' ' && r < 0x7f { // the common case
			h = hider{prev: r}
			continue
		}
		if why := h.fault(s, i, r); why != "" {
			return why
		}
	}
	return secretFault(s)
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
