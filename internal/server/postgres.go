package server

import (
	"context"
	"net/url"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store"
)

// primary is the engine of an instance with PostgreSQL.
type primary struct {
	*postgres.Store
	where string
}

func openPostgres(ctx context.Context, o Options) (*primary, error) {
	p := o.Postgres
	p.URL, p.Migrate, p.AllowUnverifiedTLS, p.CommandTimeout = o.DatabaseURL, !o.NoMigrate, o.AllowUnverifiedTLS,
		o.Limits.Timeout
	p.SlowQuery, p.Log, p.Observer = o.SlowQuery, o.Log, o.observer("postgres")
	if !o.serves {
		p.MinConns = 1 // a command asks one thing after the other
	}
	p.Slow = func(q postgres.SlowQuery) { o.slowStatement(ctx, "postgres", q.Statement, q.Duration, q.Plan) }
	s, err := postgres.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	return &primary{s, "the PostgreSQL at " + databasePlace(o.DatabaseURL)}, nil
}

// databasePlace returns the host and name of a database address, and nothing secret.
func databasePlace(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "the address given"
	}
	host := u.Host
	if host == "" {
		host = u.Query().Get("host")
	}
	return strings.TrimSuffix(host+"/"+strings.TrimPrefix(u.Path, "/"), "/")
}

// Erase implements [store.Eraser].
func (p *primary) Erase(ctx context.Context, r store.ErasureRequest) (store.ErasureResult, error) {
	return postgres.NewEraser(p.Store).Erase(ctx, r)
}

func (p *primary) archive() store.Archive { return postgres.NewArchive(p.Store) }

// leftBehind says what a database's files may still hold of what was overwritten, "" for nothing. PostgreSQL keeps old
// rows in its files until they are written anew.
func leftBehind(e engine) string {
	if _, ok := e.(*embedded); ok {
		return ""
	}
	return "PostgreSQL's files hold the overwritten rows until they are written anew: let the owner of the tables " +
		"run `ANALYZE` and then `VACUUM FULL` in a quiet hour. " +
		"WAL holds them until it is recycled, and the archive of WAL for as long as the backups."
}

func (p *primary) place() string { return p.where }

func (p *primary) schema(ctx context.Context) (Schema, error) {
	s, err := p.Schema(ctx)
	return Schema{p.where, s.Version, s.Newest}, err
}

func (p *primary) stat(ctx context.Context) (map[string]any, error) {
	schema, err := p.Schema(ctx)
	if err != nil {
		return nil, err
	}
	s := p.Stat()
	return map[string]any{
		"connections": s.TotalConns(), "connections_idle": s.IdleConns(), "connections_most": s.MaxConns(),
		"schema": schema.Version,
	}, nil
}

func (p *primary) guards(ctx context.Context) error { return p.Guards(ctx) }

func (p *primary) drift(ctx context.Context) ([]string, error) {
	return postgres.Drift(ctx, p.Store)
}

// exposed lists who may change what was logged.
func (p *primary) exposed(ctx context.Context) ([]string, error) {
	return postgres.Exposed(ctx, p.Store)
}

func (p *primary) retain(ctx context.Context, before knowledge.Time, keep int64) (int64, error) {
	return p.Retain(ctx, before, keep)
}

func (p *primary) maintain(ctx context.Context) (string, error) {
	return "statistics of the query planner", p.Analyze(ctx)
}
