package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"
)

// An Observer hears of every statement when it is done.
type Observer interface {
	// QueryDone is called with the statement's name, how long it took, its rows included, and its error.
	QueryDone(statement string, d time.Duration, err error)
}

// A SlowQuery is a statement that took longer than it should.
type SlowQuery struct {
	Statement string // its name
	SQL       string
	Duration  time.Duration
	Plan      string // as EXPLAIN QUERY PLAN tells it
}

// slowEvery is how often a statement's slowness is told.
const slowEvery = time.Minute

// planTimeout bounds the look at the plan of a slow statement.
const planTimeout = 2 * time.Second

// A slowGate keeps a slow statement from being told again and again.
type slowGate struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

func (g *slowGate) pass(statement string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.last[statement]; ok && now.Sub(last) < slowEvery {
		return false
	}
	if g.last == nil {
		g.last = map[string]time.Time{}
	}
	g.last[statement] = now
	return true
}

// observe tells of a reading statement.
func (f *file) observe(ctx context.Context, p *pool, name, query string, args []any, d time.Duration, err error) {
	if f.opts.Observer != nil {
		f.opts.Observer.QueryDone(name, d, err)
	}
	if d < f.opts.SlowQuery || f.opts.Slow == nil || !f.slow.pass(name, time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planTimeout)
	defer cancel()
	f.opts.Slow(SlowQuery{Statement: name, SQL: query, Duration: d, Plan: plan(ctx, p.db, query, args)})
}

// observeWrite tells of something that was written, the wait for its turn and for the disk included.
func (f *file) observeWrite(name string, d time.Duration, err error) {
	if f.opts.Observer != nil {
		f.opts.Observer.QueryDone(name, d, err)
	}
}

// plan returns how SQLite carries out a query, a step a line, or why that can't be told.
func plan(ctx context.Context, db *sql.DB, query string, args []any) string {
	rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return err.Error()
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return err.Error()
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return strings.Join(steps, "\n")
}
