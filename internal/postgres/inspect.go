package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Inspection checks a server for its administrator. Its session has none of the store's settings, so that it sees
// the server's.
type Inspection struct{ conn *pgx.Conn }

// inspectTimeout bounds each check.
const inspectTimeout = 20 * time.Second

// Inspect opens an inspection.
func Inspect(ctx context.Context, a Address) (*Inspection, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "tenet doctor"
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, translate(ctx, err, true)
	}
	return &Inspection{conn}, nil
}

// Close ends the session.
func (i *Inspection) Close(ctx context.Context) { bye(ctx, i.conn) }

func (i *Inspection) query(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) error {
	own, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	rows, err := i.conn.Query(own, sql, args...)
	if err != nil {
		return translate(ctx, err, true)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return translate(ctx, rows.Err(), true)
}

// A glance is a query whose rows each become a remark.
type glance struct{ check, sql string }

// glances returns the queries of the server's statistics. Each has two columns: whether it is wrong, and the text.
// Checks that depend on counters need at least a day of them.
func glances() []glance {
	return []glance{
		{"wraparound", `SELECT age(datfrozenxid) > 1500000000, format('database %s is %s transactions old of 2 billion: VACUUM must freeze it, and what stops that is an old transaction, '
			'a slot or a prepared transaction', datname, age(datfrozenxid)) FROM pg_database
			WHERE age(datfrozenxid) > 500000000 OR mxid_age(datminmxid) > 500000000`},
		{"transaction", `SELECT state LIKE 'idle in transaction%', format('session %s of %s (%s) has had a transaction open for %s, and holds dead rows for as long: %s', pid, usename,
			application_name, date_trunc('second', now() - xact_start), left(regexp_replace(query, '\s+', ' ', 'g'),
			80))
			FROM pg_stat_activity WHERE xact_start < now() - interval '5 minutes'
			AND backend_type = 'client backend' AND pid <> pg_backend_pid()`},
		{"transaction", `SELECT true, format('the prepared transaction %s of %s waits since %s: COMMIT PREPARED or ROLLBACK PREPARED it', gid, owner, date_trunc('second', prepared))
			FROM pg_prepared_xacts WHERE prepared < now() - interval '5 minutes'`},
		{"slot", `SELECT NOT active, format('slot %s %s holds %s of WAL: start its reader, or drop it before the disk is full', slot_name, CASE WHEN active THEN 'lags and' ELSE 'has no reader and' END,
			pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)))
			FROM pg_replication_slots WHERE NOT pg_is_in_recovery() AND (NOT active OR
			pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > 1024^3)`},
		{"archive", `SELECT true, format('the archive has failed %s times, last at %s with %s', failed_count,
			date_trunc('second', last_failed_time), last_failed_wal)
			FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')`},
		{"index", `SELECT true, format('index %s is invalid: it is maintained but never used; REINDEX INDEX CONCURRENTLY or drop it', indexrelid::regclass)
			FROM pg_index WHERE NOT indisvalid AND indrelid IN (SELECT oid FROM pg_class
			WHERE relnamespace = current_schema()::regnamespace)`},
		{"index", `SELECT false, format('indexes %s are the same: each is written for each row, and one is enough',
			string_agg(indexrelid::regclass::text, ', ' ORDER BY indexrelid))
			FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace =
			current_schema()::regnamespace)
			GROUP BY indrelid, indkey::text, indclass::text, indcollation::text, indoption::text, pg_get_expr(indexprs,
			indrelid), pg_get_expr(indpred, indrelid) HAVING count(*) > 1`},
		{"index", `SELECT false, format('index %s (%s) was not used in the %s days since the statistics began; a standby has its own, so check there too before you drop it',
			u.indexrelid::regclass, pg_size_pretty(pg_relation_size(u.indexrelid)), extract(day
			FROM now() - d.stats_reset))
			FROM pg_stat_user_indexes u JOIN pg_index x USING (indexrelid) JOIN pg_class c ON c.oid = u.indexrelid
			AND NOT c.relispartition, pg_stat_database d
			WHERE d.datname = current_database() AND d.stats_reset < now() - interval '7 days'
			AND u.schemaname = current_schema() AND u.idx_scan = 0 AND NOT x.indisunique
			AND pg_relation_size(u.indexrelid) > 1024 * 1024`},
		{"bloat", `SELECT n_dead_tup > n_live_tup, format('table %s has %s dead rows beside %s live ones, last vacuumed %s: autovacuum does not keep up, or something holds old rows', relname,
			n_dead_tup, n_live_tup, coalesce(date_trunc('second', greatest(last_vacuum, last_autovacuum))::text,
			'never'))
			FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_dead_tup > 10000
			AND n_dead_tup > 0.2 * n_live_tup`},
		{"statistics", `SELECT false, format('table %s has %s rows and was never analyzed: plans are guesses', relname,
			n_live_tup)
			FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_live_tup > 10000
			AND last_analyze IS NULL AND last_autoanalyze IS NULL`},
		{"connections", `SELECT false, format('%s of %s connections are in use: an instance takes up to 12', n, m)
			FROM (SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend') a,
			(SELECT current_setting('max_connections')::integer -
			current_setting('superuser_reserved_connections')::integer AS m) b WHERE n > 0.8 * m`},
		{"checksums", `SELECT false, 'data checksums are off: silent disk corruption goes unnoticed; run ` +
			`pg_checksums --enable on the stopped server' WHERE current_setting('data_checksums') <> 'on'`},
		{"encryption", `SELECT false, 'this session came over a network without TLS' FROM pg_stat_ssl s
			JOIN pg_stat_activity a USING (pid)
			WHERE s.pid = pg_backend_pid() AND NOT s.ssl AND a.client_addr IS NOT NULL
			AND NOT a.client_addr <<= '127.0.0.0/8' AND a.client_addr <> '::1'`},
	}
}

// Health checks the server's statistics and current activity.
func (i *Inspection) Health(ctx context.Context) ([]Remark, error) {
	var list []Remark
	for _, l := range glances() {
		if err := i.query(ctx, l.sql, nil, func(r pgx.Rows) error {
			var wrong bool
			remark := Remark{Check: l.check, Level: RemarkWarning}
			err := r.Scan(&wrong, &remark.Text)
			if wrong {
				remark.Level = RemarkWrong
			}
			list = append(list, remark)
			return err
		}); err != nil {
			return nil, fmt.Errorf("look at %s: %w", l.check, err)
		}
	}
	return list, nil
}

// A StatementCost is the total cost of a statement, from pg_stat_statements.
type StatementCost struct {
	Name  string  `json:"statement"` // our name, or the beginning of the text
	Calls int64   `json:"calls"`
	Total float64 `json:"total_ms"`
	Mean  float64 `json:"mean_ms"`
	Rows  int64   `json:"rows"`
}

// statementsSQL reads the statements with the highest total and the highest mean time.
const statementsSQL = `SELECT s.query, s.calls, s.total_exec_time, s.mean_exec_time, s.rows FROM (
	(SELECT * FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT $1) UNION (SELECT *
	FROM pg_stat_statements WHERE calls > 1 ORDER BY mean_exec_time DESC LIMIT $1)
) s WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY s.total_exec_time DESC`

// Statements returns the most expensive statements; false if the server does not count them.
func (i *Inspection) Statements(ctx context.Context, most int) ([]StatementCost, bool, error) {
	var there bool
	err := i.query(ctx, "SELECT count(*) > 0 FROM pg_extension WHERE extname = 'pg_stat_statements'", nil,
		func(r pgx.Rows) error { return r.Scan(&there) })
	if err != nil || !there {
		return nil, false, err
	}
	list, names := []StatementCost{}, ourNames()
	err = i.query(ctx, statementsSQL, []any{most}, func(r pgx.Rows) error {
		var c StatementCost
		err := r.Scan(&c.Name, &c.Calls, &c.Total, &c.Mean, &c.Rows)
		c.Name = nameOf(c.Name, names)
		list = append(list, c)
		return err
	})
	return list, true, err
}

// constant matches the parts that pg_stat_statements removes from a statement, and those that vary in writing.
var constant = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\d+|'[^']*'|\b\d+\b|\b(true|false)\b|\s+`)
})

// bare returns a statement without the parts that vary between calls.
func bare(sql string) string { return constant().ReplaceAllString(sql, "") }

// ourNames maps the program's statements, without constants, to their names.
func ourNames() map[string]string {
	names := map[string]string{}
	for _, q := range Queries() {
		if mark := bare(q.SQL); names[mark] == "" {
			names[mark] = q.Name
		}
	}
	return names
}

// nameOf returns our name of a statement, or the beginning of its text.
func nameOf(sql string, names map[string]string) string {
	if name := names[bare(sql)]; name != "" {
		return name
	}
	text := strings.Join(strings.Fields(sql), " ")
	return text[:min(len(text), 100)]
}

// Plan returns the server's plan for one of the program's statements. With analyze it executes the statement, in a
// read-only transaction, and includes the times.
func (i *Inspection) Plan(ctx context.Context, name string, analyze bool) (string, error) {
	at := slices.IndexFunc(Queries(), func(q NamedQuery) bool { return q.Name == name })
	if at < 0 {
		return "", fmt.Errorf("there is no statement %q: want one of %s", name, strings.Join(QueryNames(), ", "))
	}
	q := Queries()[at]
	how := "EXPLAIN (COSTS, VERBOSE, SETTINGS) "
	if analyze {
		how = "EXPLAIN (ANALYZE, BUFFERS, VERBOSE, SETTINGS) "
	}
	var lines []string
	err := pgx.BeginTxFunc(ctx, i.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, how+q.SQL, append([]any{pgx.QueryExecModeExec}, q.Args...)...)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return q.SQL + "\n\n" + strings.Join(lines, "\n"), translate(ctx, err, true)
}
