package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/cache"
	"tenet/internal/httpapi"
	"tenet/internal/observe"
	"tenet/internal/server"
)

type serveSettings struct {
	backupSettings
	entranceSettings
	Listen            string        `name:"listen" default:"127.0.0.1:8420" doc:"Address to listen on; 0.0.0.0:8420 for other machines too, with --tls-cert or behind a proxy with TLS"`
	PoolMin           int32         `name:"pool-min" default:"2" doc:"PostgreSQL connections that are kept open"`
	PoolMax           int32         `name:"pool-max" default:"10" doc:"PostgreSQL connections at most"`
	PoolIdle          time.Duration `name:"pool-idle" default:"5m" doc:"How long a PostgreSQL connection above pool-min may be idle"`
	StatementTimeout  time.Duration `name:"statement-timeout" default:"10s" doc:"Longest time for one statement in PostgreSQL"`
	CommandTimeout    time.Duration `name:"command-timeout" default:"60s" doc:"Longest time for one request's work"`
	SlowQuery         time.Duration `name:"slow-query" default:"200ms" doc:"Statements that take longer are logged with their plan"`
	MaxBody           int           `name:"max-body" default:"4194304" doc:"Bytes of a request's body"`
	MaxBatchBody      int           `name:"max-batch-body" default:"33554432" doc:"Bytes of a batch"`
	LiveOrigins       string        `name:"live-origins" doc:"Hosts whose pages may follow the live changes, besides the tenet's own; several between commas, as in docs.example.com,https://*.example.org"`
	LiveStreams       int           `name:"live-streams" default:"10000" doc:"Live streams at one time; more are told to come back"`
	LiveStreamsEach   int           `name:"live-streams-each" default:"1000" doc:"Live streams of one principal at one time"`
	Migrate           bool          `name:"migrate" default:"true" doc:"Bring the schema of a PostgreSQL up to date at the start; false where the role may not, and tenet migrate up runs under another"`
	Seed              bool          `name:"seed" default:"true" doc:"Write the starter set into a new, empty database"`
	Reads             string        `name:"reads" default:"mirror" doc:"What a read without a wish gets beside PostgreSQL: mirror answers as of the mirror, milliseconds old; fresh asks PostgreSQL for its newest change first"`
	MirrorMaxLag      time.Duration `name:"mirror-max-lag" default:"10s" doc:"How old the mirror may be while PostgreSQL answers; then PostgreSQL answers reads"`
	BreakerFailures   int           `name:"breaker-failures" default:"3" doc:"Consecutive failures of PostgreSQL after which it is left alone"`
	BreakerRecovery   time.Duration `name:"breaker-recovery" default:"30s" doc:"How long PostgreSQL is left alone before it is tried again"`
	OutageWrites      string        `name:"outage-writes" default:"journal" doc:"What becomes of writes while PostgreSQL is away: journal keeps them on disk and replays them, refuse answers 503"`
	JournalMaxBytes   int           `name:"journal-max-bytes" default:"1073741824" doc:"Bytes that may wait in the journal; more is refused with 503"`
	MirrorVersions    int           `name:"mirror-versions" default:"20" doc:"Versions of each document in the mirror's history"`
	MirrorCheck       time.Duration `name:"mirror-check" default:"1h" doc:"Time between two comparisons of the mirror with PostgreSQL"`
	Schedule          []string      `name:"schedule" doc:"Schedule of a job, as in \"backup.full=0 2 * * *\": five fields of cron in UTC; nothing after the = switches the schedule off. May be given several times"`
	MaintenanceWindow string        `name:"maintenance-window" doc:"When heavy jobs may start, in UTC, as in \"first sunday 03:00-05:00\"; always when empty"`
	RetainAudit       time.Duration `name:"retain-audit" default:"9600h" doc:"How long refusals and the history of jobs are kept"`
	RetainLog         time.Duration `name:"retain-log" default:"0s" doc:"How long changes are kept, and no shorter than retain-audit; 0 for ever. While there are labels in use none is removed"`
	CacheHot          mebibytes     `name:"cache-hot" default:"auto" doc:"MiB of memory for answers that are ready to send, 0 for none; auto: 512, or less on a machine that has little"`
	CacheWarm         mebibytes     `name:"cache-warm" default:"auto" doc:"MiB of memory for compressed answers, kept on disk between two runs, 0 for none; auto: 2048, or less on a machine that has little"`
	LogFormat         string        `name:"log-format" default:"auto" doc:"text, json, or auto: text for a terminal, json otherwise"`
	LogLevel          string        `name:"log-level" default:"info" doc:"debug, info, warn or error"`
	AccessLog         bool          `name:"access-log" default:"false" doc:"Log every request"`
	PrintConfig       bool          `name:"print-config" by:"flag" doc:"Print the settings that would be in force, with where each comes from, and end"`
}

func addServe(a *app) {
	var s serveSettings
	var cmd *cobra.Command
	cmd = a.command(a.root, &cobra.Command{
		Use:   "serve",
		Short: "Run a tenet",
		Long: `Runs a tenet until it gets SIGTERM or SIGINT; it then finishes the requests at work, within 10 seconds, and ends. Without
settings it keeps its data in an embedded database in the user's data directory and listens on this machine only. With
--database-url the PostgreSQL named there is the primary.

The first start writes the starter set and makes an admin token, which is shown once on a terminal and kept in admin.token in the data
directory, readable by its owner only.`,
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
		return usageError("--url names a tenet that runs elsewhere; to choose where this one listens use --listen")
	}
	o := a.localOptions()
	if err := server.CheckAddress(o); err != nil {
		return usageError("--database-url: %s", err)
	}
	if o.Policy, err = policyOf(&a.common); err != nil {
		return err
	}
	o.Listen, o.Log, o.NoSeed, o.NoMigrate, o.SlowQuery = s.Listen, log, !s.Seed, !s.Migrate, s.SlowQuery
	lines := observe.NewBuffer(a.err) // a write for every request would cost more than most answers
	if s.AccessLog {
		o.AccessLog = observe.NewLogger(lines, logFormat(a, s), slog.LevelInfo)
	}
	o.Pool = server.Pool{Min: s.PoolMin, Max: s.PoolMax, Idle: s.PoolIdle, StatementTimeout: s.StatementTimeout}
	o.Limits = httpapi.Limits{
		MaxBody: int64(s.MaxBody), MaxBatchBody: int64(s.MaxBatchBody), Timeout: s.CommandTimeout,
	}
	if err := s.entrance(&o); err != nil {
		return err
	}
	if o.Live, err = s.live(); err != nil {
		return err
	}
	if s.OutageWrites != "journal" && s.OutageWrites != "refuse" {
		return usageError("--outage-writes %q: want journal or refuse", s.OutageWrites)
	}
	if s.Reads != "mirror" && s.Reads != "fresh" {
		return usageError("--reads %q: want mirror or fresh", s.Reads)
	}
	o.Outage = server.Outage{
		RefuseWrites: s.OutageWrites == "refuse", FreshReads: s.Reads == "fresh", CopyMaxLag: s.MirrorMaxLag, Failures: s.BreakerFailures, Recovery: s.BreakerRecovery,
		Versions: s.MirrorVersions, JournalBytes: int64(s.JournalMaxBytes), CheckEvery: s.MirrorCheck,
	}
	o.Backups = s.options()
	o.Upkeep = server.Upkeep{Window: s.MaintenanceWindow, RetainAudit: s.RetainAudit, RetainLog: s.RetainLog}
	if o.Upkeep.Schedules, err = server.ParseSchedules(s.Schedule); err != nil {
		return usageError("--schedule %s", err)
	}
	fitMemory(ctx, a, s, &o)
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

// fitMemory sizes the caches by the memory that there is, and keeps the Go heap within what that leaves; a limit that
// somebody has set in the environment stands.
func fitMemory(ctx context.Context, a *app, s *serveSettings, o *server.Options) {
	sizes := cache.Budget(cache.ReadMemory(os.DirFS("/")), s.CacheHot.bytes(), s.CacheWarm.bytes())
	o.CacheHot, o.CacheWarm = sizes.Hot, sizes.Warm
	if sizes.Warning != "" {
		o.Log.LogAttrs(ctx, slog.LevelWarn, "little memory", slog.String("reason", sizes.Warning))
	}
	limit := sizes.Limit
	if _, set := a.env("GOMEMLIMIT"); set {
		limit = debug.SetMemoryLimit(-1)
	} else {
		debug.SetMemoryLimit(limit)
	}
	if _, set := a.env("GOGC"); !set {
		keepHeapRoom(uint64(min(heapRoom, limit/4))) //nolint:gosec // a limit is above nothing
	}
	const mb = 1 << 20
	o.Log.LogAttrs(ctx, slog.LevelInfo, "memory", slog.Int64("cache_hot_mb", sizes.Hot/mb), slog.Int64("cache_warm_mb", sizes.Warm/mb),
		slog.Int64("heap_limit_mb", limit/mb), slog.Int64("needs_mb", sizes.Needs/mb))
}

// live returns what the settings say of live streams.
func (s *serveSettings) live() (server.Live, error) {
	l := server.Live{MaxConnections: s.LiveStreams, MaxPerPrincipal: s.LiveStreamsEach}
	if l.MaxConnections < 1 || l.MaxPerPrincipal < 1 {
		return l, usageError("--live-streams and --live-streams-each: want numbers from 1")
	}
	for host := range strings.SplitSeq(s.LiveOrigins, ",") {
		if host = strings.TrimSpace(host); host == "" {
			continue
		}
		if _, err := path.Match(host, ""); err != nil {
			return l, usageError("--live-origins: %q is no pattern of hosts: %s", host, err)
		}
		l.Origins = append(l.Origins, host)
	}
	return l, nil
}

// greeting is what a person who starts a tenet wants to know first. The token is for their eyes: where the output goes to a file, or
// to the journal of a service manager, the path of its file is told, and nothing more.
func greeting(f server.Facts, terminal bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tenet %s listens on %s\n", f.Version, f.URL)
	fmt.Fprintf(&b, "  open   %s/\n", f.URL)
	if f.Metrics != "" {
		fmt.Fprintf(&b, "  measures %s\n", f.Metrics)
	}
	fmt.Fprintf(&b, "  mode   %s\n", f.Mode)
	fmt.Fprintf(&b, "  data   %s\n", f.DataDir)
	fmt.Fprintf(&b, "  token  %s\n", f.TokenFile)
	if f.Seeded.Created > 0 {
		fmt.Fprintf(&b, "The database was empty: %d documents of the starter set were written.\n", f.Seeded.Created)
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

// logAuto is the format that suits whoever reads.
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
