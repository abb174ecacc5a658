package observe

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueryMetrics measure the statements of one engine.
type QueryMetrics struct {
	m      *Metrics
	engine string
	slow   time.Duration
	names  sync.Map // of string to *statement
}

// A statement has its measures looked up once.
type statement struct {
	time         prometheus.Observer
	errors, slow prometheus.Counter
}

// Query returns the measures of an engine's statements.
func (m *Metrics) Query(engine string) *QueryMetrics {
	slow := m.SlowQuery
	if slow == 0 {
		slow = defaultSlowQuery
	}
	return &QueryMetrics{m: m, engine: engine, slow: slow}
}

// QueryDone measures a statement, by its name: one of the few that the engine has, never its text.
func (q *QueryMetrics) QueryDone(name string, d time.Duration, err error) {
	s := q.statement(name)
	s.time.Observe(d.Seconds())
	if err != nil {
		s.errors.Inc()
	}
	if d >= q.slow {
		s.slow.Inc()
	}
}

func (q *QueryMetrics) statement(name string) *statement {
	if s, ok := q.names.Load(name); ok {
		return s.(*statement)
	}
	s, _ := q.names.LoadOrStore(name, &statement{
		time:   q.m.queries.WithLabelValues(q.engine, name),
		errors: q.m.queryErrors.WithLabelValues(q.engine, name),
		slow:   q.m.slowQueries.WithLabelValues(q.engine, name),
	})
	return s.(*statement)
}
