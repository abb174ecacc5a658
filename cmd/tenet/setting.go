package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"tenet/internal/settings"
)

// A setting is one of a command, or of all, with where its value came from.
type setting struct {
	*settings.Setting

	source string // once it is filled
}

// fromDefault is the source of a setting that nobody gave.
const fromDefault = "default"

// key returns the setting's name in the file.
func (s *setting) key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// env returns the setting's name in the environment.
func (s *setting) env() string { return "TENET_" + strings.ToUpper(s.key()) }

// settingsOf returns the settings that the fields of a struct are, with their defaults set.
func settingsOf(pointer any) []*setting {
	var list []*setting
	for _, s := range settings.Of(pointer) {
		s.Reset()
		list = append(list, &setting{s, fromDefault})
	}
	return list
}

// register makes flags of settings.
func register(flags *pflag.FlagSet, list []*setting) {
	for _, s := range list {
		if s.By == settings.BySecret {
			continue
		}
		f := flags.VarPF(s, s.Name, s.Short, s.Doc)
		if s.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
		if s.Type() == dryNone.Unit() {
			f.NoOptDefVal = dryClient.String()
		}
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

// Unit is the word that help shows for the value.
func (m mebibytes) Unit() string { return "MiB" }

// Parse reads a size.
func (m mebibytes) Parse(text string) (int64, error) {
	if text == auto {
		return int64(autoSize), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > mostMiB {
		return 0, fmt.Errorf("%q: want MiB as a whole number, 0 for none, or auto", text)
	}
	return n, nil
}
