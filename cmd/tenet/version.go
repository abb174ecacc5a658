package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A build says which program this is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Time     string `json:"time"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo returns what the compiler noted about the program.
func buildInfo() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified && b.Revision != "" {
		b.Revision += " with changes"
	}
	return b
}

// String returns what the program is on one line.
func (b build) String() string {
	text := "tenet " + b.Version
	if b.Revision != "" {
		text += fmt.Sprintf(" (%s, %s)", b.Revision, b.Time)
	}
	return fmt.Sprintf("%s, %s %s", text, b.Go, b.Platform)
}

func addVersion(a *app) {
	a.command(a.root, &cobra.Command{
		Use:     "version",
		Short:   "Print which version of tenet this is",
		Long:    `Prints the version of this program and what it was built from and with.`,
		Example: `  tenet version --output json`,
	}, nil, func(context.Context, []string) error {
		b := buildInfo()
		return a.print(b, func(w io.Writer, _ screen) error {
			_, err := fmt.Fprintln(w, b)
			return err
		})
	})
}
