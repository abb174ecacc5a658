package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestHelpFitsTheTerminal asks for help on a terminal of 40 columns, and beside it through a pipe.
func TestHelpFitsTheTerminal(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	shown, user := terminal(t, 200)
	code := run(t.Context(), []string{"review", "--help"}, strings.NewReader(""), shown, shown, none, nil)
	text := make([]byte, 1<<16)
	n, err := user.Read(text)
	if code != 0 || err != nil {
		t.Fatalf("code %d, %v", code, err)
	}
	help, _, _ := strings.Cut(strings.ReplaceAll(string(text[:n]), "\r\n", "\n"), "\nCommands:")
	for line := range strings.Lines(help) {
		if textWidth(strings.TrimSuffix(line, "\n")) > 40 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	var piped bytes.Buffer
	if code := run(t.Context(), []string{"review", "--help"}, strings.NewReader(""), &piped, &piped, none,
		nil); code != 0 {
		t.Fatalf("code %d", code)
	}
	want, _, _ := strings.Cut(piped.String(), "\nUsage:")
	got, _, _ := strings.Cut(help, "\nUsage:")
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("the terminal shows\n%s\nand a pipe\n%s", got, want)
	}
}
