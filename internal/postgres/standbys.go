package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Standbys describes what streams from a primary.
type Standbys struct {
	Streaming   int  `json:"streaming"`   // connected standbys
	Synchronous int  `json:"synchronous"` // those that commits wait for
	Wanted      bool `json:"wanted"`      // commits wait for a standby, even if none is connected
	Hidden      bool `json:"hidden"`      // the role may not see them: it needs pg_read_all_stats
}

// standbysSQL counts streaming standbys. Base backups have another state.
const standbysSQL = `SELECT count(*) FILTER (WHERE state = 'streaming'), count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')),
	current_setting('synchronous_standby_names') <> '', count(*) FILTER (WHERE state IS NULL) > 0 FROM pg_stat_replication`

// StandbysOf returns the standbys of the store's server.
func StandbysOf(ctx context.Context, s *Store) (Standbys, error) {
	var n Standbys
	err := s.query(ctx, "standbys", standbysSQL, nil, func(r pgx.Rows) error {
		return r.Scan(&n.Streaming, &n.Synchronous, &n.Wanted, &n.Hidden)
	})
	return n, err
}
