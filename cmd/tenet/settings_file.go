package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"tenet/internal/knowledge"
	"tenet/internal/settings"
)

// settingsFileName is the name of a settings file that nobody named.
const settingsFileName = "tenet.yaml"

// A settingsFile is what a server.yaml holds, by key.
type settingsFile struct {
	path   string // "" when there is none
	values map[string]yaml.Node
	// found is true when the file was met in the working directory, and not named.
	found bool
}

// readSettings reads a settings file, and checks that every key of it is known.
func readSettings(ctx context.Context, path string, known []string) (*settingsFile, error) {
	data, err := readPatiently(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	file := &settingsFile{path: path}
	if err := yaml.Unmarshal(data, &file.values); err != nil {
		return nil, usageError("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	for _, key := range slices.SortedFunc(maps.Keys(
		file.values), func(a, b string) int { return file.values[a].Line - file.values[b].Line }) {
		if slices.Contains(known, key) {
			continue
		}
		hint := "`tenet config` lists the known ones"
		if near := knowledge.Nearest(key, slices.Values(known)); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, usageError("%s:%d: unknown setting %q: %s", path, file.values[key].Line, key, hint)
	}
	return file, nil
}

// findSettings returns the settings file to use: the one named, else ./tenet.yaml, else the one in the data directory.
func findSettings(ctx context.Context, named, dataDir string, known []string) (*settingsFile, error) {
	if named != "" {
		file, err := readSettings(ctx, named, known)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usageError("--config: %s", err)
		}
		return file, err
	}
	for _, place := range []struct {
		path  string
		found bool
	}{{settingsFileName, true}, {filepath.Join(dataDir, settingsFileName), false}} {
		file, err := readSettings(ctx, place.path, known)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // of which the command tells
			continue
		}
		if err != nil {
			return nil, err
		}
		file.found = place.found
		return file, nil
	}
	return &settingsFile{}, nil
}

// fill gives every setting that has no flag its value: the environment's, else the file's, else the default that it
// has.
func fill(list []*setting, flags *pflag.FlagSet, env func(string) (string, bool), file *settingsFile) error {
	for _, s := range list {
		if f := flags.Lookup(s.Name); f != nil && f.Changed {
			if s.String() == "" && s.Blank == "" { // a variable of a script that is not set, and not what was meant
				return usageError("--%s is empty: give it a value, or leave it out", s.Name)
			}
			s.source = "flag --" + s.Name
			continue
		}
		if s.By == settings.ByFlag {
			continue
		}
		if text, ok := env(s.env()); ok && text != "" {
			if err := s.setLines(text); err != nil {
				return usageError("%s: %s", s.env(), err)
			}
			s.source = "environment " + s.env()
			continue
		}
		if node, ok := file.values[s.key()]; ok {
			if err := s.setNode(&node); err != nil {
				return usageError("%s:%d: %s: %s", file.path, node.Line, s.key(), err)
			}
			s.source = "file " + file.path
		}
	}
	return nil
}

// setLines gives the setting the value of a variable of the environment: a list has one value in each line.
func (s *setting) setLines(text string) error {
	if !s.IsList() {
		return s.Set(text)
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := s.Set(line); err != nil {
			return err
		}
	}
	return nil
}

// setNode gives the setting the value that a file has for it: of a list one value, or a sequence of them.
func (s *setting) setNode(node *yaml.Node) error {
	values := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode && s.IsList() {
		values = node.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			if s.IsList() {
				return errors.New("want a list of values, each in a line of its own after a dash")
			}
			return errors.New("want one value")
		}
		if err := s.Set(v.Value); err != nil {
			return err
		}
	}
	return nil
}
