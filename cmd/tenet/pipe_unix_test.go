//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tenet/internal/server"
)

// TestACommandThatWaitsForAPipeEndsWhenItIsInterrupted has each command wait for a pipe at whose other end nothing
// happens.
func TestACommandThatWaitsForAPipeEndsWhenItIsInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := server.OpenLocal(t.Context(), server.Options{DataDir: dir}) // with more than a pipe holds
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		args []string
		flag int // how the other end is opened
	}{
		"put":     {[]string{"put", pipe}, os.O_WRONLY},
		"propose": {[]string{"propose", "--title", "T", pipe}, os.O_WRONLY},
		"patch":   {[]string{"patch", "category/security", "--file", pipe}, os.O_WRONLY},
		"export":  {[]string{"export", pipe}, os.O_RDONLY},
		"stdin":   {[]string{"put", "-"}, 0},
		"config":  {[]string{"list", "rules", "--config", pipe}, os.O_WRONLY},
		"token":   {[]string{"list", "rules", "--url", "http://127.0.0.1:1", "--token-file", pipe}, os.O_WRONLY},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			in, feed := io.Pipe()
			ended := make(chan int)
			var out bytes.Buffer
			go func() {
				ended <- run(ctx, append(is.args, "--data-dir", dir), in, &out, &out,
					func(string) (string, bool) { return "", false }, nil)
			}()
			if name == "stdin" {
				if _, err := feed.Write([]byte("kind: ")); err != nil { // it is read
					t.Error(err)
				}
			} else {
				other, err := os.OpenFile(pipe, is.flag, 0) // returns when the command has opened it
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
			}
			interrupt()
			if code := <-ended; code != exitInterrupted || !strings.Contains(out.String(), "interrupted") {
				t.Errorf("it ends with %d: %s", code, out.String())
			}
			if err := feed.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
