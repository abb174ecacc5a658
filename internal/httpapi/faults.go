package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// A faultList collects the faults of a request.
type faultList []knowledge.Fault

func (f *faultList) add(pointer, format string, args ...any) {
	*f = append(*f, knowledge.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
}

func (f *faultList) err(query bool) error {
	if len(*f) == 0 {
		return nil
	}
	return &knowledge.InvalidError{Faults: *f, Query: query}
}

// merge adds the faults of an error, when it has any. What has a fault already was not read, so what else is said of it
// is about a value that nobody has given.
func (f *faultList) merge(err error) {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	if !ok {
		return
	}
	read := *f
	for _, fault := range invalid.Faults {
		if !slices.ContainsFunc(read, func(r knowledge.Fault) bool { return r.Pointer == fault.Pointer }) {
			*f = append(*f, fault)
		}
	}
}

// object splits a JSON object into its members and adds a fault for each unknown one.
func (f *faultList) object(pointer string, raw []byte, known ...string) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		f.add(pointer, "want an object with %s", strings.Join(known, ", "))
		return nil
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		hint := ": want " + strings.Join(known, ", ")
		if near := knowledge.Nearest(name, slices.Values(known)); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		f.add(pointer+"/"+pointerToken(name), "unknown field%s", hint)
	}
	return members
}

// member decodes one member of an object where it is given and not null.
func (f *faultList) member(pointer string, raw json.RawMessage, into any, want string) {
	if len(raw) == 0 || string(raw) == "null" {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		f.add(pointer, "want %s", want)
	}
}

// pointerToken escapes a name for a JSON pointer.
func pointerToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

// cutPointer returns the part of a JSON pointer below a prefix.
func cutPointer(pointer, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(pointer, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// asSingle returns the error of a batch of one op as an error of its document: pointers lose the place of the op.
func asSingle(err error) error {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	if !ok {
		return err
	}
	out := &knowledge.InvalidError{Query: invalid.Query, Faults: make([]knowledge.Fault, len(invalid.Faults))}
	for i, f := range invalid.Faults {
		if rest, ok := cutPointer(f.Pointer, "/ops/0"); ok {
			f.Pointer = rest
			for _, part := range []string{"/document", "/patch"} {
				if rest, ok := cutPointer(f.Pointer, part); ok {
					f.Pointer = rest
					break
				}
			}
		}
		out.Faults[i] = f
	}
	return out
}

// belowFirst moves the pointers of op i to those of the only op of a batch, for single to cut.
func belowFirst(err error, i int) error {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	if !ok {
		return err
	}
	out := &knowledge.InvalidError{Query: invalid.Query}
	prefix := "/ops/" + strconv.Itoa(i)
	for _, f := range invalid.Faults {
		if rest, ok := cutPointer(f.Pointer, prefix); ok {
			f.Pointer = "/ops/0" + rest
		}
		out.Faults = append(out.Faults, f)
	}
	return out
}
