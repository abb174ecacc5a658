package httpapi

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// A querySet is the query parameters of a route, as the fields of a Go struct with a query tag name them.
type querySet struct {
	names  []string
	fields map[string][]int
	needed map[string]bool
	least  map[string]int64 // of those that have a minimum, as the OpenAPI document says too
	most   map[string]int   // of those that have a greatest length in characters
}

// mayBeEmpty reports whether the empty text means something for a parameter: of a position it is the beginning, where
// a reader of pages begins. For all others it is a variable of a script that is not set, and not what was
// meant.
func mayBeEmpty(name string) bool { return name == "after" || name == "cursor" }

func newQuerySet(t reflect.Type, of *knowledge.Description) *querySet {
	s := &querySet{
		fields: map[string][]int{}, needed: map[string]bool{}, least: map[string]int64{}, most: map[string]int{},
	}
	for _, f := range reflect.VisibleFields(t) {
		name := f.Tag.Get("query")
		if _, ok := filterOf(of, f); name == "" || !ok {
			continue
		}
		s.names = append(s.names, name)
		s.fields[name], s.needed[name] = f.Index, f.Tag.Get("required") == "true"
		if least, err := strconv.ParseInt(f.Tag.Get("minimum"), 10, 64); err == nil {
			s.least[name] = least
		}
		if most, err := strconv.Atoi(f.Tag.Get("maxLength")); err == nil {
			s.most[name] = most
		}
	}
	return s
}

// parse reads a query into v, a struct of the set's type. The faults name every parameter that is unknown, stands there
// twice, or has a value that can't be read.
func (s *querySet) parse(raw string, v reflect.Value) (faultList, error) {
	if s.plain(raw, v) {
		return nil, nil
	}
	v.SetZero()
	return s.full(raw, v)
}

// full reads any query.
func (s *querySet) full(raw string, v reflect.Value) (faultList, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, api.Refuse(api.ErrMalformed, "the query can't be read: %s", err)
	}
	given := make([]string, 0, len(values))
	for name := range values {
		given = append(given, name)
	}
	slices.Sort(given)
	var f faultList
	for _, name := range given {
		index, ok := s.fields[name]
		if !ok {
			f.add("/"+pointerToken(name), "unknown parameter%s", s.hint(name))
			continue
		}
		why := ""
		for _, text := range values[name] {
			why = cmp.Or(why, s.textFault(name, text))
		}
		if why == "" {
			why = setParam(v.FieldByIndex(index), values[name])
		}
		if why != "" {
			f.add("/"+name, "%s", why)
			continue
		}
		// Without this a 0 would pass for a parameter that was not given.
		if least, ok := s.least[name]; ok && v.FieldByIndex(index).Int() < least {
			f.add("/"+name, "%s: want %d or more", values[name][0], least)
			v.FieldByIndex(index).SetZero()
		}
	}
	return f, nil
}

// textFault says what is wrong with a value of a parameter, whatever its type is, or returns "".
func (s *querySet) textFault(name, text string) string {
	if text == "" && s.needed[name] {
		return "is empty: give it a value"
	}
	if text == "" && !mayBeEmpty(name) {
		return "is empty: give it a value, or leave it out"
	}
	if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) { // no engine has such a text
		return fmt.Sprintf("%q: want a text in UTF-8, without the character 0", text)
	}
	if most, ok := s.most[name]; ok && utf8.RuneCountInString(text) > most {
		return fmt.Sprintf("%d characters: at most %d fit", utf8.RuneCountInString(text), most)
	}
	return ""
}

// plain reads a query in which nothing is wrong, as most are, for next to nothing. Of any other it reports false, and
// has read a part of it.
func (s *querySet) plain(raw string, v reflect.Value) bool {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, text, _ := strings.Cut(pair, "=")
		index, ok := s.fields[name]
		if !ok || text == "" || strings.Contains(text, ";") {
			return false
		}
		if strings.ContainsAny(text, "%+") {
			var err error
			if text, err = url.QueryUnescape(text); err != nil {
				return false
			}
		}
		field := v.FieldByIndex(index)
		switch {
		case !field.IsZero(), s.textFault(name, text) != "": // the first stands there twice
			return false
		case field.Kind() == reflect.String:
			field.SetString(text)
		case setParam(field, []string{text}) != "":
			return false
		}
		if least, ok := s.least[name]; ok && field.Int() < least {
			return false
		}
	}
	return true
}

func (s *querySet) hint(name string) string {
	if near := knowledge.Nearest(name, slices.Values(s.names)); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	if len(s.names) == 0 {
		return ": this path has none"
	}
	return ": this path knows " + strings.Join(s.names, ", ")
}

// setParam reads the values of one parameter into a field, and returns a message if it can't.
func setParam(v reflect.Value, values []string) string {
	if list, ok := reflect.TypeAssert[*[]string](v.Addr()); ok {
		for _, s := range values {
			*list = append(*list, strings.Split(s, ",")...)
		}
		return ""
	}
	if len(values) > 1 {
		return "stands there twice: give it once"
	}
	text := values[0]
	switch into := v.Addr().Interface().(type) {
	case *knowledge.Time:
		if err := into.UnmarshalJSON([]byte(strconv.Quote(text))); err != nil {
			return err.Error()
		}
		return ""
	case *uuid.UUID:
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return fmt.Sprintf("%q: want a UUID", text)
		}
		*into = id
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Sprintf("%q: want true or false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Sprintf("%q: want a whole number", text)
		}
		v.SetInt(n)
	default:
		panic("parameter of type " + v.Type().String()) // a route names no other
	}
	return ""
}

// filterOf returns the filter that a parameter is of a kind's lists, and whether it is a parameter of theirs at all.
func filterOf(of *knowledge.Description, f reflect.StructField) (filter *knowledge.Filter, ok bool) {
	if f.Tag.Get("filter") == "" || of == nil {
		return nil, true
	}
	filter = of.Filter(f.Tag.Get("query"))
	return filter, filter != nil
}
