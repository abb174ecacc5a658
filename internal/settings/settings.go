// Package settings reads what the tags of a struct's fields say about settings, so that each is described once, in the
// package that uses it.
package settings

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Ways in which a setting is given; the empty one is by flag, environment and file.
const (
	ByFlag   = "flag"
	BySecret = "secret"
)

// A Setting is one field of a struct. The field's tags describe it:
//
//	name:"data-dir"   the flag; the file's key and the environment's name are derived from it
//	short:"o"         the flag's one-letter form
//	default:"10s"     the value when none is given
//	doc:"…"           what it is for
//	by:"flag"         an argument of one call, which neither the environment nor the file gives
//	by:"secret"       given by the environment and the file, and not by a flag, which everybody on the machine could read
//	least:"1"         the lowest number that is accepted; a duration is longer than 0. [Defaults] replaces a 0
//	words:"no,yes"    the words for false and true of a bool
//	split:","         what separates several values of a list that are given at once
//	blank:"none"      what the empty text means; without it no flag takes that
type Setting struct {
	Name, Short, Doc, Default, By, Blank string

	field reflect.Value
	least int64
	words []string
	split string
}

// Of returns the settings of the struct that pointer points to, in the order of its fields. Fields that are structs
// without a name are groups, whose settings follow in their place.
func Of(pointer any) []*Setting { return in(reflect.ValueOf(pointer).Elem()) }

func in(v reflect.Value) []*Setting {
	var list []*Setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("name")
		switch {
		case name != "":
			list = append(list, newSetting(name, f.Tag, v.Field(i)))
		case f.Type.Kind() == reflect.Struct && (f.Anonymous || f.IsExported()):
			list = append(list, in(v.Field(i))...)
		}
	}
	return list
}

func newSetting(name string, tag reflect.StructTag, v reflect.Value) *Setting {
	s := &Setting{
		Name: name, Short: tag.Get("short"), Doc: tag.Get("doc"), Default: tag.Get("default"), By: tag.Get("by"),
		Blank: tag.Get("blank"), split: tag.Get("split"), field: v,
	}
	if words := tag.Get("words"); words != "" {
		s.words = strings.Split(words, ",")
	}
	if least := tag.Get("least"); least != "" {
		s.least, _ = strconv.ParseInt(least, 10, 64)
	}
	return s
}

// Defaults gives the fields of a struct that are zero the defaults of their tags. Zero itself then can't be asked for,
// so that a field whose zero means something else than its default must not be handed to it.
func Defaults(pointer any) {
	for _, s := range Of(pointer) {
		if s.field.IsZero() {
			s.Reset()
		}
	}
}

// Reset sets the setting to its default. It panics if the tag's default is no such value.
func (s *Setting) Reset() {
	if s.Default == "" {
		return
	}
	if err := s.Set(s.Default); err != nil {
		// a mistake of ours: every test that opens the package meets it
		panic(fmt.Sprintf("default of %s: %s", s.Name, err))
	}
}

// String returns the value as text.
func (s *Setting) String() string {
	if s == nil || !s.field.IsValid() {
		return ""
	}
	switch v := s.field.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return shortDuration(v)
	case bool:
		return s.word(v)
	default:
		return fmt.Sprint(v)
	}
}

// Words returns the words for false and true of a bool that has some; nil for others.
func (s *Setting) Words() []string { return s.words }

func (s *Setting) word(v bool) string {
	switch {
	case len(s.words) < 2:
		return strconv.FormatBool(v)
	case v:
		return s.words[1]
	default:
		return s.words[0]
	}
}

// shortDuration writes 5m where the standard library writes 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Set gives the setting a value. A list gets one more. The error says what would be right, and does not name the
// setting.
func (s *Setting) Set(text string) error {
	switch v := s.field.Interface().(type) {
	case []string:
		s.field.Set(reflect.ValueOf(append(v, s.parts(text)...)))
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q: want a duration such as 500ms, 30s or 5m", text)
		}
		if int64(d) < s.least {
			return fmt.Errorf("%q: want a duration that is longer than nothing", text)
		}
		s.field.SetInt(int64(d))
	case bool:
		b, err := s.truth(text)
		if err != nil {
			return err
		}
		s.field.SetBool(b)
	case interface {
		Parse(text string) (int64, error)
	}:
		n, err := v.Parse(text)
		if err != nil {
			return err
		}
		s.field.SetInt(n)
	case int, int32, int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || s.field.OverflowInt(n) {
			return fmt.Errorf("%q: want a whole number", text)
		}
		if s.least > 0 && n < s.least {
			return fmt.Errorf("%d: want a number from %d", n, s.least)
		}
		s.field.SetInt(n)
	default:
		s.field.SetString(text)
	}
	return nil
}

// IsList reports whether the setting is a list, to which each Set adds.
func (s *Setting) IsList() bool {
	_, list := reflect.TypeAssert[[]string](s.field)
	return list
}

// parts returns the values of a list that are given at once.
func (s *Setting) parts(text string) []string {
	if s.split == "" {
		return []string{text}
	}
	var list []string
	for part := range strings.SplitSeq(text, s.split) {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func (s *Setting) truth(text string) (bool, error) {
	if len(s.words) < 2 || s.isBool() {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("%q: want true or false", text)
		}
		return s.word(true) == strconv.FormatBool(b), nil
	}
	switch text {
	case s.words[0]:
		return false, nil
	case s.words[1]:
		return true, nil
	}
	return false, fmt.Errorf("%q: want %s or %s", text, s.words[0], s.words[1])
}

// isBool reports whether the words of a bool are true and false, in either order.
func (s *Setting) isBool() bool {
	return len(s.words) < 2 || s.words[0] == "true" || s.words[1] == "true"
}

// Type returns the word that help shows for the value.
func (s *Setting) Type() string {
	switch v := s.field.Interface().(type) {
	case []string:
		if s.split != "" {
			return "string"
		}
		return "strings"
	case time.Duration:
		return "duration"
	case bool:
		if !s.isBool() {
			return "string"
		}
		return "bool"
	case interface{ Unit() string }:
		return v.Unit()
	case int, int32, int64:
		return "int"
	default:
		return "string"
	}
}
