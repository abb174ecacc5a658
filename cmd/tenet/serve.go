package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/cache"
	"tenet/internal/observe"
	"tenet/internal/server"
)

type serveSettings struct {
	Server      server.Options
	ReplicaURL  secret    `name:"database-replica-url" doc:"Standby of the PostgreSQL, from which mirrors are built, so that the primary need not be read whole; the primary is read where the standby can't be (none)"`
	CacheHot    mebibytes `name:"cache-hot" default:"auto" doc:"MiB of memory for answers that are ready to send, 0 for none; auto: 512, or less on a machine that has little"`
	CacheWarm   mebibytes `name:"cache-warm" default:"auto" doc:"MiB of memory for compressed answers, kept on disk between two runs, 0 for none; auto: 2048, or less on a machine that has little"`
	LogFormat   string    `name:"log-format" default:"auto" doc:"text, json, or auto: text on a terminal, else json"`
	LogLevel    string    `name:"log-level" default:"info" doc:"debug, info, warn or error"`
	AccessLog   bool      `name:"access-log" default:"false" doc:"Log every request"`
	PrintConfig bool      `name:"print-config" by:"flag" doc:"Print the settings, with where each comes from, and end"`
}

func addServe(a *app) {
	var s serveSettings
	var cmd *cobra.Command
	cmd = a.command(a.root, &cobra.Command{
		Use:   "serve",
		Short: "Run a server",
		Long: `Runs a server until it gets SIGTERM or SIGINT; it then finishes the requests at work, within 10
seconds, and ends. Without settings it keeps its data in an embedded database in the user's data directory and listens
on this machine only. With --database-url the PostgreSQL named there is the primary.

The first start writes the starter set and makes an admin token, which is shown once on a terminal and kept in
admin.token in the data directory, readable by its owner only.`,
		Example: `  tenet serve
  tenet serve --listen 127.0.0.1:9000 --data-dir ./data
  TENET_DATABASE_URL=postgres://tenet@db/tenet tenet serve
  tenet serve --print-config`,
	}, &s, func(ctx context.Context, _ []string) error {
		if s.PrintConfig {
			return printSettings(a, a.settings[cmd])
		}
		return serve(ctx, a, &s)
	})
}

func serve(ctx context.Context, a *app, s *serveSettings) error {
	log, err := logger(a, s)
	if err != nil {
		return err
	}
	if a.URL != "" && a.sourceOf("url") == "flag --url" {
		return usageError("--url names a server that runs elsewhere; to choose where this one listens use --listen")
	}
	if err := checkBackupSettings(a, s); err != nil {
		return err
	}
	o := a.located(s.Server)
	o.ReplicaURL = string(s.ReplicaURL)
	if err := server.CheckAddress(o); err != nil {
		return usageError("%s", err)
	}
	if err := o.Check(); err != nil {
		return usageError("%s", err)
	}
	if o.Policy, err = policyOf(&a.common); err != nil {
		return err
	}
	o.Log = log
	lines := observe.NewBuffer(a.err) // a write for every request would cost more than most answers
	if s.AccessLog {
		o.AccessLog = observe.NewLogger(lines, logFormat(a, s), slog.LevelInfo)
	}
	defer fitMemory(ctx, a, s, &o)()
	srv, err := server.Open(ctx, o)
	if err != nil {
		return err
	}
	_, _ = io.WriteString(a.out, greeting(srv.Facts(), isTerminal(a.out))) // a server needs nobody who reads
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- lines.Run(ended) }()
	err = srv.Run(ctx)
	end()
	if lost := <-written; !errors.Is(lost, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("write the access log: %w", lost))
	}
	return err
}

// checkBackupSettings refuses settings of backups where none are made: they would do nothing.
func checkBackupSettings(a *app, s *serveSettings) error {
	if s.Server.Backups.Dir != "" {
		return nil
	}
	for cmd, list := range a.settings {
		if cmd.Name() != "serve" {
			continue
		}
		for _, given := range list {
			if strings.HasPrefix(given.Name, "backup-") && given.source != fromDefault {
				return usageError("%s is given (%s) and backup-dir is not: no backups are made without it", given.Name,
					given.source)
			}
		}
	}
	return nil
}

// fitMemory sizes the caches by the memory that there is, and keeps the Go heap within what that leaves; a limit that
// somebody has set in the environment stands. The returned function ends that.
func fitMemory(ctx context.Context, a *app, s *serveSettings, o *server.Options) (end func()) {
	sizes := cache.Budget(cache.ReadMemory(os.DirFS("/")), s.CacheHot.bytes(), s.CacheWarm.bytes())
	o.CacheHot, o.CacheWarm = sizes.Hot, sizes.Warm
	if sizes.Warning != "" {
		o.Log.LogAttrs(ctx, slog.LevelWarn, "little memory", slog.String("reason", sizes.Warning))
	}
	limit, before := sizes.Limit, debug.SetMemoryLimit(-1)
	if _, set := a.env("GOMEMLIMIT"); set {
		limit = before
	} else {
		debug.SetMemoryLimit(limit)
	}
	end = func() { debug.SetMemoryLimit(before) }
	if _, set := a.env("GOGC"); !set {
		room := keepHeapRoom(uint64(min(heapRoom, limit/4))) //nolint:gosec // a limit is above nothing
		end = func() { debug.SetMemoryLimit(before); room.end() }
	}
	const mb = 1 << 20
	o.Log.LogAttrs(ctx, slog.LevelInfo, "memory", slog.Int64("cache_hot_mb", sizes.Hot/mb),
		slog.Int64("cache_warm_mb", sizes.Warm/mb),
		slog.Int64("heap_limit_mb", limit/mb), slog.Int64("needs_mb", sizes.Needs/mb))
	return end
}

// greeting is what a person who starts a server wants to know first. The token is for their eyes: where the output goes
// to a file, or to the journal of a service manager, the path of its file is told, and nothing more.
func greeting(f server.Facts, terminal bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tenet %s listens on %s\n", f.Version, f.URL)
	fmt.Fprintf(&b, "  open   %s/\n", f.URL)
	if f.Metrics != "" {
		fmt.Fprintf(&b, "  metrics %s\n", f.Metrics)
	}
	fmt.Fprintf(&b, "  mode   %s\n", f.Mode)
	fmt.Fprintf(&b, "  data   %s\n", f.DataDir)
	fmt.Fprintf(&b, "  token  %s\n", f.TokenFile)
	if f.Seeded.Created > 0 {
		fmt.Fprintf(&b, "The database was empty: %s of the starter set were written.\n",
			plural(f.Seeded.Created, "document", "documents"))
	}
	switch {
	case f.NewToken != "" && !terminal:
		fmt.Fprintf(&b, "An admin token was made: it stands in %s\n", f.TokenFile)
	case f.NewToken != "":
		fmt.Fprintf(&b, "The admin token, shown this once: %s\n", f.NewToken)
	}
	return b.String()
}

// logger returns the log that the settings ask for.
func logger(a *app, s *serveSettings) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, usageError("--log-level %q: want debug, info, warn or error", s.LogLevel)
	}
	switch s.LogFormat {
	case logAuto, observe.FormatJSON, observe.FormatText:
		return observe.NewLogger(a.err, logFormat(a, s), level), nil
	}
	return nil, usageError("--log-format %q: want text, json or auto", s.LogFormat)
}

// logAuto is the format that suits the reader.
const logAuto = "auto"

// logFormat returns the format of the log.
func logFormat(a *app, s *serveSettings) string {
	if s.LogFormat != logAuto {
		return s.LogFormat
	}
	if isTerminal(a.err) {
		return observe.FormatText
	}
	return observe.FormatJSON
}
