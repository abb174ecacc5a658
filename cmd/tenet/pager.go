package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// page writes what people read. On a terminal with too few lines for it, a pager shows it: the one that PAGER names,
// else less. An empty PAGER, cat and --no-pager mean none. What goes into a file or a pipe never meets one.
func (a *app) page(sc screen, write func(w io.Writer) error) error {
	f, ok := a.out.(*os.File)
	pager := a.pager()
	if !ok || pager == nil || !term.IsTerminal(int(f.Fd())) {
		return write(a.out)
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || rows <= 0 {
		return write(a.out)
	}
	var text bytes.Buffer
	if err := write(&text); err != nil {
		_, _ = f.Write(text.Bytes()) // what there is, before the error
		return err
	}
	if linesOf(text.Bytes(), max(sc.columns, columns)) < rows {
		_, err := f.Write(text.Bytes())
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(a.root.Context()), pager[0], pager[1:]...) //nolint:gosec // the user's own pager
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text.Bytes()), f, a.err
	if _, set := a.env("LESS"); !set {
		cmd.Env = append(os.Environ(), "LESS=FRX") // show styles, and leave the text on the screen
	}
	if err := cmd.Start(); err != nil { // no such program: better too long than not at all
		_, err := f.Write(text.Bytes())
		return err
	}
	_ = cmd.Wait() // who leaves the pager early has seen enough
	return nil
}

// pager returns the pager and its arguments; nil for none.
func (a *app) pager() []string {
	name, set := a.env("PAGER")
	if !set {
		name = "less"
	}
	words := strings.Fields(name)
	if a.NoPager || len(words) == 0 || words[0] == "cat" {
		return nil
	}
	return words
}

// linesOf returns how many lines of a terminal a text takes.
func linesOf(text []byte, columns int) int {
	n := 0
	for line := range bytes.Lines(text) {
		n += 1 + max(0, utf8.RuneCount(bytes.TrimRight(line, "\n"))-1)/max(1, columns)
	}
	return n
}
