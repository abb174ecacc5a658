package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/settings"
)

// An input is a setting of a command.
type input struct{ command, name string }

// of returns the input's setting and command in a fresh program.
func (in input) of(t *testing.T, env map[string]string) (*app, *cobra.Command, *setting) {
	t.Helper()
	a := newApp(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{},
		func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	for name, value := range env {
		a.environ = append(a.environ, name+"="+value)
	}
	for cmd, list := range a.settings {
		if cmd.CommandPath() != in.command {
			continue
		}
		for _, s := range append(slices.Clone(list), a.shared...) {
			if s.Name == in.name {
				return a, cmd, s
			}
		}
	}
	t.Fatalf("there is no --%s of %s", in.name, in.command)
	return nil, nil, nil
}

// inputs returns every setting of every command; those that all share once, of tenet list.
func inputs() []input {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	var all []input
	for cmd, list := range a.settings {
		for _, s := range list {
			all = append(all, input{cmd.CommandPath(), s.Name})
		}
	}
	for _, s := range a.shared {
		all = append(all, input{"tenet list", s.Name})
	}
	return all
}

var twoWords = regexp.MustCompile(`want (\S+) or (\S+)$`)

// sample returns a value that differs from the default, and how the setting shows it; and one that is refused, "" where
// any text is good.
func (in input) sample(t *testing.T) (good, shown, bad string) {
	t.Helper()
	candidates := []string{"false", "true", "7s", "7", "/no/such/sample"}
	_, _, s := in.of(t, nil)
	before := s.String()
	for i := 0; i < len(candidates); i++ {
		err := s.Set(candidates[i])
		switch {
		case err != nil:
			bad = candidates[i]
			if words := twoWords.FindStringSubmatch(err.Error()); words != nil && len(candidates) < 8 {
				candidates = append(candidates, words[1], words[2])
			}
		case good == "" && s.String() != before:
			good, shown = candidates[i], s.String()
		}
	}
	if good == "" {
		t.Fatalf("%s --%s takes nothing but its default", in.command, in.name)
	}
	return good, shown, bad
}

// TestEveryInputActsOrIsRefused gives every setting of every command by flag, environment and file: it is in force
// then, and known to come from there, or the command is refused with a word on it; so is a value that it can't have.
func TestEveryInputActsOrIsRefused(t *testing.T) {
	all := inputs()
	if len(all) < 200 {
		t.Fatalf("%d settings: the commands are read wrongly", len(all))
	}
	dir := t.TempDir()
	for _, in := range all {
		good, shown, bad := in.sample(t)
		_, _, s := in.of(t, nil)
		file := filepath.Join(dir, "given.yaml")
		for way, given := range map[string]func(value string) (args []string, env map[string]string){
			"flag": func(v string) ([]string, map[string]string) {
				return []string{"--" + in.name + "=" + v}, nil
			},
			"environment": func(v string) ([]string, map[string]string) { return nil, map[string]string{s.env(): v} },
			"file": func(v string) ([]string, map[string]string) {
				put(t, file, fmt.Sprintf("%s: %q\n", s.key(), v))
				return []string{"--config=" + file}, nil
			},
		} {
			takes := map[string]bool{
				"flag": s.By != settings.BySecret, "environment": s.By != settings.ByFlag,
				"file": s.By != settings.ByFlag && s.Name != "config",
			}[way]
			for _, value := range []string{good, bad} {
				if value == "" {
					continue
				}
				args, env := given(value)
				a, cmd, now := in.of(t, env)
				cmd.SetContext(t.Context())
				if in.name != "data-dir" {
					args = append(args, "--data-dir="+dir)
				}
				err := cmd.ParseFlags(args)
				if err == nil {
					err = a.load(cmd, a.settings[cmd])
				}
				where := fmt.Sprintf("%s, %s by %s, %q", in.command, in.name, way, value)
				switch {
				case in.name == "config" && way != "file": // it names no file that there is, and is read: it says so
					if err == nil || !strings.Contains(err.Error(), "no such file") {
						t.Errorf("%s: %v", where, err)
					}
				case takes && value == good && in.name == "output": // a word is asked for
					if err == nil || !strings.Contains(err.Error(), "output") {
						t.Errorf("%s: %v", where, err)
					}
				case takes && value == good:
					if err != nil || now.String() != shown && !strings.HasSuffix(now.String(), shown) ||
						!strings.HasPrefix(now.source, way) && way != "flag" {
						t.Errorf("%s: it is %q, from %q, and %v; want %q", where, now.String(), now.source, err, shown)
					}
				case err == nil:
					t.Errorf("%s: it is neither in force nor refused", where)
				case !strings.Contains(err.Error(), in.name) && !strings.Contains(err.Error(), s.env()) &&
					!strings.Contains(err.Error(), s.key()):
					t.Errorf("%s: the refusal does not name it: %v", where, err)
				}
			}
		}
	}
}

// TestNoFlagIsEmpty gives every flag of every command the text of a variable that is not set: a condition, a filter, a
// place or a token that was meant must not be taken for none.
func TestNoFlagIsEmpty(t *testing.T) {
	dir := t.TempDir()
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(name string) (string, bool) { return dir, name == "TENET_DATA_DIR" })
	for cmd, list := range a.settings {
		if cmd.CommandPath() == "tenet list" {
			list = append(slices.Clone(list), a.shared...)
		}
		cmd.SetContext(t.Context())
		for _, s := range list {
			flag := cmd.Flags().Lookup(s.Name)
			if flag == nil || s.Blank != "" {
				continue
			}
			err := cmd.ParseFlags([]string{"--" + s.Name + "="})
			if err == nil {
				err = a.load(cmd, a.settings[cmd])
			}
			if err == nil || !strings.Contains(err.Error(), "--"+s.Name) {
				t.Errorf("%s --%s '': %v, want that it is refused by its name", cmd.CommandPath(), s.Name, err)
			}
			flag.Changed = false
		}
	}
}

// TestANumberThatWouldBeAnotherIsRefused gives 0 and -1 to every setting of a server that is a number or a duration: it
// is refused with its name, or means something, and is not the default without a word.
func TestANumberThatWouldBeAnotherIsRefused(t *testing.T) {
	means := map[string]string{
		"retain-log": "for ever", "recovery-time": "no goal", "recovery-point": "no goal",
	}
	checked := 0
	for _, in := range inputs() {
		_, _, s := in.of(t, nil)
		typ := s.Type()
		if in.command != "tenet serve" || s.By == settings.ByFlag || means[in.name] != "" ||
			!strings.HasPrefix(typ, "int") && typ != "duration" {
			continue
		}
		checked++
		for _, value := range []string{"0", "-1", "99999999999999999999"} {
			a, cmd, _ := in.of(t, map[string]string{s.env(): value})
			cmd.SetContext(t.Context())
			err := cmd.ParseFlags([]string{"--data-dir=" + t.TempDir()})
			if err == nil {
				err = a.load(cmd, a.settings[cmd])
			}
			if err == nil || !strings.Contains(err.Error(), s.env()) {
				t.Errorf("%s=%s: %v, want that it is refused", s.env(), value, err)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d numbers: the settings are read wrongly", checked)
	}
}

// TestServeRefusesTextThatMeansNothing starts a server with nonsense for each of its settings that is a text: it is
// refused with the setting's name, but where any text means something.
func TestServeRefusesTextThatMeansNothing(t *testing.T) {
	free := map[string]string{"backup-dir": "a directory of any name is made"}
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	for cmd, list := range a.settings {
		if cmd.CommandPath() != "tenet serve" {
			continue
		}
		for _, s := range list {
			if typ := s.Type(); typ != "string" && typ != "strings" || s.By == settings.ByFlag || free[s.Name] != "" {
				continue
			}
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
			var said bytes.Buffer
			args := []string{"serve", "--data-dir", filepath.Join(t.TempDir(), "data"), "--" + s.Name, "no such thing"}
			if s.Name != "listen" {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			code := run(ctx, args, strings.NewReader(""), &said, &said,
				func(string) (string, bool) { return "", false }, nil)
			stop()
			text := strings.ReplaceAll(said.String(), "-", " ")
			if code != exitUsage || !strings.Contains(strings.ToLower(text), strings.ReplaceAll(s.Name, "-", " ")) {
				t.Errorf("--%s: code %d\n%s", s.Name, code, said.String())
			}
		}
	}
}

// TestOfTwoInputsNoneIsIgnored gives what excludes each other in the same way, and in two ways, of which the nearer
// counts.
func TestOfTwoInputsNoneIsIgnored(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "token"), "tenet_x")
	tell := func(env map[string]string, args ...string) (int, string) {
		var said bytes.Buffer
		var environ []string
		for name, value := range env {
			environ = append(environ, name+"="+value)
		}
		code := run(t.Context(), append(args, "--data-dir", dir), strings.NewReader(""), &said, &said,
			func(name string) (string, bool) { v, ok := env[name]; return v, ok }, environ)
		return code, said.String()
	}
	nobody := "http://" + freePort(t)
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		code int
		says string
	}{
		"two addresses": {nil, []string{
			"list", "rules", "--url", nobody, "--database-url",
			"postgres://u@127.0.0.1:1/x",
		}, exitUsage, "url and database-url are both given"},
		"the nearer address": {
			map[string]string{"TENET_DATABASE_URL": "postgres://u@127.0.0.1:1/x"},
			[]string{"list", "rules", "--url", nobody},
			exitUnavailable, nobody,
		},
		"two tokens": {
			map[string]string{
				"TENET_TOKEN":      "tenet_y",
				"TENET_TOKEN_FILE": filepath.Join(dir, "token"),
			},
			[]string{"list", "rules", "--url", nobody},
			exitUsage,
			"token and token-file are both given",
		},
		"a blank address": {
			map[string]string{"TENET_DATABASE_URL": "\n"},
			[]string{"list", "rules"},
			exitUsage,
			"database-url: it is blank",
		},
		"a flag's name in the environs": {
			map[string]string{"TENET_LIMIT": "3"},
			[]string{"list", "rules"},
			exitUsage,
			"TENET_LIMIT is no setting: give --limit with each call",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if code, said := tell(c.env, c.args...); code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("code %d, want %d and %q:\n%s", code, c.code, c.says, said)
			}
		})
	}
}
