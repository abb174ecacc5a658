package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A commandGroup is a part of the list of commands, by what their user is about to do.
type commandGroup struct {
	title    string
	commands []string // what is needed first comes first
}

// serverGroup is the title of the commands of an operator.
const serverGroup = "Run a server"

// commandGroups returns the commands as help lists them.
func commandGroups() []commandGroup {
	return []commandGroup{
		{"The first hour", []string{"serve", "status", "import", "search", "guidance", "sync"}},
		{"Read", []string{"list", "get", "history", "diff", "explain", "render", "watch"}},
		{"Write", []string{"new", "edit", "put", "patch", "retire", "restore", "undo", "source"}},
		{"Review and roll out", []string{"propose", "review", "pack", "label", "fleet", "effect"}},
		{"Check code", []string{"check", "report", "hook", "mcp"}},
		{serverGroup, []string{
			"token", "config", "doctor", "backup", "jobs", "audit", "conflicts", "export", "seed", "migrate",
			"move", "archive", "purge", "erase", "scrub",
		}},
		{"Other", []string{"completion", "help", "version"}},
	}
}

// serverFlags returns the flags of every command that decide what a server does. They count for other commands only
// where no server runs, so the help of most commands leaves them out.
func serverFlags() []string {
	return []string{
		"agent-writes", "confidential", "database-allow-unverified-tls", "database-url", "review", "review-own",
	}
}

// fitHelp has the help of every command fit a terminal: its paragraphs are broken anew, and what is said of a command
// or a flag stays beside it. Elsewhere it stays as it is written.
func fitHelp(a *app, sc screen) {
	ofCobra := map[string][]string{cobra.FlagSetByCobraAnnotation: {"true"}}
	for _, f := range []*pflag.Flag{
		a.root.PersistentFlags().VarPF(new(switchFlag), "help", "h", "Show this help"),
		a.root.Flags().VarPF(new(switchFlag), "version", "v", "Print which version of tenet this is"),
	} {
		f.NoOptDefVal, f.Annotations = "true", ofCobra
	}
	a.root.SetUsageFunc(func(cmd *cobra.Command) error { return a.writeUsage(cmd, sc.columns) })
	if sc.columns <= 0 {
		return
	}
	for _, cmd := range a.root.Commands() {
		fitText(cmd, sc.columns)
	}
	a.root.Long = reflow(a.root.Long, sc.columns)
}

// A switchFlag is one that help shows by its name alone, as it shows those of the settings.
type switchFlag bool

// String returns what is set.
func (f *switchFlag) String() string { return strconv.FormatBool(bool(*f)) }

// Type returns the name by which its value is read.
func (*switchFlag) Type() string { return "bool" }

// Set reads a value.
func (f *switchFlag) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q: want true or false", text)
	}
	*f = switchFlag(on)
	return nil
}

// writeUsage prints how a command is called, and what it may be given.
func (a *app) writeUsage(cmd *cobra.Command, columns int) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if _, does := a.settings[cmd]; does || cmd.Name() == "help" {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	a.usageCommands(&b, cmd, columns)
	usageFlags(&b, "Flags", cmd.LocalNonPersistentFlags(), nil, columns)
	var hidden []string
	if cmd != a.root && !slices.Contains(groupOf(serverGroup), a.below(cmd)) && a.below(cmd) != "serve" {
		hidden = serverFlags()
	}
	usageFlags(&b, "Flags of every command", a.root.PersistentFlags(), hidden, columns)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n`%s COMMAND --help` says more about one.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// below returns the name of the command under the root that cmd is, or belongs to; "" for the root itself.
func (a *app) below(cmd *cobra.Command) string {
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		if cmd.Parent() == a.root {
			return cmd.Name()
		}
	}
	return ""
}

// groupOf returns the commands of the group with a title.
func groupOf(title string) []string {
	for _, g := range commandGroups() {
		if g.title == title {
			return g.commands
		}
	}
	return nil
}

// usageCommands lists the commands below one: those of the root by what they are for, others by name.
func (a *app) usageCommands(b *strings.Builder, cmd *cobra.Command, columns int) {
	groups := []commandGroup{{title: "Commands"}}
	shorts, widest := map[string]string{}, 0
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			shorts[c.Name()] = c.Short
			widest = max(widest, len(c.Name()))
			groups[0].commands = append(groups[0].commands, c.Name())
		}
	}
	if len(shorts) == 0 {
		return
	}
	if cmd == a.root {
		groups = commandGroups()
	}
	margin := widest + 4
	for _, g := range groups {
		fmt.Fprintf(b, "\n%s:\n", g.title)
		for _, name := range g.commands {
			short := shorts[name]
			if columns > margin {
				short = strings.ReplaceAll(wrap(short, columns-margin), "\n", "\n"+strings.Repeat(" ", margin))
			}
			fmt.Fprintf(b, "  %-*s  %s\n", widest, name, short)
		}
	}
}

// usageFlags lists flags, without some of them.
func usageFlags(b *strings.Builder, title string, flags *pflag.FlagSet, without []string, columns int) {
	shown := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(without, f.Name) {
			shown.AddFlag(f)
		}
	})
	if !shown.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for line := range strings.Lines(shown.FlagUsagesWrapped(columns)) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if len(without) > 0 {
		b.WriteString("\n`tenet --help` also shows the flags that decide what a server does.\n")
	}
}

// fitText breaks the paragraphs of a command anew, and of those below it.
func fitText(cmd *cobra.Command, columns int) {
	cmd.Long = reflow(cmd.Long, columns)
	for _, c := range cmd.Commands() {
		fitText(c, columns)
	}
}

// reflow breaks the paragraphs of a text anew. One with lines that are indented, or begin a list, keeps its lines.
func reflow(text string, columns int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n ") && !strings.Contains(p, "\n- ") {
			p = strings.ReplaceAll(p, "\n", " ")
		}
		paragraphs[i] = wrap(p, columns)
	}
	return strings.Join(paragraphs, "\n\n")
}
