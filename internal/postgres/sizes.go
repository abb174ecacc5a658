package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bytes returns the size of the database on disk, with its indexes.
func (c *Cluster) Bytes(ctx context.Context) (n int64, err error) {
	return n, c.s.one(ctx, "bytes", "SELECT pg_database_size(current_database())", nil, &n)
}

// An IndexReport lists indexes that could be dropped.
type IndexReport struct {
	Indexes    int       // that were looked at
	Unused     []string  // not used since Since, with their size; unique ones are left out
	Duplicates []string  // pairs of the same columns of the same table
	Since      time.Time // start of the statistics; the zero time if they were never reset
	Replicas   int       // standbys, which have their own counters
}

// Indexes finds indexes that slow down writes and are never used. The counters are those of this server alone.
func (c *Cluster) Indexes(ctx context.Context) (r IndexReport, err error) {
	var since *time.Time
	err = c.s.one(ctx, "indexes.since", `SELECT stats_reset, (SELECT count(*) FROM pg_stat_replication) FROM `+
		`pg_stat_database WHERE datname = current_database()`,
		nil, &since, &r.Replicas)
	if err != nil {
		return r, err
	}
	if since != nil {
		r.Since = *since
	}
	err = c.s.query(ctx, "indexes.unused", `SELECT s.indexrelname, pg_relation_size(s.indexrelid), s.idx_scan = 0
		AND NOT i.indisunique
FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid) JOIN pg_class c ON c.oid = s.indexrelid
AND NOT c.relispartition
WHERE s.schemaname = current_schema() ORDER BY 2 DESC, 1`, nil, func(rows pgx.Rows) error {
		var name string
		var bytes int64
		var unused bool
		if err := rows.Scan(&name, &bytes, &unused); err != nil {
			return err
		}
		if r.Indexes++; unused {
			r.Unused = append(r.Unused, fmt.Sprintf("%s (%d KiB)", name, bytes>>10))
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	err = c.s.query(ctx, "indexes.duplicate", `SELECT array_agg(c.relname::text ORDER BY c.relname)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = current_schema()::regnamespace
GROUP BY i.indrelid, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text, c.relam,
  coalesce(pg_get_expr(i.indexprs, i.indrelid), ''), coalesce(pg_get_expr(i.indpred, i.indrelid), '')
HAVING count(*) > 1 ORDER BY 1`, nil, func(rows pgx.Rows) error {
		var names []string
		if err := rows.Scan(&names); err != nil {
			return err
		}
		r.Duplicates = append(r.Duplicates, strings.Join(names, " = "))
		return nil
	})
	return r, err
}
