// Package postgres is the primary engine: a store in a PostgreSQL database, 14 or newer, shared by any number of
// instances.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenet/internal/settings"
	"tenet/internal/store"
)

// Options of a [Store]. Zero values stand for the defaults named.
type Options struct {
	// URL is the address of the database in libpq's syntax; several hosts are tried in order.
	URL string
	// Migrate makes Open run pending migrations; the role needs the rights.
	Migrate bool
	// AllowUnverifiedTLS accepts a server on another machine without verifying its certificate.
	AllowUnverifiedTLS bool
	// MinConns and MaxConns bound the pool.
	MinConns int32 `name:"pool-min" default:"2" least:"1" doc:"PostgreSQL connections that are kept open"`
	MaxConns int32 `name:"pool-max" default:"10" least:"1" doc:"PostgreSQL connections at most"`
	// IdleTime is how long a connection above MinConns may be idle.
	IdleTime time.Duration `name:"pool-idle" default:"5m" least:"1" doc:"How long a connection above pool-min may be idle"`
	// StatementTimeout bounds one statement. PostgreSQL enforces it.
	StatementTimeout time.Duration `name:"statement-timeout" default:"10s" least:"1" doc:"Longest time for one statement"`
	ConnectTimeout   time.Duration // 2 s
	CommandTimeout   time.Duration // for one method call; 60 s
	// Observer is called after every statement; may be nil.
	Observer Observer
	// SlowQuery is the duration from which Slow is called; 200 ms.
	SlowQuery time.Duration
	// Slow is called for slow statements, with the plan, at most once a minute for each; may be nil.
	Slow func(SlowQuery)
	Log  *slog.Logger
}

func (o Options) withDefaults() Options {
	settings.Defaults(&o)
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.ConnectTimeout, 2 * time.Second},
		{&o.CommandTimeout, time.Minute},
		{&o.SlowQuery, 200 * time.Millisecond},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Store keeps documents in a PostgreSQL database. It is a [store.Store].
type Store struct {
	o       Options
	pool    *pgxpool.Pool
	alone   *pgx.ConnConfig // for connections outside the pool
	schema  Schema          // at Open
	turn    chan struct{}   // held by a write that lost a race, while it is retried
	lanes   chan struct{}   // one for each replayed batch that is sent alone
	groups  gathering
	bell    store.Bell
	heard   sync.Once // the listener runs, once somebody waits
	slow    slowGate
	closed  atomic.Bool
	left    atomic.Int64    // last call of leave, nanoseconds since 1970
	watch   *watch          // over the log's triggers
	closing sync.RWMutex    // held while closed is set, so that nothing joins done after it
	life    context.Context // ends with the store, and cancels every call in progress
	stop    context.CancelFunc
	// certificates are those of the pool's newest session.
	certificates *certificates
	renewer      *renewer
	done         sync.WaitGroup // the listener, groups, and looks at slow plans
}

var _ store.Store = (*Store)(nil)

// sessionSettings returns the settings of every session. A statement's lock timeout is shorter than the program's own,
// and the server notices a dead client while a statement runs.
func sessionSettings(o Options) map[string]string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%d", d.Milliseconds()) }
	return map[string]string{
		"application_name":                    "tenet",
		"statement_timeout":                   ms(o.StatementTimeout),
		"lock_timeout":                        "1500",
		"idle_in_transaction_session_timeout": "5000",
		"client_connection_check_interval":    "2000",
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "2",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    "6000",
		"default_transaction_isolation":       "read committed",
		"timezone":                            "UTC",
		// our statements take microseconds, compiling one takes milliseconds
		"jit": "off",
	}
}

// Open connects to the database and checks its schema, or migrates it if Migrate is set. The context bounds Open only.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	cfg, err := o.address().config()
	if err != nil {
		return nil, err
	}
	cfg.MinConns, cfg.MaxConns, cfg.MaxConnIdleTime = o.MinConns, o.MaxConns, o.IdleTime
	cfg.HealthCheckPeriod = 10 * time.Second
	cfg.ConnConfig.ConnectTimeout = o.ConnectTimeout
	cfg.ConnConfig.DialFunc = dialer(o.ConnectTimeout)
	for name, value := range sessionSettings(o) {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	seen, fresh, watched := &certificates{}, &renewer{address: o.address(), log: o.Log}, &watch{}
	cfg.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if ctx.Value(opening{}) != nil {
			return errLater
		}
		fresh.renew(ctx, c)
		return nil
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		seen.note(conn)
		watched.connected()
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.WithValue(context.WithoutCancel(ctx), opening{}, true), cfg)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		o: o, pool: pool, certificates: seen, renewer: fresh, alone: cfg.ConnConfig.Copy(),
		turn: make(chan struct{}, 1), lanes: make(chan struct{}, max(1, o.MaxConns/2)), life: life, stop: stop,
		watch: watched,
	}
	if s.schema, err = prepare(ctx, s); err == nil {
		err = s.Guards(ctx)
	}
	if err != nil {
		stop()
		pool.Close()
		return nil, err
	}
	return s, nil
}

// opening marks the context of what a new pool does by itself: it would open MinConns connections beside the one that
// its first caller opens. One process of the server costs more than a statement, and a command asks only a few: so the
// pool opens what its callers need, and the rest of MinConns with its first look, after HealthCheckPeriod.
type opening struct{}

var errLater = errors.New("connections are opened when they are needed")

func (o *Options) address() Address { return Address{o.URL, o.AllowUnverifiedTLS} }

// prepare migrates if allowed, and checks that the program supports the schema.
func prepare(ctx context.Context, s *Store) (Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.CommandTimeout)
	defer cancel()
	s.schema.Newest = newestSchema()
	schema, err := s.Schema(ctx)
	if err != nil { // an empty database, for instance
		schema, err = ReadSchema(ctx, s.o.address())
	}
	if s.o.Migrate && (err != nil || schema.Version < schema.Newest) {
		schema, err = Migrate(ctx, s.o.address(), -1)
	}
	if err != nil {
		return schema, err
	}
	return schema, schema.check()
}

// local reports whether a host is this machine: a socket, or the loopback interface.
func local(host string) bool {
	if host == "" || host[0] == '/' || host[0] == '@' || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.one(ctx, "ping", "SELECT 1", nil, &one)
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.closing.Lock()
	closed := s.closed.Swap(true)
	s.closing.Unlock()
	if closed {
		return store.ErrClosed
	}
	s.stop()
	s.bell.Ring()
	s.done.Wait()
	s.pool.Close()
	return nil
}

// connectAlone opens a connection outside the pool.
func (s *Store) connectAlone(ctx context.Context) (*pgx.Conn, error) {
	cfg := s.alone.Copy()
	s.renewer.renew(ctx, cfg)
	return pgx.ConnectConfig(ctx, cfg)
}

// Stat returns the statistics of the pool: active, idle and maximal connections, and the time spent waiting for one.
func (s *Store) Stat() *pgxpool.Stat { return s.pool.Stat() }
