package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Severities of a remark.
const (
	RemarkFine    = 0
	RemarkWarning = 1
	RemarkWrong   = 2
)

// A Remark is one finding of an inspection.
type Remark struct {
	Check string
	Level int
	Text  string
}

// A setting is one of deploy/postgres/tenet.conf: its wanted value, and the cost of another.
type setting struct {
	name string
	want string // what is in force, as the server's setting is compared: at least, at most, one of, has
	how  compared
	cost string
	bad  bool // acknowledged writes can be lost
}

// A compared says how a setting is compared with the wanted value.
type compared byte

const (
	atLeast compared = iota // a number, in the unit of pg_settings
	atMost
	above  // a number larger than this one
	within // one of several words
	has    // all of several words are in a list
	hasOne // one of several words is in a list
	holds  // all of several pieces are in a text
)

// wantedSettings returns the settings of tenet.conf. Sizes that depend on the machine have the least useful value.
func wantedSettings() []setting {
	return []setting{
		{"fsync", "on", within, "a crash of the machine can destroy the database", true},
		{"full_page_writes", "on", within, "a crash of the machine can leave torn pages", true},
		{
			"synchronous_commit", "on,remote_apply,remote_write,local", within,
			"a crash of the server loses writes that were acknowledged", true,
		},
		{"autovacuum", "on", within, "dead rows are never removed, and in the end the server refuses to write", true},
		{"wal_level", "replica,logical", within, "no standby and no backup that can be replayed is possible", true},
		{"shared_buffers", "32768", atLeast, "pages are read from the system again and again: a quarter of the memory is right", false},
		{"effective_cache_size", "262144", atLeast, "the planner takes indexes for dearer than they are", false},
		{"work_mem", "8192", atLeast, "sorts of long lists go through files", false},
		{"maintenance_work_mem", "262144", atLeast, "VACUUM and making an index take several passes", false},
		{"max_wal_size", "4096", atLeast, "a bulk load forces checkpoints, and each writes whole pages anew", false},
		{"min_wal_size", "512", atLeast, "files of the log are made and removed instead of used again", false},
		{"checkpoint_timeout", "900", atLeast, "each checkpoint makes every page be written whole once more", false},
		{"checkpoint_completion_target", "0.9", atLeast, "checkpoints write in bursts that other commits wait behind", false},
		{"wal_compression", "on,pglz,lz4,zstd", within, "whole pages in the log take twice the room", false},
		{"random_page_cost", "2", atMost, "the planner reads whole tables where an index is faster on an SSD", false},
		{"effective_io_concurrency", "16", atLeast, "bitmap scans read one page after the other", false},
		{"autovacuum_naptime", "30", atMost, "looks for dead rows are rare", false},
		{"autovacuum_vacuum_scale_factor", "0.1", atMost, "a fifth of a table is dead before anybody removes it", false},
		{
			"autovacuum_vacuum_insert_scale_factor", "0.1", atMost,
			"the log of changes is not frozen until it has grown by a fifth", false,
		},
		{"autovacuum_analyze_scale_factor", "0.05", atMost, "plans are made of what the tables were", false},
		{"autovacuum_vacuum_cost_limit", "1000", atLeast, "autovacuum falls behind a bulk load", false},
		{"idle_in_transaction_session_timeout", "0", above, "a forgotten session holds locks and dead rows for good", false},
		{"max_slot_wal_keep_size", "0", above, "a slot that nobody reads fills the disk", false},
		{
			"shared_preload_libraries", "pg_stat_statements,auto_explain", has,
			"which statements cost most, and the plans of slow ones, can't be told", false,
		},
		{
			"track_io_timing", "on", within,
			"time that goes into reading can't be told from time that goes into reckoning", false,
		},
		{"log_min_duration_statement", "-1", above, "slow statements of others than tenet leave no trace", false},
		{"log_lock_waits", "on", within, "who waited for whom leaves no trace", false},
		{"log_checkpoints", "on", within, "checkpoints that come too often leave no trace", false},
		{"log_autovacuum_min_duration", "-1", above, "long runs of autovacuum leave no trace", false},
		{"log_temp_files", "-1", above, "sorts through files leave no trace", false},
		{
			"log_connections", "on,all,receipt,authentication,authorization,setup_durations", hasOne,
			"who came in leaves no trace", false,
		},
		{"log_disconnections", "on", within, "how long who stayed leaves no trace", false},
		{"log_statement", "ddl,mod,all", within, "who changed the schema or a role leaves no trace", false},
		{"log_line_prefix", "%u,%d,%h", holds, "the server's log does not say who did it, where, and from where", false},
		{"password_encryption", "scram-sha-256", within, "passwords are kept as MD5, which can be reckoned back", false},
		{"ssl_min_protocol_version", "TLSv1.3", within, "older TLS is spoken too", false},
	}
}

// met reports whether a value satisfies the setting.
func (w *setting) met(value string) bool {
	words := strings.Split(w.want, ",")
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '"' })
	count := func(in func(word string) bool) (n int) {
		for _, word := range words {
			if in(word) {
				n++
			}
		}
		return n
	}
	listed := func(word string) bool { return slices.Contains(list, word) }
	switch w.how {
	case within:
		return count(func(word string) bool { return word == value }) > 0
	case has:
		return count(listed) == len(words)
	case hasOne:
		return count(listed) > 0
	case holds:
		return count(func(word string) bool { return strings.Contains(value, word) }) == len(words)
	case atLeast, atMost, above:
	}
	is, err := strconv.ParseFloat(value, 64)
	bound, _ := strconv.ParseFloat(w.want, 64)
	switch {
	case err != nil:
		return false
	case w.how == atLeast:
		return is >= bound
	case w.how == atMost:
		return is <= bound
	}
	return is > bound
}

// settingsSQL reads settings as people write them, and in their base unit.
const settingsSQL = `SELECT name, setting, current_setting(name) FROM pg_settings WHERE name = ANY ($1)`

// Settings compares the server's settings with deploy/postgres/tenet.conf.
func (i *Inspection) Settings(ctx context.Context) ([]Remark, error) {
	wanted := wantedSettings()
	names := make([]string, len(wanted))
	for n := range wanted {
		names[n] = wanted[n].name
	}
	type inForce struct{ value, shown string }
	found := map[string]inForce{}
	if err := i.query(ctx, settingsSQL, []any{names}, func(r pgx.Rows) error {
		var name string
		var f inForce
		err := r.Scan(&name, &f.value, &f.shown)
		found[name] = f
		return err
	}); err != nil {
		return nil, err
	}
	var list []Remark
	for n := range wanted {
		w := &wanted[n]
		f, there := found[w.name]
		if !there || w.met(f.value) { // older servers lack some settings
			continue
		}
		level := RemarkWarning
		if w.bad {
			level = RemarkWrong
		}
		list = append(list, Remark{"setting", level, fmt.Sprintf("%s is %s: %s", w.name, shown(f.shown), w.cost)})
	}
	return list, nil
}

func shown(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}
