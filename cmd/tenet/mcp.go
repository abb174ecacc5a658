package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/mcp"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/worktree"
)

func addMCP(a *app) {
	group := a.command(a.root, &cobra.Command{
		Use:   "mcp",
		Short: "Answer an assistant over the Model Context Protocol",
		Long: `Answers one assistant over standard input and output, as it starts this command by itself; "tenet mcp
install" tells it to. The answers come from the server that --url names, else from the one that runs on the data
directory, else from the database. A running tenet answers the same protocol at /mcp.`,
		Example: `  tenet mcp install --client claude
  tenet mcp --url https://tenet.example.org`,
	}, nil, func(ctx context.Context, _ []string) error { return serveMCP(ctx, a) })
	addMCPInstall(a, group)
	a.command(group, &cobra.Command{
		Use:   "headers",
		Short: "Print the headers that a client sends to /mcp",
		Long: `Prints the headers that a client sends to /mcp, as JSON. It is what headersHelper in the settings of
Claude Code runs, so that no token stands in a file.`,
		Example: "  tenet mcp headers",
	}, nil, func(ctx context.Context, _ []string) error {
		token, err := heldToken(ctx, a)
		if err != nil {
			return err
		}
		return json.NewEncoder(a.out).Encode(map[string]string{"Authorization": "Bearer " + token})
	})
}

// heldToken returns the token that is given, or that of the data directory.
func heldToken(ctx context.Context, a *app) (string, error) {
	token, _, err := a.givenToken(ctx)
	if err != nil || token != "" {
		return token, err
	}
	data, err := os.ReadFile(filepath.Join(a.DataDir, server.TokenFile))
	if err != nil {
		return "", usageError("no token is given, and %s holds none: give one in TENET_TOKEN or with --token-file",
			a.DataDir)
	}
	return strings.TrimSpace(string(data)), nil
}

// serveMCP answers over standard input and output until the client leaves. What a person should know goes to standard
// error: the output is the protocol's.
func serveMCP(ctx context.Context, a *app) error {
	w, err := openTree(a, ".")
	if err != nil {
		return err
	}
	if err := w.askServer(ctx, a); err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	d.shown = true
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	kept, fault := withLastResort(ctx, w, signed{d.Store, actor}, d.guidance)
	if err != nil && (kept == nil || !away(err)) {
		return errors.Join(err, fault)
	}
	o := mcp.Options{Store: signed{d.Store, actor}, Version: buildInfo().Version, Guide: d.guidance, Labels: d.labels()}
	skills := &modelsChoice{s: d.Store}
	o.Skills = skills.left
	if d.remote != nil {
		o.Feed, o.Level, o.Seq = d.Store, d.remote.Level, d.remote.Seen
		o.Check = checkAt(d.remote)
	}
	if kept != nil {
		kept.check, kept.skills = o.Check, o.Skills
		o.Store, o.Guide, o.Check, o.Skills = kept, kept.Guide, kept.Check, kept.Skills
		if o.Level != nil {
			o.Level = kept.level(o.Level)
		}
	}
	if err != nil {
		a.say("the server can't be reached (%s): what the work tree took %s ago answers", err, ago(kept.kept.Fetched))
	}
	asTreeAsks(&w.config, &o)
	door := mcp.New(o)
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		_ = door.Run(following) // who can't be followed tells of no changes
	}()
	err = door.Serve(ctx, a.in, a.out)
	stop()
	<-followed
	return err
}

// A signed store writes in the name of who holds the token, as every command does.
type signed struct {
	store.Store
	actor string
}

// Apply signs the batch.
func (s signed) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	b.Actor = s.actor
	return s.Store.Apply(ctx, b)
}

type mcpInstallSettings struct {
	Client string `name:"client" by:"flag" doc:"The assistant: claude, cursor, vscode, copilot or codex"`
	HTTP   bool   `name:"http" by:"flag" doc:"Let the assistant ask the server at --url, not start this program"`
	Remove bool   `name:"remove" by:"flag" doc:"Take the settings out again"`
	Global bool   `name:"global" by:"flag" doc:"For every project of yours, and not for this one"`
}

// A mcpClient says where an assistant keeps its servers.
type mcpClient struct {
	name    string
	project string   // the file in a project; "" where it has none
	home    string   // the file in the home directory; "" where it has none
	path    []string // of the servers in the file; nil for TOML
	kind    string   // the value of type for a program that is started
	remote  string   // the value of type for an address
	extra   map[string]any
}

// mcpClients is the table of the assistants' settings, read in their owners' documents in 2026-11.
func mcpClients() []mcpClient {
	return []mcpClient{
		{
			name: "claude", project: ".mcp.json", home: ".claude.json", path: []string{"mcpServers", "tenet"},
			kind: "stdio", remote: "http",
		},
		{name: "cursor", project: ".cursor/mcp.json", home: ".cursor/mcp.json", path: []string{"mcpServers", "tenet"}},
		{
			name: "vscode", project: ".vscode/mcp.json", path: []string{"servers", "tenet"}, kind: "stdio",
			remote: "http",
		},
		{
			name: "copilot", home: ".copilot/mcp-config.json", path: []string{"mcpServers", "tenet"}, kind: "local",
			remote: "http",
			extra:  map[string]any{"tools": []string{"*"}},
		},
		{name: "codex", project: ".codex/config.toml", home: ".codex/config.toml"},
	}
}

func addMCPInstall(a *app, group *cobra.Command) {
	var s mcpInstallSettings
	var names []string
	for _, c := range mcpClients() {
		names = append(names, c.name)
	}
	a.command(group, &cobra.Command{
		Use:   "install",
		Short: "Tell an assistant of tenet",
		Long: `Writes into the settings of an assistant how it reaches tenet, in the project around the working
directory. What else stands there stays, comments and layout too. --url, --config, --data-dir and --token-file are
written as they were given, also in the environment. No token is written: the started program finds it as every command
does.`,
		Example: `  tenet mcp install --client claude
  tenet mcp install --client vscode --url https://tenet.example.org --http
  tenet mcp install --client cursor --remove`,
	}, &s, func(context.Context, []string) error {
		i := slices.IndexFunc(mcpClients(), func(c mcpClient) bool { return c.name == s.Client })
		if i < 0 {
			return wantOneOf("client", s.Client, names)
		}
		return installMCP(a, &mcpClients()[i], &s)
	})
}

func (c *mcpClient) file(global bool) (dir, name string, err error) {
	if !global && c.project != "" {
		dir, ok := worktree.Root(".")
		if !ok {
			dir = "."
		}
		return dir, c.project, nil
	}
	if c.home == "" {
		return "", "", usageError("%s has no settings for every project: leave --global out", c.name)
	}
	dir, err = os.UserHomeDir()
	return dir, c.home, err
}

func installMCP(a *app, c *mcpClient, s *mcpInstallSettings) error {
	dir, name, err := c.file(s.Global)
	if err != nil {
		return err
	}
	if s.Remove {
		if err := a.idle("with --remove", "http"); err != nil {
			return err
		}
	}
	if s.HTTP && a.URL == "" {
		return usageError("--http needs the address of the server: give it with --url")
	}
	tree, err := worktree.At(dir)
	if err != nil {
		return err
	}
	f, err := tree.Read(name)
	if err != nil {
		return err
	}
	text, err := c.with(a, s, f.Text)
	where := filepath.Join(dir, filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if string(text) == string(f.Text) {
		a.say("%s is up to date", where)
		return nil
	}
	if left := strings.Join(strings.Fields(string(text)), ""); s.Remove && (left == "" || left == "{}") {
		if err := tree.Remove(name); err != nil { // nothing but ours stood there
			return err
		}
		a.say("%s was removed", where)
		return nil
	}
	if err := tree.Write(name, text, 0); err != nil {
		return err
	}
	a.say("%s was written; %s reads it when it starts", where, c.name)
	if !s.Remove && !s.HTTP {
		a.sayNotOnPath(c.name)
	}
	return nil
}

// with returns the settings in text with those of tenet set or removed.
func (c *mcpClient) with(a *app, s *mcpInstallSettings, text []byte) (_ []byte, err error) {
	if c.path == nil {
		var lines []string
		if !s.Remove {
			if lines, err = c.toml(a, s.HTTP); err != nil {
				return nil, err
			}
		}
		return worktree.SetTOML(text, "mcp_servers.tenet", lines)
	}
	var stanza any
	if !s.Remove {
		if stanza, err = c.stanza(a, s.HTTP); err != nil {
			return nil, err
		}
	}
	return worktree.SetJSON(text, stanza, c.path...)
}

// sayNotOnPath tells where an assistant will not find the program that its settings name.
func (a *app) sayNotOnPath(assistant string) {
	const program = "tenet"
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	self, err := os.Executable()
	if err != nil {
		self = program
	}
	a.say("no program %s is on the PATH, and %s starts it by that name: `install -m 0755 %s /usr/local/bin/%[1]s` "+
		"puts it there", program, assistant, self)
}

// mcpArguments are what the assistant starts this program with.
func mcpArguments(a *app) ([]string, error) {
	args := []string{"mcp"}
	if a.URL != "" {
		args = append(args, "--url", a.URL)
	}
	paths, err := givenPaths(a)
	return append(args, paths...), err
}

// givenPaths returns the flags for the paths by which this run finds the server and its token. The assistant starts the
// program in another folder, and without the variables that this run has.
func givenPaths(a *app) (flags []string, err error) {
	for _, p := range []struct{ name, path string }{
		{"config", a.Config}, {"data-dir", a.DataDir}, {"token-file", a.TokenFile},
	} {
		from := a.sourceOf(p.name)
		if !strings.HasPrefix(from, "flag ") && !strings.HasPrefix(from, "environment ") {
			continue
		}
		path, err := filepath.Abs(p.path)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", p.name, err)
		}
		flags = append(flags, "--"+p.name, path)
	}
	return flags, nil
}

// headersCommand is the line with which a shell prints the headers for this server.
func headersCommand(a *app) (string, error) {
	flags, err := givenPaths(a)
	for i, f := range flags {
		if strings.Trim(f, "-./_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			flags[i] = "'" + strings.ReplaceAll(f, "'", `'\''`) + "'"
		}
	}
	return strings.Join(append([]string{"tenet mcp headers"}, flags...), " "), err
}

func (c *mcpClient) stanza(a *app, remote bool) (_ map[string]any, err error) {
	m := map[string]any{}
	kind := c.kind
	if remote {
		m["url"], kind = strings.TrimSuffix(a.URL, "/")+"/mcp", c.remote
		if c.name == "claude" {
			m["headersHelper"], err = headersCommand(a)
		} else {
			m["headers"] = map[string]string{"Authorization": "Bearer ${env:TENET_TOKEN}"}
		}
	} else {
		m["command"] = "tenet"
		m["args"], err = mcpArguments(a)
	}
	if kind != "" {
		m["type"] = kind
	}
	maps.Copy(m, c.extra)
	return m, err
}

func (c *mcpClient) toml(a *app, remote bool) ([]string, error) {
	if remote {
		return []string{
			fmt.Sprintf("url = %q", strings.TrimSuffix(a.URL, "/")+"/mcp"),
			`bearer_token_env_var = "TENET_TOKEN"`,
		}, nil
	}
	args, err := mcpArguments(a)
	var quoted []string
	for _, arg := range args {
		quoted = append(quoted, fmt.Sprintf("%q", arg))
	}
	return []string{`command = "tenet"`, "args = [" + strings.Join(quoted, ", ") + "]"}, err
}
