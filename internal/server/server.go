// Package server assembles a server from its parts, starts it and stops it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"tenet/internal/access"
	"tenet/internal/failover"
	"tenet/internal/httpapi"
	"tenet/internal/journal"
	"tenet/internal/live"
	"tenet/internal/observe"
	"tenet/internal/postgres"
	"tenet/internal/settings"
	"tenet/internal/upkeep"
)

// Options configure a [Server]. Only DataDir is required. Fields with tags are settings that users give; those of a
// part stand in the options of that part. Zero values mean the defaults of the tags.
type Options struct {
	Listen   string `name:"listen" default:"127.0.0.1:8420" doc:"Address to listen on; 0.0.0.0:8420 for other machines too, with --tls-cert or behind a proxy with TLS"`
	Entrance Entrance
	Limits   httpapi.Limits
	// Quotas are what principals may write, in place of [access.DefaultQuotas].
	Quotas []string `name:"quota" doc:"What one principal of a role may write, as in \"contributor=600,256\": writes a minute and MiB of documents a day, 0 for no bound; the role may be agent, for agents of any role. Unless said otherwise 600,256 for contributor and agent, none for the others. May be given several times"`
	Live   live.Options

	DataDir     string // one process at a time owns it
	DatabaseURL string // of the primary; when empty the embedded database is used
	ReplicaURL  string // of a standby of the primary, from which mirrors are built; empty for none
	// AllowUnverifiedTLS allows a PostgreSQL on another machine whose certificate is not verified.
	AllowUnverifiedTLS bool
	Postgres           postgres.Options
	SlowQuery          time.Duration `name:"slow-query" default:"200ms" least:"1" doc:"Slower statements are logged with their plan"`
	NoMigrate          bool          `name:"migrate" words:"true,false" default:"true" doc:"Bring the schema of a PostgreSQL up to date at the start; false where the role may not, and tenet migrate up runs under another"`
	NoSeed             bool          `name:"seed" words:"true,false" default:"true" doc:"Write the starter set into a new, empty database"`
	Outage             failover.Options
	Journal            journal.Options
	Backups            Backups
	Upkeep             Upkeep

	// bytes of ready answers in memory; 0 for none. [cache.Budget] returns what the memory has room for
	CacheHot  int64
	CacheWarm int64         // bytes of compressed answers in memory, kept on disk between two runs; 0 for none
	Policy    access.Policy // what must be reviewed, and by how many
	Agent     string        // the name of the agent that runs a command; empty for a person
	AccessLog *slog.Logger  // gets a line for every request; none is written when nil
	Before    bool          // opens the embedded database in the directory of an instance with PostgreSQL, to move it
	Version   string        // of the program
	Log       *slog.Logger  // nothing is logged when nil

	measures *observe.Metrics // nil for a command: nobody scrapes it
	serves   bool             // false for a command, which waits for what a server does in the background
}

// queryObserver is what the engines tell of their statements.
type queryObserver interface {
	QueryDone(statement string, d time.Duration, err error)
}

// observer returns the observer of the statements of an engine, nil if there is none.
func (o Options) observer(engine string) queryObserver {
	if o.measures == nil {
		return nil
	}
	return o.measures.Query(engine)
}

// slowStatement logs a statement that took too long; the measures count it by themselves.
func (o Options) slowStatement(ctx context.Context, engine, statement string, took time.Duration, plan string) {
	o.Log.LogAttrs(ctx, slog.LevelWarn, "slow statement", slog.String("engine", engine),
		slog.String("statement", statement),
		slog.Duration("took", took), slog.String("plan", plan))
}

func (o Options) withDefaults() Options {
	// What the entrance and the limits leave open follows from each other, and not from their tags.
	entrance, limits := o.Entrance, o.Limits
	settings.Defaults(&o)
	o.Entrance, o.Limits = entrance, limits
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Check returns an error for the first setting whose value can't be used. The error names the setting, and says what
// would be right.
func (o Options) Check() error {
	if (o.Entrance.TLSCert == "") != (o.Entrance.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together: give both, or none")
	}
	for _, check := range []struct {
		setting string
		err     func() error
	}{
		{"trusted-proxies", func() error { _, err := o.Entrance.trusted(); return err }},
		{"cors-origins", o.Entrance.checkOrigins},
		{"quota", func() error { _, err := access.ParseQuotas(o.Quotas); return err }},
		{"live-origins", func() error { return live.CheckOrigins(o.Live.Origins) }},
		{"listen", func() error { return checkListen(o.Listen) }},
		{"metrics-listen", func() error { return checkListen(o.Entrance.MetricsListen) }},
		{"backup-engine", o.Backups.check},
		{"maintenance-window", func() error { _, err := upkeep.ParseWindow(o.Upkeep.Window); return err }},
		{"schedule", func() error { _, err := o.Upkeep.schedules(); return err }},
	} {
		if err := check.err(); err != nil {
			return fmt.Errorf("--%s %w", check.setting, err)
		}
	}
	return nil
}

// checkListen returns an error for an address that nobody can listen on; "" is none.
func checkListen(address string) error {
	if address == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%q: want a host and a port, as in 127.0.0.1:8420 or :8420", address)
	}
	return nil
}

// Times of the listener. There is no bound on how long an answer may take to write: exports and streams take their
// time, and the handler bounds its own work.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// Times of the end: all of it fits into the ten seconds that service managers are used to.
const (
	drainTimeout   = 7 * time.Second
	goodbyeTimeout = 2 * time.Second // of that, for streams
	closeTimeout   = 2 * time.Second
)

// A Server is one instance of tenet.
type Server struct {
	o        Options
	home     *home
	parts    *parts
	gate     *gate
	handler  *httpapi.Handler
	http     *http.Server
	metrics  *http.Server // nil where measures have no listener of their own
	crowd    *httpapi.Crowd
	served   chan error // gets why the listener has ended
	listener net.Listener
	facts    Facts
	later    bool // the first start still has something to do
}

// Facts are shown when a server starts.
type Facts struct {
	Version   string
	URL       string // where it answers
	Metrics   string // address of the metrics, if they need no token; otherwise ""
	Mode      string // in words
	DataDir   string
	TokenFile string // where the admin's token is
	NewToken  string // that token, when it was made just now
	Seeded    SeedReport
}

// Open makes a server: it locks the data directory, listens, opens the database, and gives a new one the starter set
// and an admin. It answers as soon as it listens, at first that it is not ready. [Server.Run] does the work in the
// background.
func Open(ctx context.Context, o Options) (_ *Server, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := &Server{o: o}
	if s.home, err = awaitHome(ctx, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	// Before anything is written: a taken address is the commonest mistake.
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w: choose another address with --listen", o.Listen, err)
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	o.serves = true
	if s.parts, err = assemble(ctx, o); err != nil {
		return nil, err
	}
	s.facts = Facts{
		Version: o.Version, URL: s.url(), Mode: s.parts.engine.mode(), DataDir: o.DataDir,
		TokenFile: s.home.path(TokenFile),
	}
	if err = s.listenMetrics(ctx); err != nil {
		return nil, err
	}
	s.handler = s.parts.door(o, s.crowd)
	if err = s.openGate(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// listen begins to answer.
func (s *Server) listen() error {
	s.crowd = s.o.Entrance.crowd(s.o.Log)
	l, err := s.o.Entrance.secure(httpapi.Listen(s.listener, s.crowd), s.o.Log)
	if err != nil {
		return err
	}
	s.gate, s.served = newGate(s.o.Version, s.o.Log), make(chan error, 1)
	s.http = &http.Server{
		Handler: s.gate, ConnContext: connContext, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn),
	}
	go func() { s.served <- s.http.Serve(l) }()
	return nil
}

// url returns the address of the server for this machine.
func (s *Server) url() string {
	scheme := "http://"
	if s.o.Entrance.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + reachable(s.listener)
}

// connContext lets both doors find the connection of a request.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return httpapi.ConnContext(live.ConnContext(ctx, c), c)
}

// Facts returns the facts to show at the start.
func (s *Server) Facts() Facts { return s.facts }

// Run answers until ctx ends, then finishes what is at work and closes everything, within ten seconds. It returns nil
// after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	background := make(chan error, 1)
	go func() { background <- together(work, s.parts.run, s.beginLater) }()
	s.o.Log.LogAttrs(ctx, slog.LevelInfo, "tenet started", slog.String("url", s.facts.URL),
		slog.String("version", s.o.Version),
		slog.String("mode", s.facts.Mode), slog.String("data_dir", s.o.DataDir))

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.served:
		s.served <- nil
	case failed = <-background:
		background <- nil
	}
	s.o.Log.LogAttrs(work, slog.LevelInfo, "tenet stops: finishing the requests at work")
	failed = errors.Join(failed, s.drain(work))
	stop()
	failed = errors.Join(failed, <-background)
	return errors.Join(failed, s.close(context.WithoutCancel(ctx)))
}

// drain lets the requests at work finish, and ends those that take too long.
func (s *Server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	s.handler.Drain()
	s.parts.mcp.Close()
	// Streams say goodbye first: a shutdown waits for some of them for ever, and forgets the others.
	goodbye, cancelGoodbye := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancelGoodbye()
	if err := s.parts.live.Close(goodbye); err != nil {
		return err
	}
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.o.Log.LogAttrs(ctx, slog.LevelWarn, "requests broken off at the end", slog.Duration("after", drainTimeout))
		return s.http.Close()
	}
	return err
}

// close closes what is open.
func (s *Server) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var errs []error
	if s.metrics != nil {
		errs = append(errs, s.metrics.Close())
	}
	switch {
	case s.http != nil:
		if err := s.http.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		<-s.served //nolint:errcheck // Run has told of it
	case s.listener != nil:
		errs = append(errs, s.listener.Close())
	}
	if s.parts != nil {
		errs = append(errs, s.parts.close(ctx))
	}
	if s.home != nil {
		errs = append(errs, s.home.close())
	}
	return errors.Join(errs...)
}
