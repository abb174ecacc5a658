package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCommandOfTheDocumentsIsOne reads the commands that README and docs show, and checks that the program has
// each of them with those flags and so many arguments. README.md, the pages that pages_test.go and guide_test.go name
// and the examples of docs/cli.md (manual_test.go) are run as they stand.
func TestEveryCommandOfTheDocumentsIsOne(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	operations, err := filepath.Glob("../../docs/operations/*.md")
	if err != nil || len(operations) == 0 {
		t.Fatalf("docs/operations has %d pages: %v", len(operations), err)
	}
	pages = append(append(pages, operations...), "../../README.md", "../../docs/api/live.md")
	blocks := regexp.MustCompile("(?ms)^```(sh|console|bash)[^\n]*\n(.*?)^```$")
	inline := regexp.MustCompile("`(tenet [a-z][^`\n]*)`")
	a := newApp(os.Stdin, os.Stdout, os.Stderr, func(string) (string, bool) { return "", false })
	substituted := regexp.MustCompile(`\$\([^)]*\)`)
	read := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range blocks.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, strings.Split(strings.ReplaceAll(m[2], "\\\n", " "), "\n")...)
		}
		for _, m := range inline.FindAllStringSubmatch(string(text), -1) {
			// which are made of the program
			if filepath.Base(page) != "cli.md" && filepath.Base(page) != "configuration.md" {
				lines = append(lines, "?"+m[1])
			}
		}
		for _, line := range lines {
			named := strings.HasPrefix(line, "?") // a command that is only named may lack its arguments
			words := commandIn(substituted.ReplaceAllString(strings.TrimPrefix(line, "?"), "x"))
			if words == nil {
				continue
			}
			read++
			if err := parses(a, words, named); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(page), strings.TrimPrefix(line, "?"), err)
			}
		}
	}
	if read < 80 {
		t.Errorf("only %d commands were found: the pages are read wrongly", read)
	}
}

// commandIn returns the arguments of a call of tenet in a line of a shell; nil for none.
func commandIn(line string) []string {
	line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
	for regexp.MustCompile(`^[A-Z_]+=\S* `).MatchString(line) {
		_, line, _ = strings.Cut(line, " ")
	}
	line = strings.TrimPrefix(line, "sudo ")
	for _, program := range []string{"tenet ", "./tenet ", "go run ./cmd/tenet "} {
		if rest, ok := strings.CutPrefix(line, program); ok {
			return shellWords(rest)
		}
	}
	return nil
}

// shellWords cuts the first command of a line into its words, as a shell does.
func shellWords(line string) []string {
	words, word, quote, begun := []string{}, strings.Builder{}, rune(0), false
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune("|&><;#", r) && !begun:
			return words
		case r == ' ':
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// parses tells why the program would not take arguments, nil where it would.
func parses(a *app, words []string, named bool) error {
	cmd, rest, err := a.root.Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		if named && strings.Contains(err.Error(), "needs an argument") {
			return nil
		}
		return err
	}
	if named {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
