package knowledge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxDocument is the size of the largest document, as JSON, in bytes.
const MaxDocument = 2 << 20

// MaxDepth is how deep arrays and objects of a document may nest.
const MaxDepth = 32

// DecodeStored decodes a document that was valid when it was stored. It ignores unknown fields, of a newer schema.
func DecodeStored(kind Kind, data []byte) (Document, error) {
	d := New(kind)
	if d == nil {
		return nil, fmt.Errorf("decode document: no kind %q", kind)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	d.Normalize()
	return d, nil
}

// Decode decodes a document that a caller sent and normalizes it. The error is an [*InvalidError] with every fault of
// form: invalid JSON, an unknown field, a wrong type. [Document.Validate] checks the values; if the form is at fault,
// Decode also calls it for the part that could be read, so that the caller gets all faults at once.
func Decode(kind Kind, data []byte) (Document, error) {
	if New(kind) == nil {
		return nil, Invalid("/kind", "no kind %q", kind)
	}
	if err := CheckJSON(data); err != nil {
		return nil, err
	}
	return decode(kind, data)
}

// decode is Decode for data that is known to be JSON.
func decode(kind Kind, data []byte) (Document, error) {
	d := New(kind)
	var f faults
	f.decode("", data, reflect.ValueOf(d).Elem())
	d.Normalize()
	if len(f.list) > 0 {
		f.values(d)
		return nil, f.err()
	}
	return d, nil
}

// values adds the faults in the values of a document whose form is at fault already, except those that follow from
// these: a text of a wrong type is not missing as well. The id may come from elsewhere, such as a path.
func (f *faults) values(d Document) {
	invalid, ok := errors.AsType[*InvalidError](d.Validate())
	if !ok {
		return
	}
	form := f.list
	id := "/" + d.Key().Kind.IDField()
	for _, fault := range invalid.Faults {
		if fault.Pointer == id && d.Key().ID == "" || covered(form, fault.Pointer) {
			continue
		}
		f.add(fault.Pointer, "%s", fault.Detail)
	}
}

// covered reports whether one of the faults is about the value at a pointer, its parent, or a part of it. A fault of an
// element counts for its whole array: an element that could not be read looks like an empty value.
func covered(list []Fault, pointer string) bool {
	return slices.ContainsFunc(list, func(f Fault) bool {
		whole := strings.TrimRight(f.Pointer, "0123456789")
		if strings.HasSuffix(whole, "/") && whole != f.Pointer {
			return within(pointer, strings.TrimSuffix(whole, "/"))
		}
		return within(pointer, f.Pointer) || within(f.Pointer, pointer)
	})
}

func within(pointer, whole string) bool {
	rest, ok := strings.CutPrefix(pointer, whole)
	return ok && (rest == "" || rest[0] == '/')
}

// CheckJSON returns nil if data is one JSON value of valid UTF-8, within the bounds of size and depth, that every
// parser reads alike.
func CheckJSON(data []byte) error {
	if len(data) > MaxDocument {
		return Invalid("", "%d bytes: a document has at most %d", len(data), MaxDocument)
	}
	if !utf8.Valid(data) {
		return Invalid("", "not valid UTF-8")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Invalid("", "empty: want a JSON object")
	}
	if tooDeep(data) {
		return Invalid("", "nested deeper than %d levels", MaxDepth)
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		if at, ok := errors.AsType[*json.SyntaxError](err); ok {
			return Invalid("", "not JSON: %s (byte %d)", err, at.Offset)
		}
		return Invalid("", "not JSON: %s", err)
	}
	if why := Ambiguity(data); why != "" {
		return Invalid("", "%s", why)
	}
	return nil
}

// tooDeep counts nested brackets outside of strings, before anything recurses into them.
func tooDeep(data []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

//nolint:gochecknoglobals // the types that decode whole, never written
var (
	timeType  = reflect.TypeFor[Time]()
	extraType = reflect.TypeFor[map[string]any]()
	rawType   = reflect.TypeFor[json.RawMessage]()
)

// fieldsOf caches the JSON fields of a struct type, including embedded ones.
//
//nolint:gochecknoglobals // a cache of what reflection says, safe for concurrent use
var fieldsOf sync.Map

func jsonFields(t reflect.Type) map[string][]int {
	if m, ok := fieldsOf.Load(t); ok {
		return m.(map[string][]int)
	}
	m := map[string][]int{}
	for _, sf := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(sf.Tag.Get("json"), ","); name != "" && name != "-" && sf.IsExported() {
			m[name] = sf.Index
		}
	}
	fieldsOf.Store(t, m)
	return m
}

// decode decodes raw into v and collects every fault with its pointer; encoding/json would stop at the first.
func (f *faults) decode(pointer string, raw []byte, v reflect.Value) {
	switch {
	case v.Type() == rawType:
		v.SetBytes(raw)
	case v.Type() == timeType:
		t := v.Addr().Interface().(*Time)
		if err := t.UnmarshalJSON(raw); err != nil {
			f.add(pointer, "%s", err)
		}
	case v.Type() == extraType || v.Kind() == reflect.Interface:
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(v.Addr().Interface()); err != nil {
			f.add(pointer, "%s: want %s", kindOfJSON(raw), wantedJSON(v.Type()))
		}
	case v.Kind() == reflect.Struct:
		f.decodeStruct(pointer, raw, v)
	case v.Kind() == reflect.Slice:
		f.decodeSlice(pointer, raw, v)
	case v.Kind() == reflect.Pointer:
		if string(raw) == "null" {
			v.SetZero()
			return
		}
		p := reflect.New(v.Type().Elem())
		f.decode(pointer, raw, p.Elem())
		v.Set(p)
	default:
		if string(raw) == "null" { // the default stays
			return
		}
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			f.add(pointer, "%s: want %s", kindOfJSON(raw), wantedJSON(v.Type()))
		}
	}
}

// decodeStruct decodes an object into the struct v.
func (f *faults) decodeStruct(pointer string, raw []byte, v reflect.Value) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		f.add(pointer, "%s: want an object", kindOfJSON(raw))
		return
	}
	fields := jsonFields(v.Type())
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		index, ok := fields[name]
		if !ok && f.stored {
			continue
		}
		if !ok {
			if f.full() { // suggestions take time
				f.more++
				continue
			}
			f.add(pointer+"/"+EscapePointer(clipped(name).String()), "unknown field%s", nearest(name, fields))
			continue
		}
		f.decode(pointer+"/"+EscapePointer(name), members[name], v.FieldByIndex(index))
	}
}

// decodeSlice decodes an array into the slice v.
func (f *faults) decodeSlice(pointer string, raw []byte, v reflect.Value) {
	var elems []json.RawMessage
	if err := json.Unmarshal(raw, &elems); err != nil {
		f.add(pointer, "%s: want an array", kindOfJSON(raw))
		return
	}
	s := reflect.MakeSlice(v.Type(), len(elems), len(elems))
	for i, e := range elems {
		f.decode(at(pointer, i), e, s.Index(i))
	}
	v.Set(s)
}

func kindOfJSON(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "the number " + clipped(raw).String()
}

func wantedJSON(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64, reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Map:
		return "an object"
	default:
		return "another type"
	}
}

// nearest suggests the known name that is closest to an unknown one.
func nearest(name string, fields map[string][]int) string {
	if best := Nearest(name, maps.Keys(fields)); best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ""
}

// Nearest returns the known name that is closest to an unknown one, or "" if none is close. A short name has no two
// letters to spare, unless they changed places: init is not edit, and lsit is list.
func Nearest(name string, known iter.Seq[string]) string {
	best, dist := "", 3
	for k := range known {
		if len(name) > len(k)+dist || len(k) > len(name)+dist { // they differ by this much at least
			continue
		}
		d := distance(name, k)
		if d == 2 && len(name) <= 4 && !sameLetters(name, k) {
			continue
		}
		if d < dist || d == dist && best != "" && k < best {
			best, dist = k, d
		}
	}
	return best
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return bytes.Equal(x, y)
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}

// MergePatch applies a JSON merge patch (RFC 7396) to a JSON object. The error is an [*InvalidError].
func MergePatch(target, patch []byte) ([]byte, error) {
	if err := CheckJSON(patch); err != nil {
		return nil, err
	}
	var t, p any
	for _, in := range []struct {
		data []byte
		into *any
	}{{target, &t}, {patch, &p}} {
		dec := json.NewDecoder(bytes.NewReader(in.data))
		dec.UseNumber()
		if err := dec.Decode(in.into); err != nil {
			return nil, Invalid("", "not JSON: %s", err)
		}
	}
	if _, ok := p.(map[string]any); !ok {
		return nil, Invalid("", "%s: a merge patch is an object", kindOfJSON(patch))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(merge(t, p)); err != nil {
		return nil, Invalid("", "%s", err)
	}
	return b.Bytes(), nil
}

func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
			continue
		}
		t[k] = merge(t[k], v)
	}
	return t
}
