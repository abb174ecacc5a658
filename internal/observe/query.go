package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueryMetrics measures the statements of one engine.
type QueryMetrics struct {
	m      *Metrics
	engine string
	slow   time.Duration
	names  sync.Map // of string to *statement
}

// A statement holds the metrics of one statement.
type statement struct {
	time prometheus.Observer
	slow prometheus.Counter
}

// Query returns the metrics of an engine's statements.
func (m *Metrics) Query(engine string) *QueryMetrics {
	slow := m.SlowQuery
	if slow == 0 {
		slow = defaultSlowQuery
	}
	return &QueryMetrics{m: m, engine: engine, slow: slow}
}

// QueryDone measures a statement. name is one of the engine's few statement names, never the SQL text.
func (q *QueryMetrics) QueryDone(name string, d time.Duration, err error) {
	s := q.statement(name)
	s.time.Observe(d.Seconds())
	if err != nil {
		q.m.queryErrors.WithLabelValues(q.engine, name, causeOf(err)).Inc()
	}
	if d >= q.slow {
		s.slow.Inc()
	}
}

// causeOf returns the cause of a failed statement, one of a few words. An operator needs to know whether the database
// is unreachable, does not answer, or returns an error.
func causeOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "cancelled"
	}
	if said, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		switch code := said.SQLState(); {
		case code == "57014", code == "55P03": // statement_timeout and lock_timeout of the server
			return "timeout"
		// it is shutting down, starting, or full
		case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"), code == "53300":
			return "refused"
		}
		return "server"
	}
	if slow, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || ok && slow.Timeout() {
		return "timeout"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "refused"
	}
	return "other"
}

func (q *QueryMetrics) statement(name string) *statement {
	if s, ok := q.names.Load(name); ok {
		return s.(*statement)
	}
	s, _ := q.names.LoadOrStore(name, &statement{
		time: q.m.queries.WithLabelValues(q.engine, name),
		slow: q.m.slowQueries.WithLabelValues(q.engine, name),
	})
	return s.(*statement)
}
