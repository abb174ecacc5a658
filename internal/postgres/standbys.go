package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standbys describes what streams from a primary.
type Standbys struct {
	Streaming   int  `json:"streaming"`   // connected standbys
	Synchronous int  `json:"synchronous"` // those that commits wait for
	Wanted      bool `json:"wanted"`      // commits wait for a standby, even if none is connected
	Hidden      bool `json:"hidden"`      // the role may not see them: it needs pg_read_all_stats
	// Behind is how many bytes of WAL the standby that is furthest behind has yet to show to its readers.
	Behind int64 `json:"behind_bytes"`
}

// standbysSQL counts streaming standbys. Base backups have another state.
const standbysSQL = `SELECT count(*) FILTER (WHERE state = 'streaming'), count(*) FILTER (WHERE state = 'streaming'
	AND sync_state IN ('sync', 'quorum')),
	current_setting('synchronous_standby_names') <> '', count(*) FILTER (WHERE state IS NULL) > 0,
	coalesce(max(CASE WHEN NOT pg_is_in_recovery() THEN greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)
	END) FILTER (WHERE state = 'streaming'), 0)::bigint
	FROM pg_stat_replication`

// StandbysOf returns the standbys of the store's server.
func StandbysOf(ctx context.Context, s *Store) (Standbys, error) {
	var n Standbys
	err := s.query(ctx, "standbys", standbysSQL, nil, func(r pgx.Rows) error {
		return r.Scan(&n.Streaming, &n.Synchronous, &n.Wanted, &n.Hidden, &n.Behind)
	})
	return n, err
}

// beatSQL writes the heartbeat once it is a minute old, and reads the server's clock. It waits for no standby: the
// heartbeat is what shows that one is missing.
const beatSQL = `WITH beat AS (
	UPDATE heartbeat h SET at = clock_timestamp()
	WHERE NOT h.at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp()
	AND set_config('synchronous_commit', 'local', true) <> ''
) SELECT clock_timestamp()`

// Beat keeps the heartbeat of a primary going, and returns the time by the primary's clock.
func Beat(ctx context.Context, s *Store) (now time.Time, err error) {
	err = s.one(ctx, "heartbeat.beat", beatSQL, nil, &now)
	return now, err
}

// HeartbeatAt returns the heartbeat that the standby at an address has: it has everything that was written before. It
// connects for this alone, as a [Store] would also listen for changes, which a standby refuses.
func HeartbeatAt(ctx context.Context, a Address) (at time.Time, err error) {
	pool, err := a.config()
	if err != nil {
		return at, err
	}
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return at, translate(ctx, err, true)
	}
	defer bye(ctx, conn)
	return at, translate(ctx, conn.QueryRow(ctx, "SELECT at FROM heartbeat").Scan(&at), true)
}
