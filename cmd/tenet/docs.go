package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tenet/internal/server"
	"tenet/internal/settings"
)

type docsSettings struct {
	Dir string `name:"dir" default:"docs" by:"flag" doc:"Directory to write to"`
}

// generated is the first line of every document that nobody edits by hand.
const generated = "<!-- Written by `go run ./cmd/tenet docs`. Edit the program instead. -->\n\n"

func addDocs(a *app) {
	var s docsSettings
	a.command(a.root, &cobra.Command{
		Use:    "docs",
		Short:  "Write the documents that are made of the program",
		Hidden: true,
	}, &s, func(ctx context.Context, _ []string) error {
		docs, err := documents(ctx, a, s.Dir)
		if err != nil {
			return err
		}
		for name, data := range docs {
			if err := os.WriteFile(filepath.Join(s.Dir, name), data, 0o644); err != nil { //nolint:gosec // for everybody to read
				return fmt.Errorf("write %s: %w", name, err)
			}
		}
		return nil
	})
}

// documents returns the generated documents by file name. Those that are generated in part only are taken from dir.
func documents(ctx context.Context, a *app, dir string) (map[string][]byte, error) {
	watch, err := metricsDocument(ctx, filepath.Join(dir, metricsPage))
	if err != nil {
		return nil, err
	}
	tools, err := toolsDocument(filepath.Join(dir, toolsPage))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		toolsPage: tools, "cli.md": cliDocument(a), "configuration.md": configurationDocument(a), metricsPage: watch,
		"assistants.md": assistantsDocument(),
	}, nil
}

// metricsPage is the page whose table of metrics is generated, between metricsBegin and metricsEnd.
const (
	metricsPage  = "operations/watch.md"
	metricsBegin = "<!-- metrics: written by `go run ./cmd/tenet docs` -->\n"
	metricsEnd   = "<!-- end of the metrics -->\n"
)

// around returns what stands before and behind the generated part of a page, between two comments.
func around(path, begin, end string) (before, after string, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the directory
	if err != nil {
		return "", "", fmt.Errorf("read the document: %w", err)
	}
	before, rest, begun := strings.Cut(string(data), begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", "", fmt.Errorf("%s lacks the comments around its generated part", path)
	}
	return before, after, nil
}

// metricsDocument returns the page at path with a new table of metrics.
func metricsDocument(ctx context.Context, path string) ([]byte, error) {
	before, after, err := around(path, metricsBegin, metricsEnd)
	if err != nil {
		return nil, err
	}
	list, err := measures(ctx)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(before + metricsBegin + "\n| name | labels | meaning |\n| --- | --- | --- |\n")
	for _, m := range list {
		labels := "-"
		if m.Labels != "" {
			labels = m.Labels
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, labels, cellText(m.Help))
	}
	b.WriteString("\n" + metricsEnd + after)
	return b.Bytes(), nil
}

// measures returns the metrics of a server on a PostgreSQL, which has all of them. Nothing needs to answer at its
// address.
func measures(ctx context.Context) (_ []server.Measure, err error) {
	dir, err := os.MkdirTemp("", "tenet-docs-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv, err := server.Open(ctx, server.Options{
		DataDir: dir, Listen: "127.0.0.1:0", DatabaseURL: "postgres://127.0.0.1:1/tenet?sslmode=disable", NoSeed: true,
	})
	if err != nil {
		return nil, err
	}
	list := srv.Measures()
	ended, end := context.WithCancel(ctx)
	end()
	return list, srv.Run(ended) // which closes it
}

func cliDocument(a *app) []byte {
	var b bytes.Buffer
	b.WriteString("# Command line\n\n" + generated + a.root.Long + "\n\n")
	b.WriteString("## Commands\n\n| for | commands |\n| --- | --- |\n")
	for _, g := range commandGroups() {
		var links []string
		for _, name := range g.commands {
			if name != "help" {
				links = append(links, fmt.Sprintf("[%s](#tenet-%[1]s)", name))
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.ToLower(g.title), strings.Join(links, ", "))
	}
	b.WriteString("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(&b, "| %d | %s |\n", c.code, c.text)
	}
	b.WriteString("\n## Flags of every command\n\n")
	writeFlags(&b, a.root.PersistentFlags())
	eachCommand(a, func(cmd *cobra.Command) {
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n\n%s\n", cmd.CommandPath(), cmd.UseLine(),
			strings.TrimSpace(cmd.Long))
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindent(cmd.Example))
		}
		if cmd.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteString("\n")
			writeFlags(&b, cmd.LocalNonPersistentFlags())
		}
	})
	return b.Bytes()
}

// eachCommand calls fn for every command that does something, in the order of their names.
func eachCommand(a *app, fn func(*cobra.Command)) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Hidden || c.Name() == "help" || c.Name() == "completion" && c.Parent() != a.root {
				continue
			}
			if c.Runnable() {
				fn(c)
			}
			walk(c)
		}
	}
	walk(a.root)
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	b.WriteString("| flag | default | what it does |\n| --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		def := "-"
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			def = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, def, cellText(f.Usage))
	})
}

func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func configurationDocument(a *app) []byte {
	var b bytes.Buffer
	b.WriteString("# Configuration\n\n" + generated)
	b.WriteString(`Every setting can be given as a flag, in the environment, or in a file, and has a default. The nearest wins: a flag over the
environment, the environment over the file, the file over the default. ` + "`tenet config`" + ` shows what is in force and where each value comes
from, ` + "`tenet serve --print-config`" + ` what a server would run with.

The file is YAML. It is the one that ` + "`--config`" + ` or ` + "`TENET_CONFIG`" + ` names, else ` + "`tenet.yaml`" + ` in the working directory, else
` + "`tenet.yaml`" + ` in the data directory. A key that nobody knows is an error, which names the nearest known one; so is a
variable in the environment whose name is almost that of a setting. A token that comes from
elsewhere is never sent to an address that a file in the working directory names: somebody else may have written it.

` + "```yaml" + `
listen: 127.0.0.1:8420
data_dir: /var/lib/tenet
log_format: json
schedule:
  - backup.full=0 2 * * *
  - backup.drill=0 4 * * 6
` + "```" + `

A setting that may be given several times is a list in the file; in the environment each value has a line of its own.

Durations are written as ` + "`500ms`, `30s` or `5m`" + `. Secrets are never printed.

## Of every command

`)
	b.WriteString(settingsText(a.shared))
	var tables []string
	commands := map[string][]string{} // by their table: those of backups have one
	eachCommand(a, func(cmd *cobra.Command) {
		list := a.settings[cmd]
		if !slices.ContainsFunc(list, func(s *setting) bool { return s.By != settings.ByFlag }) {
			return
		}
		table := settingsText(list)
		if commands[table] == nil {
			tables = append(tables, table)
		}
		commands[table] = append(commands[table], "`"+cmd.CommandPath()+"`")
	})
	for _, table := range tables {
		fmt.Fprintf(&b, "\n## Of %s\n\n%s", strings.Join(commands[table], ", "), table)
	}
	return b.Bytes()
}
