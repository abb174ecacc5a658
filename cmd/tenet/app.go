package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/settings"
	"tenet/internal/store"
)

// common are the settings that every command has.
type common struct {
	Config             string `name:"config" doc:"Settings file (else tenet.yaml here or in the data directory)"`
	DataDir            string `name:"data-dir" doc:"The data directory (default: tenet in the user's data directory)"`
	DatabaseURL        secret `name:"database-url" doc:"PostgreSQL to use as the primary, as in postgres://user@host/name (none: the embedded database)"`
	AllowUnverifiedTLS bool   `name:"database-allow-unverified-tls" doc:"Allow a remote PostgreSQL without verifying it"`
	URL                string `name:"url" doc:"Address of the server to use, as in http://127.0.0.1:8420"`
	Token              secret `name:"token" by:"secret" doc:"Token for the running tenet"`
	TokenFile          string `name:"token-file" doc:"File that holds the token for the running tenet"`
	Policy             access.PolicyOptions
	Agent              string        `name:"as-agent" doc:"The name of the agent that runs the command: it reads, reports and proposes; a server that runs is told"`
	Timeout            time.Duration `name:"timeout" default:"60s" doc:"Longest time for one call"`
	Output             string        `name:"output" short:"o" default:"table" doc:"How to print: table, json or yaml; where documents are listed also wide, csv or name" by:"flag"`
	Quiet              bool          `name:"quiet" short:"q" doc:"Print results and errors only" by:"flag"`
	NoPager            bool          `name:"no-pager" doc:"Print long output as it is, not through PAGER" by:"flag"`
}

// An app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	environ  []string // names and values, as in HOME=/root

	common
	root     *cobra.Command
	shared   []*setting                    // of common
	settings map[*cobra.Command][]*setting // of each command
	own      []*setting                    // of the running command
	file     *settingsFile
	word     string                   // the first argument, where it is no flag
	from     map[knowledge.Key]string // the files that documents were read from, where these are several
}

// run executes the command that args name and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, env func(string) (string, bool),
	environ []string,
) int {
	a := newApp(in, out, errs, env)
	a.environ = environ
	a.root.SetArgs(args)
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		completeFlags(a)
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		a.word = args[0]
	}
	ctx, marks := store.WithMarks(ctx)
	err := a.root.ExecuteContext(ctx)
	if marked := marks.Categories(); len(marked) > 0 {
		a.say("confidential: %s", strings.Join(marked, ", "))
	}
	if err != nil {
		// who can't be told can't be told that either
		_, _ = fmt.Fprintln(errs, "tenet: "+explain(err)+a.nobodyThere(err))
	}
	return exitCode(err)
}

// nobodyThere returns what to do where nothing listens at the address that was given; "" for another error.
func (a *app) nobodyThere(err error) string {
	away, ok := errors.AsType[*store.UnavailableError](err)
	if !ok || a.URL == "" {
		return ""
	}
	if dial, ok := errors.AsType[*net.OpError](away.Err); !ok || dial.Op != "dial" {
		return ""
	}
	return "\nThe address comes from " + a.sourceOf("url") + ". Without one a command asks the server of this " +
		"machine, which `tenet serve` starts."
}

func newApp(in io.Reader, out, errs io.Writer, env func(string) (string, bool)) *app {
	a := &app{
		in: in, out: out, err: errs, env: env, settings: map[*cobra.Command][]*setting{}, file: &settingsFile{},
		from: map[knowledge.Key]string{},
	}
	a.root = &cobra.Command{
		Use:   "tenet",
		Short: "Keep a team's engineering rules, practices and templates in one place",
		Long: `Tenet keeps a team's engineering rules, best practices and templates in one place and serves them to
people and to AI coding assistants.

Start one with "tenet serve". Every other command finds its way by itself: to the server that --url names, else to the
one that runs on the data directory, else straight into the database.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(a.root, args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	a.root.SetIn(in)
	a.root.SetOut(out)
	a.root.SetErr(errs)
	a.root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd == a.root && a.word != "" { // the flags of a command that is not there mean nothing
			return unknownCommand(a.root, a.word)
		}
		return unknownFlag(cmd, err)
	})
	a.root.Version = buildInfo().Version
	a.root.SetVersionTemplate(buildInfo().String() + "\n")
	a.shared = settingsOf(&a.common)
	register(a.root.PersistentFlags(), a.shared)
	addCommands(a)
	knowsTopics(a.root)
	fitHelp(a, screenOf(out, env))
	for _, cmd := range a.root.Commands() {
		if !cmd.Runnable() && cmd.HasSubCommands() {
			asGroup(cmd)
		}
	}
	return a
}

// command adds the running part to cmd: its settings, which are the fields of the struct that pointer points to (nil
// for none), and what it does once they are filled.
func (a *app) command(parent, cmd *cobra.Command, pointer any,
	do func(ctx context.Context, args []string) error,
) *cobra.Command {
	var list []*setting
	if pointer != nil {
		list = settingsOf(pointer)
		register(cmd.Flags(), list)
	}
	a.settings[cmd] = list
	cmd.Args = asUsage(cmd.Args)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.load(cmd, list); err != nil {
			return err
		}
		a.own = list
		return a.orNearest(cmd.Context(), ofFlags(cmd, do(cmd.Context(), args)))
	}
	parent.AddCommand(cmd)
	return cmd
}

// idle returns an error if one of the running command's flags was given that does nothing in what was asked for.
func (a *app) idle(why string, names ...string) error {
	for _, s := range a.own {
		if s.source != fromDefault && slices.Contains(names, s.Name) {
			return usageError("--%s does nothing %s: leave it out", s.Name, why)
		}
	}
	return nil
}

// asUsage has a check of arguments say what a command wants.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		check = cobra.ExactArgs(0)
	}
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		help := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
		switch {
		case err == nil:
			return nil
		case cmd.HasAvailableSubCommands():
			return unknownIn(cmd, args[0])
		case !strings.Contains(err.Error(), "arg(s)"): // it names what is wrong
			return usageError("%s; %s", err, help)
		case check(cmd, slices.Concat(args, []string{"1"})) == nil,
			check(cmd, slices.Concat(args, []string{"1", "2"})) == nil:
			return usageError("an argument is missing: `%s`; %s%s", cmd.UseLine(), help, examplesOf(cmd))
		}
		return usageError("%s too many: `%s`; %s", plural(len(args), "argument is", "arguments are"), cmd.UseLine(),
			help)
	}
}

// examplesShown is how many examples an error has.
const examplesShown = 3

// examplesOf returns the first examples of a command, for the end of an error.
func examplesOf(cmd *cobra.Command) string {
	if !cmd.HasExample() {
		return ""
	}
	examples := strings.Split(cmd.Example, "\n")
	return ". As in\n" + strings.Join(examples[:min(len(examples), examplesShown)], "\n")
}

// load fills the settings of a command and those that all share.
func (a *app) load(cmd *cobra.Command, list []*setting) error {
	// config and data-dir, which say where the file is
	if err := fill(a.shared, cmd.Flags(), a.env, a.file); err != nil {
		return err
	}
	if err := a.checkEnvironment(); err != nil {
		return err
	}
	if err := a.defaultDataDir(); err != nil {
		return err
	}
	file, err := findSettings(cmd.Context(), a.Config, a.DataDir, a.knownKeys())
	if err != nil {
		return err
	}
	a.file = file
	if err := fill(append(slices.Clone(a.shared), list...), cmd.Flags(), a.env, file); err != nil {
		return err
	}
	a.URL = withScheme(a.URL)
	if err := errors.Join(a.checkFound(), a.checkTwice()); err != nil {
		return err
	}
	return checkOutput(cmd, a.Output)
}

// checkFound refuses to send this user's PostgreSQL password to an address of a settings file that was met in the
// working directory: somebody else may have written it. The driver would take the password from the environment by
// itself.
func (a *app) checkFound() error {
	const password = "PGPASSWORD"
	if secret, ok := a.env(password); !ok || secret == "" || !a.file.found ||
		!strings.HasPrefix(a.sourceOf("database-url"), "file ") {
		return nil
	}
	return usageError("the address of the database comes from %s in the working directory and its password from %s; "+
		"to send it there, name the file "+
		"with --config, or the address with TENET_DATABASE_URL", a.file.path, password)
}

// checkEnvironment refuses a variable whose name is almost that of a setting: one who has misspelt TENET_DATA_DIR must
// not get a new store elsewhere. Names that are like none stay alone, since others may have made them: a cluster that
// calls a service tenet gives every program a TENET_PORT.
func (a *app) checkEnvironment() error {
	known := append(a.knownKeys(), "config")
	for _, pair := range a.environ {
		name, value, _ := strings.Cut(pair, "=")
		key, ours := strings.CutPrefix(name, "TENET_")
		if key = strings.ToLower(key); !ours || value == "" || slices.Contains(known, key) {
			continue
		}
		if flag := strings.ReplaceAll(key, "_", "-"); a.isFlagOnly(flag) {
			return usageError("%s is no setting: give --%s with each call", name, flag)
		}
		if near := knowledge.Nearest(key, slices.Values(known)); near != "" {
			return usageError("%s is no setting: did you mean TENET_%s?", name, strings.ToUpper(near))
		}
	}
	return nil
}

// isFlagOnly reports whether a name is that of a flag which neither the environment nor the file gives.
func (a *app) isFlagOnly(name string) bool {
	is := func(s *setting) bool { return s.Name == name }
	for _, list := range a.settings {
		if slices.ContainsFunc(list, is) {
			return true
		}
	}
	return slices.ContainsFunc(a.shared, is)
}

// checkTwice refuses two settings of which one would be ignored, where they are given in the same way: of two ways the
// nearer one counts.
func (a *app) checkTwice() error {
	for _, two := range [][2]string{{"url", "database-url"}, {"token", "token-file"}} {
		way, _, _ := strings.Cut(a.sourceOf(two[0]), " ")
		if other, _, _ := strings.Cut(a.sourceOf(two[1]), " "); way == other && way != fromDefault {
			return usageError("%s and %s are both given (%s, %s), and only one of them can be used: leave one out",
				two[0], two[1],
				a.sourceOf(two[0]), a.sourceOf(two[1]))
		}
	}
	return nil
}

// knownKeys returns every key that a settings file may hold: that of every command, since all read the same file.
func (a *app) knownKeys() []string {
	keys := map[string]bool{}
	for _, list := range a.settings {
		for _, s := range list {
			keys[s.key()] = s.By != settings.ByFlag
		}
	}
	for _, s := range a.shared {
		keys[s.key()] = s.By != settings.ByFlag && s.Name != "config"
	}
	var known []string
	for k, ok := range keys {
		if ok {
			known = append(known, k)
		}
	}
	slices.Sort(known)
	return known
}

// defaultDataDir sets the data directory to the operating system's place for a user's data when nobody has named one.
func (a *app) defaultDataDir() error {
	if a.DataDir != "" {
		return nil
	}
	dir, err := userDataDir(a.env)
	if err != nil {
		return err
	}
	a.DataDir = dir
	return nil
}

func userDataDir(env func(string) (string, bool)) (string, error) {
	if dir, ok := env("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "tenet"), nil
	}
	if dir, ok := env("LocalAppData"); ok && runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "tenet"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no home directory to keep data in: name one with --data-dir or TENET_DATA_DIR")
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "tenet"), nil
	}
	return filepath.Join(home, ".local", "share", "tenet"), nil
}

// say prints a line about the work for a person who watches.
func (a *app) say(format string, args ...any) {
	if !a.Quiet {
		_, _ = fmt.Fprintln(a.err, strings.TrimRight(fmt.Sprintf(format, args...), "\n")) // a remark, and no result
	}
}
