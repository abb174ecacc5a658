package worktree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/tailscale/hujson"
)

// SetJSON returns a JSON file, which may have comments, with a value at a path of names. It creates missing objects on
// the path; all other bytes stay. An empty file counts as an empty object. A nil value removes the present one, and
// then the parent objects that are empty.
func SetJSON(text []byte, value any, names ...string) ([]byte, error) {
	return inItsForm(text, func(text []byte) ([]byte, error) { return setJSON(text, value, names) })
}

// byteOrder is what some editors begin a file with.
const byteOrder = "\ufeff"

// inItsForm lets fn change a text with CRLF line ends as if they were LF, and without a byte order mark.
func inItsForm(text []byte, fn func([]byte) ([]byte, error)) ([]byte, error) {
	if rest, marked := bytes.CutPrefix(text, []byte(byteOrder)); marked {
		out, err := inItsForm(rest, fn)
		return append([]byte(byteOrder), out...), err
	}
	lf, crlf := []byte{'\n'}, []byte("\r\n")
	if n := bytes.Count(text, crlf); n == 0 || n != bytes.Count(text, lf) {
		return fn(text)
	}
	out, err := fn(bytes.ReplaceAll(text, crlf, lf))
	return bytes.ReplaceAll(out, lf, crlf), err
}

func setJSON(text []byte, value any, names []string) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		if value == nil {
			return text, nil
		}
		for _, name := range slices.Backward(names) {
			value = map[string]any{name: value}
		}
		fresh, err := json.MarshalIndent(value, "", "  ")
		return append(fresh, '\n'), err
	}
	doc, err := parse(text, names)
	if err != nil {
		return nil, err
	}
	if _, ok := doc.Value.(*hujson.Object); !ok {
		return nil, fmt.Errorf("want an object at the top, and there is %s", brief(doc.Pack()))
	}
	if value == nil {
		if err := removeJSON(&doc, names); err != nil {
			return nil, err
		}
		return doc.Pack(), nil
	}
	missing := len(names) // index of the first missing name
	for n := 1; n < len(names); n++ {
		at := doc.Find(pointer(names[:n]))
		if at == nil {
			missing = min(missing, n)
			if err := patch(&doc, "add", names[:n], map[string]any{}); err != nil {
				return nil, err
			}
			continue
		}
		if _, ok := at.Value.(*hujson.Object); !ok {
			return nil, fmt.Errorf("want an object at %s, and there is %s", strings.Join(names[:n], "."),
				brief(at.Pack()))
		}
	}
	at := doc.Find(pointer(names))
	if at != nil && same(at, value) {
		return text, nil
	}
	there := at != nil
	if err := patch(&doc, "add", names, value); err != nil {
		return nil, err
	}
	if !there {
		layOut(&doc, names, missing)
	}
	return doc.Pack(), nil
}

// GetJSON decodes the value at a path of names in a JSON file, and reports whether there is one.
func GetJSON(text []byte, into any, names ...string) (bool, error) {
	text = bytes.TrimPrefix(text, []byte(byteOrder))
	if len(bytes.TrimSpace(text)) == 0 {
		return false, nil
	}
	doc, err := parse(text, names)
	if err != nil {
		return false, err
	}
	at := &doc
	if len(names) > 0 {
		if at = doc.Find(pointer(names)); at == nil {
			return false, nil
		}
	}
	plain := at.Clone()
	plain.Standardize()
	return true, json.Unmarshal(plain.Pack(), into)
}

// parse reads a file. A name of the path that an object has twice is an error: programs read the last, and here the
// first would be changed.
func parse(text []byte, names []string) (hujson.Value, error) {
	doc, err := hujson.Parse(text)
	if err != nil {
		return doc, fmt.Errorf("not JSON: %w", err)
	}
	for n, name := range names {
		at := &doc
		if n > 0 {
			at = doc.Find(pointer(names[:n]))
		}
		if at == nil {
			break
		}
		obj, ok := at.Value.(*hujson.Object)
		if !ok {
			continue
		}
		count := 0
		for i := range obj.Members {
			if lit, ok := obj.Members[i].Name.Value.(hujson.Literal); ok && lit.String() == name {
				count++
			}
		}
		if count > 1 {
			return doc, fmt.Errorf("%s stands there %d times: leave one", strings.Join(names[:n+1], "."), count)
		}
	}
	return doc, nil
}

func same(at *hujson.Value, value any) bool {
	plain := at.Clone()
	plain.Standardize()
	var is, want any
	data, err := json.Marshal(value)
	return err == nil && json.Unmarshal(plain.Pack(), &is) == nil && json.Unmarshal(data, &want) == nil &&
		reflect.DeepEqual(is, want)
}

// layOut formats an added member like its neighbours: on a separate line, with their indentation. The added member is
// the last of its object, named names[missing]; a comment after the previous member has become part of it.
func layOut(doc *hujson.Value, names []string, missing int) {
	for n := len(names); n >= missing; n-- {
		parent := doc
		if n > 1 {
			parent = doc.Find(pointer(names[:n-1]))
		}
		obj, ok := parent.Value.(*hujson.Object)
		if !ok {
			return
		}
		last := &obj.Members[len(obj.Members)-1]
		depth := strings.Repeat("  ", n)
		if len(obj.Members) > 1 {
			first := string(obj.Members[0].Name.BeforeExtra)
			if !strings.Contains(first, "\n") {
				continue // everything is on one line
			}
			depth = first[strings.LastIndexByte(first, '\n')+1:]
		}
		before := strings.TrimRight(string(last.Name.BeforeExtra), " \t")
		if !strings.HasSuffix(before, "\n") {
			before += "\n"
		}
		last.Name.BeforeExtra = hujson.Extra(before + depth)
		if len(last.Value.BeforeExtra) == 0 {
			last.Value.BeforeExtra = hujson.Extra(" ")
		}
		if !bytes.Contains(obj.AfterExtra, []byte{'\n'}) {
			obj.AfterExtra = hujson.Extra("\n" + strings.Repeat("  ", n-1))
		}
	}
}

func removeJSON(doc *hujson.Value, names []string) error {
	for n := len(names); n > 0; n-- {
		at := doc.Find(pointer(names[:n]))
		if at == nil {
			return nil
		}
		if n < len(names) {
			obj, ok := at.Value.(*hujson.Object)
			if !ok || len(obj.Members) > 0 {
				return nil
			}
		}
		if err := patch(doc, "remove", names[:n], nil); err != nil {
			return err
		}
	}
	return nil
}

func patch(doc *hujson.Value, op string, names []string, value any) error {
	step := map[string]any{"op": op, "path": pointer(names)}
	if value != nil {
		step["value"] = value
	}
	data, err := json.Marshal([]any{step})
	if err != nil {
		return err
	}
	if value != nil { // indented for people
		indented, err := json.MarshalIndent(value, strings.Repeat("  ", len(names)), "  ")
		if err != nil {
			return err
		}
		plain, err := json.Marshal(value)
		if err != nil {
			return err
		}
		data = bytes.Replace(data, plain, indented, 1)
	}
	return keepingEnd(doc.Find(pointer(names[:len(names)-1])), func() error { return doc.Patch(data) })
}

// keepingEnd lets fn add or remove the last element of an object or a list, and keeps a trailing comma and the position
// of the closing bracket.
func keepingEnd(in *hujson.Value, fn func() error) error {
	comma, closing := false, ""
	if last, end := endOf(in); last != nil {
		comma, closing = last.AfterExtra != nil, string(*end)
	}
	if err := fn(); err != nil {
		return err
	}
	last, end := endOf(in)
	if last == nil {
		return nil
	}
	if comma && last.AfterExtra == nil {
		last.AfterExtra = hujson.Extra{} // how hujson represents a trailing comma
	}
	if strings.TrimSpace(closing) == "" && strings.Contains(closing, "\n") {
		*end = hujson.Extra(strings.TrimRight(string(*end), " \t\n") + closing)
	}
	return nil
}

// endOf returns the last value of an object or a list, and the text after it; nil if there is none.
func endOf(v *hujson.Value) (last *hujson.Value, end *hujson.Extra) {
	switch v := v.Value.(type) {
	case *hujson.Object:
		if n := len(v.Members); n > 0 {
			return &v.Members[n-1].Value, &v.AfterExtra
		}
	case *hujson.Array:
		if n := len(v.Elements); n > 0 {
			return &v.Elements[n-1], &v.AfterExtra
		}
	}
	return nil, nil
}

func pointer(names []string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(n))
	}
	return b.String()
}

func brief(text []byte) string {
	text = bytes.TrimSpace(text)
	if len(text) > 40 {
		text = append(text[:40:40], "..."...)
	}
	return string(text)
}

// SetTOML returns a TOML file with a table of texts and lists of texts under a dotted name, such as mcp_servers.tenet.
// All other bytes stay. A nil table removes the present one.
func SetTOML(text []byte, name string, lines []string) ([]byte, error) {
	return inItsForm(text, func(text []byte) ([]byte, error) { return setTOML(text, name, lines) })
}

func setTOML(text []byte, name string, lines []string) ([]byte, error) {
	var before map[string]any
	if err := toml.Unmarshal(text, &before); err != nil {
		return nil, fmt.Errorf("not TOML: %w", err)
	}
	out, found := withoutTable(string(text), name)
	if len(lines) > 0 {
		if out != "" && !strings.HasSuffix(out, "\n") {
			out += "\n"
		}
		if out != "" && !found.blank {
			out += "\n"
		}
		out += "[" + name + "]\n" + strings.Join(lines, "\n") + "\n"
	}
	var after map[string]any
	if err := toml.Unmarshal([]byte(out), &after); err != nil {
		return nil, fmt.Errorf("[%s] can't be added by itself, since the file holds it in another form: %w", name, err)
	}
	drop(before, name)
	drop(after, name)
	if !reflect.DeepEqual(before, after) {
		return nil, fmt.Errorf("[%s] can't be changed by itself, since the file holds it in another form", name)
	}
	return []byte(out), nil
}

type tableFound struct{ blank bool }

// withoutTable returns a file without the lines of a table and its subtables.
func withoutTable(text, name string) (string, tableFound) {
	var out strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if head := strings.TrimSpace(line); strings.HasPrefix(head, "[") {
			head = strings.Trim(strings.SplitN(head, "#", 2)[0], "[] \t\r\n")
			in = head == name || strings.HasPrefix(head, name+".")
		}
		if !in {
			out.WriteString(line)
		}
	}
	rest := out.String()
	return rest, tableFound{blank: strings.HasSuffix(rest, "\n\n")}
}

// drop removes a dotted name from a decoded file, and then its parent tables that are empty.
func drop(m map[string]any, name string) {
	first, rest, deeper := strings.Cut(name, ".")
	if !deeper {
		delete(m, first)
		return
	}
	if below, ok := m[first].(map[string]any); ok {
		if drop(below, rest); len(below) == 0 {
			delete(m, first)
		}
	}
}
