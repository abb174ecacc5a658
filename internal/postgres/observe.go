package postgres

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Observer is called after every statement.
type Observer interface {
	// QueryDone gets the statement's name, its duration including the reading of its rows, and its error.
	QueryDone(statement string, d time.Duration, err error)
}

// A SlowQuery is a statement that took longer than [Options].SlowQuery.
type SlowQuery struct {
	Statement string // its name
	SQL       string
	Duration  time.Duration
	Plan      string // from EXPLAIN
}

// slowEvery is how often a slow statement is reported.
const slowEvery = time.Minute

// planTimeout bounds the look at the plan of a slow statement.
const planTimeout = 2 * time.Second

// A slowGate limits how often a slow statement is reported.
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

// observe reports a statement to the observer. The caller does not wait for the plan of a slow one.
func (s *Store) observe(name, sql string, args []any, began time.Time, err error) {
	d := time.Since(began)
	if s.o.Observer != nil {
		s.o.Observer.QueryDone(name, d, err)
	}
	if d < s.o.SlowQuery || s.o.Slow == nil || err != nil || !s.slow.pass(name, time.Now()) {
		return
	}
	s.closing.RLock() // Close waits for goroutines started before it
	defer s.closing.RUnlock()
	if s.closed.Load() {
		return
	}
	s.done.Go(func() {
		own, cancel := context.WithTimeout(s.life, planTimeout)
		defer cancel()
		s.o.Slow(SlowQuery{Statement: name, SQL: sql, Duration: d, Plan: plan(own, s, sql, args)})
	})
}

// plan returns the server's plan for a query, or why there is none.
func plan(ctx context.Context, s *Store, sql string, args []any) string {
	if sql == "" || sql == applySQL { // several statements, or a function, whose plan shows nothing
		return ""
	}
	if len(args) > 0 {
		if _, ok := args[0].(pgx.QueryExecMode); ok {
			args = args[1:]
		}
	}
	rows, err := s.pool.Query(ctx, "EXPLAIN "+sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return err.Error()
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err.Error()
	}
	return strings.Join(lines, "\n")
}
