package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tenet/internal/needs"
)

// terminal returns the two ends of a terminal of some lines with 40 columns.
func terminal(t *testing.T, rows uint16) (shown, user *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		needs.Missing(t, "no terminals here: %s", err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	shown, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shown.Close() })
	if err := unix.IoctlSetWinsize(int(shown.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 40}); err != nil {
		t.Fatal(err)
	}
	return shown, user
}

// Long output on a terminal goes to the pager; short output, --no-pager, an empty PAGER and a pipe never meet it.
func TestLongOutputOnATerminalGoesToThePager(t *testing.T) {
	long, short := strings.Repeat("a line\n", 12), "a line\n"
	wrapped := strings.Repeat("x", 40*12) + "\n"
	for name, tc := range map[string]struct {
		text, pager string
		none, piped bool
		paged       bool
	}{
		"long":            {text: long, paged: true},
		"one long line":   {text: wrapped, paged: true},
		"short":           {text: short},
		"--no-pager":      {text: long, none: true},
		"an empty PAGER":  {text: long, pager: "-"},
		"no such program": {text: long, pager: "/nowhere/pager"},
		"a pipe":          {text: long, piped: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			seen := filepath.Join(dir, "seen")
			script := filepath.Join(dir, "pager")
			if err := os.WriteFile(script, []byte("#!/bin/sh\ncat >"+seen+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			pager := map[string]string{"": script, "-": ""}
			env := func(key string) (string, bool) {
				if named, ok := pager[tc.pager]; key == "PAGER" && ok {
					return named, true
				}
				return tc.pager, key == "PAGER"
			}
			shown, user := terminal(t, 10)
			var out io.Writer = shown
			var piped bytes.Buffer
			if tc.piped {
				out = &piped
			}
			a := newApp(strings.NewReader(""), out, io.Discard, env)
			a.root.SetContext(t.Context())
			a.NoPager = tc.none
			if err := a.print(nil, func(w io.Writer, _ screen) error {
				_, err := io.WriteString(w, tc.text)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			got, _ := os.ReadFile(seen)
			switch {
			case tc.paged && string(got) != tc.text:
				t.Errorf("the pager got %q, want %q", got, tc.text)
			case !tc.paged && len(got) > 0:
				t.Errorf("the pager got %q, want nothing", got)
			case tc.piped && piped.String() != tc.text:
				t.Errorf("the pipe got %q, want %q", piped.String(), tc.text)
			case !tc.paged && !tc.piped:
				plain := make([]byte, 4096)
				n, err := user.Read(plain)
				if want := strings.ReplaceAll(tc.text, "\n", "\r\n"); err != nil || string(plain[:n]) != want {
					t.Errorf("the terminal shows %q (%v), want %q", plain[:n], err, want)
				}
			}
		})
	}
}
