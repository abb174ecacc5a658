package main

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// A setting is one field of a settings struct. The field's tags say everything about it:
//
//	name:"data-dir"   the flag; the file's key and the environment's name are made of it
//	short:"o"         the flag's one-letter form
//	default:"10s"     the value when nobody gives one
//	doc:"…"           what it is for
//	by:"flag"         an argument of one call, that neither the environment nor the file gives
//	by:"secret"       given by the environment and the file, not by a flag, which everybody on the machine could read
type setting struct {
	name, short, doc, def, by string
	value                     pflag.Value
	source                    string // where the value came from, once filled
}

// Ways in which a setting is given; the empty one is by flag, environment and file.
const (
	byFlag   = "flag"
	bySecret = "secret"
)

// key returns the setting's name in the file.
func (s *setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }

// env returns the setting's name in the environment.
func (s *setting) env() string { return "TENET_" + strings.ToUpper(s.key()) }

// settingsOf returns the settings that the fields of a struct are, with their defaults set.
func settingsOf(pointer any) []*setting { return settingsIn(reflect.ValueOf(pointer).Elem()) }

func settingsIn(v reflect.Value) []*setting {
	var list []*setting
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous { // a group that several commands share
			list = append(list, settingsIn(v.Field(i))...)
			continue
		}
		tag := v.Type().Field(i).Tag
		if tag.Get("name") == "" {
			continue
		}
		s := &setting{
			name: tag.Get("name"), short: tag.Get("short"), doc: tag.Get("doc"), def: tag.Get("default"), by: tag.Get("by"),
			value: &field{v.Field(i)}, source: "default",
		}
		if s.def != "" {
			if err := s.value.Set(s.def); err != nil {
				panic(fmt.Sprintf("default of %s: %s", s.name, err)) // a mistake of ours: every test that starts a command meets it
			}
		}
		list = append(list, s)
	}
	return list
}

// register makes flags of settings.
func register(flags *pflag.FlagSet, list []*setting) {
	for _, s := range list {
		if s.by == bySecret {
			continue
		}
		f := flags.VarPF(s.value, s.name, s.short, s.doc)
		if s.value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// A field is a struct's field as a flag.
type field struct{ v reflect.Value }

// String implements [pflag.Value].
func (f *field) String() string {
	if f == nil || !f.v.IsValid() { // pflag asks a zero value too
		return ""
	}
	switch v := f.v.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return shortDuration(v)
	default:
		return fmt.Sprint(v)
	}
}

// shortDuration writes 10s where the standard library writes 10s, and 5m where it writes 5m0s.
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

// Set implements [pflag.Value].
func (f *field) Set(text string) error {
	switch f.v.Interface().(type) {
	case []string:
		var list []string
		if !f.v.IsNil() {
			list = f.v.Interface().([]string) //nolint:forcetypeassert // the case says so
		}
		f.v.Set(reflect.ValueOf(append(list, text)))
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q: want a duration such as 500ms, 30s or 5m", text)
		}
		f.v.SetInt(int64(d))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q: want true or false", text)
		}
		f.v.SetBool(b)
	case mebibytes:
		n, err := parseMebibytes(text)
		if err != nil {
			return err
		}
		f.v.SetInt(int64(n))
	case int, int32, int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || f.v.OverflowInt(n) {
			return fmt.Errorf("%q: want a whole number", text)
		}
		f.v.SetInt(n)
	default:
		f.v.SetString(text)
	}
	return nil
}

// Type implements [pflag.Value]; it is the word that help shows for the value.
func (f *field) Type() string {
	switch f.v.Interface().(type) {
	case []string:
		return "strings"
	case time.Duration:
		return "duration"
	case bool:
		return "bool"
	case mebibytes:
		return "MiB"
	case int, int32, int64:
		return "int"
	default:
		return "string"
	}
}

// mebibytes is a size of memory, or [autoSize] for what the machine has room for.
type mebibytes int64

const (
	autoSize mebibytes = -1
	auto               = "auto"
	mostMiB            = 1 << 30 // a petabyte
)

// String returns the size as it is set.
func (m mebibytes) String() string {
	if m == autoSize {
		return auto
	}
	return strconv.FormatInt(int64(m), 10)
}

// bytes returns the size in bytes, less than 0 for auto.
func (m mebibytes) bytes() int64 {
	if m == autoSize {
		return int64(m)
	}
	return int64(m) << 20
}

func parseMebibytes(text string) (mebibytes, error) {
	if text == auto {
		return autoSize, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > mostMiB {
		return 0, fmt.Errorf("%q: want MiB as a whole number, 0 for none, or auto", text)
	}
	return mebibytes(n), nil
}
