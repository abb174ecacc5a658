package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tenet/internal/knowledge"
)

// Archiving is the state of a cluster's WAL archiving, and where the cluster is.
type Archiving struct {
	Mode, Command, Level string // archive_mode, archive_command and wal_level
	LastSegment          string // the last one archived
	LastAt               time.Time
	FailedSegment        string // the last one whose archiving failed
	FailedAt             time.Time
	SegmentBytes         int64
	DataDir, SocketDir   string // "" if the role may not see it
	Port                 int
	User, Database       string // of the asking connection
	Superuser            string // the bootstrap superuser
}

// A Cluster is the PostgreSQL cluster of a store's database, for backups.
type Cluster struct{ s *Store }

// NewCluster returns the cluster of a store.
func NewCluster(s *Store) *Cluster { return &Cluster{s} }

// Archiving returns where the cluster is and the state of its WAL archiving. Fields that the role may not see are
// empty.
func (c *Cluster) Archiving(ctx context.Context) (Archiving, error) {
	var a Archiving
	var last, failed *time.Time
	err := c.s.one(ctx, "archiving", `SELECT current_setting('archive_mode'), coalesce((SELECT setting
		FROM pg_settings WHERE name = 'archive_command'), ''),
  current_setting('wal_level'), coalesce(w.last_archived_wal, ''), w.last_archived_time, coalesce(w.last_failed_wal,
  ''), w.last_failed_time,
  pg_size_bytes(current_setting('wal_segment_size')), coalesce((SELECT setting FROM pg_settings
  WHERE name = 'data_directory'), ''),
  trim(split_part(coalesce((SELECT setting FROM pg_settings WHERE name = 'unix_socket_directories'), ''), ',', 1)),
  current_setting('port')::integer, current_user, current_database(), (SELECT rolname FROM pg_roles WHERE oid = 10)
FROM pg_stat_archiver w`, nil, &a.Mode, &a.Command, &a.Level, &a.LastSegment, &last, &a.FailedSegment, &failed,
		&a.SegmentBytes,
		&a.DataDir, &a.SocketDir, &a.Port, &a.User, &a.Database, &a.Superuser)
	if last != nil {
		a.LastAt = *last
	}
	if failed != nil {
		a.FailedAt = *failed
	}
	return a, err
}

// RestorePoint creates a named restore point, switches to a new WAL segment so that the one before is archived, and
// returns the segment that holds the restore point. The role needs EXECUTE on pg_create_restore_point and
// pg_switch_wal.
func (c *Cluster) RestorePoint(ctx context.Context, name string) (segment string, err error) {
	if err := c.s.one(ctx, "restore point", "SELECT pg_walfile_name(pg_create_restore_point($1))", []any{name},
		&segment); err != nil {
		return "", err
	}
	var at string
	return segment, c.s.one(ctx, "switch wal", "SELECT pg_switch_wal()::text", nil, &at)
}

// SwitchArchivingOn sets archive_mode, archive_command and archive_timeout. The role must be a superuser or have ALTER
// SYSTEM on these settings. PostgreSQL reads archive_mode only at its start.
func (c *Cluster) SwitchArchivingOn(ctx context.Context, command string, within time.Duration) error {
	for _, setting := range [][2]string{
		{"archive_mode", "on"},
		{"archive_command", command},
		{"archive_timeout", fmt.Sprintf("%ds", int(within.Seconds()))},
	} {
		text := fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", setting[0], strings.ReplaceAll(setting[1], "'", "''"))
		if err := c.s.query(ctx, "alter system", text, nil, nil); err != nil {
			return err
		}
	}
	var ok bool
	return c.s.one(ctx, "reload", "SELECT pg_reload_conf()", nil, &ok)
}

// Count returns how many documents of a kind there are.
func (c *Cluster) Count(ctx context.Context, kind knowledge.Kind) (n int64, err error) {
	return n, c.s.one(ctx, "count", "SELECT count(*) FROM "+tableOf(kind).name, nil, &n)
}

// SocketAddress returns the address of the same database and role over a Unix socket.
func (a Address) SocketAddress(dir string, port int) (string, error) {
	cfg, err := Address{URL: a.URL, AllowUnverifiedTLS: true}.config()
	if err != nil {
		return "", err
	}
	q := url.Values{"host": {dir}, "port": {strconv.Itoa(port)}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme: "postgres", User: url.User(cfg.ConnConfig.User), Path: "/" + cfg.ConnConfig.Database,
		RawQuery: q.Encode(),
	}
	return u.String(), nil
}

// Libpq returns the address for PostgreSQL's own programs, and their environment with the password, which other users
// can't see there.
func (a Address) Libpq() (address string, env []string, err error) {
	cfg, err := Address{URL: a.URL, AllowUnverifiedTLS: true}.config()
	if err != nil {
		return "", nil, err
	}
	if password := cfg.ConnConfig.Password; password != "" {
		env = []string{"PGPASSWORD=" + password}
	}
	u, err := url.Parse(a.URL)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return "", nil, errors.New("want an address as in postgres://user@host/database for PostgreSQL's own programs")
	}
	u.User = url.User(cfg.ConnConfig.User)
	q := u.Query()
	for name := range q {
		if strings.HasPrefix(name, "pool_") || name == "default_query_exec_mode" { // pgx's own
			q.Del(name)
		}
	}
	q.Del("password")
	u.RawQuery = q.Encode()
	return u.String(), env, nil
}
