package sqlite

import (
	"context"
	"strings"
	"sync"
	"time"
)

// An Observer is called after every statement.
type Observer interface {
	// QueryDone gets the statement's name, its duration including its rows, and its error.
	QueryDone(statement string, d time.Duration, err error)
}

// A SlowQuery is a statement that took longer than [Options.SlowQuery].
type SlowQuery struct {
	Statement string // its name
	SQL       string
	Duration  time.Duration
	Plan      string // the output of EXPLAIN QUERY PLAN
}

// slowEvery is the shortest time between two reports of one slow statement.
const slowEvery = time.Minute

// planTimeout limits EXPLAIN for a slow statement.
const planTimeout = 2 * time.Second

// A slowGate limits how often each slow statement is reported.
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

// observe reports a finished read to the observer.
func (f *file) observe(ctx context.Context, r *reader, name, query string, args []any, d time.Duration, err error) {
	if f.opts.Observer != nil {
		f.opts.Observer.QueryDone(name, d, err)
	}
	if d < f.opts.SlowQuery || f.opts.Slow == nil || !f.slow.pass(name, time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planTimeout)
	defer cancel()
	f.opts.Slow(SlowQuery{Statement: name, SQL: query, Duration: d, Plan: plan(ctx, r, query, args)})
}

// observeWrite reports a finished write to the observer, including the waits for the writer and the disk.
func (f *file) observeWrite(name string, d time.Duration, err error) {
	if f.opts.Observer != nil {
		f.opts.Observer.QueryDone(name, d, err)
	}
}

// plan returns the query plan, one step a line, or the reason why it can't be read.
func plan(ctx context.Context, r *reader, query string, args []any) string {
	rows, err := r.query(ctx, "EXPLAIN QUERY PLAN "+query, args)
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
