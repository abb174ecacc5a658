package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestTheSettingsOfThePagesAreRead starts the program with each settings file that README and docs show.
func TestTheSettingsOfThePagesAreRead(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(# tenet.yaml.*?|listen: .*?)^```$")
	read := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/operations/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range block.FindAllStringSubmatch(string(text), -1) {
				read++
				path := filepath.Join(t.TempDir(), "tenet.yaml")
				put(t, path, m[1])
				if code, said := command(t, t.TempDir(), "serve", "--print-config", "--config", path); code != exitOK {
					t.Errorf("%s: with the settings\n%s`tenet serve` ends with %d:\n%s", page, m[1], code, said)
				}
			}
		}
	}
	if read < 3 {
		t.Errorf("only %d settings files were found: the pages are read wrongly", read)
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

// TestEveryCommandIsInOneGroup fails for a command that help would not list, or would list twice.
func TestEveryCommandIsInOneGroup(t *testing.T) {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	var grouped, there []string
	for _, g := range commandGroups() {
		grouped = append(grouped, g.commands...)
	}
	for _, c := range a.root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			there = append(there, c.Name())
		}
	}
	slices.Sort(grouped)
	slices.Sort(there)
	if diff := cmp.Diff(there, grouped); diff != "" {
		t.Errorf("commandGroups names other commands than there are (-there +named):\n%s", diff)
	}
}
