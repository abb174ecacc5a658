package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/settings"
)

// TestDocumentsAreCurrent fails when a generated document is not what the program would write now.
func TestDocumentsAreCurrent(t *testing.T) {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	docs, err := documents(t.Context(), a, filepath.Join("..", "..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range docs {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("docs/%s is out of date; `make docs` writes it anew (-program +file):\n%s", name, diff)
		}
	}
}

func TestEverySettingIsDescribedAndReadable(t *testing.T) {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	seen := map[string]string{}
	for cmd, list := range a.settings {
		for _, s := range append(list, a.shared...) {
			if s.Doc == "" {
				t.Errorf("%s: --%s has no description", cmd.CommandPath(), s.Name)
			}
			if s.By == settings.ByFlag {
				continue
			}
			if doc, ok := seen[s.key()]; ok && doc != s.Doc {
				t.Errorf("%s means two things: %q and %q", s.key(), doc, s.Doc)
			}
			seen[s.key()] = s.Doc
		}
	}
	for cmd := range a.settings {
		if cmd.Hidden {
			continue
		}
		if cmd.Long == "" || cmd.Short == "" || cmd.Example == "" && cmd.Name() != "version" {
			t.Errorf("%s lacks a description or an example", cmd.CommandPath())
		}
	}
}
