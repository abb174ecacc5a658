package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of one instance.
type Metrics struct {
	// SlowQuery is the duration from which a statement counts as slow; 0 means 200 ms. Set it before the first
	// statement.
	SlowQuery time.Duration

	registerer prometheus.Registerer
	calls      *prometheus.HistogramVec

	queries      *prometheus.HistogramVec
	queryErrors  *prometheus.CounterVec
	slowQueries  *prometheus.CounterVec
	requestTimes *prometheus.HistogramVec
	requests     *prometheus.CounterVec
	routes       routes
}

// defaultSlowQuery is the default of Metrics.SlowQuery.
const defaultSlowQuery = 200 * time.Millisecond

// buckets range from an answer out of memory to the deadlines.
func buckets() []float64 {
	return []float64{
		0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
		10, 30,
	}
}

// NewMetrics returns metrics that are registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registerer: reg,
		calls: histogram("tenet_store_call_seconds", "Duration of store calls, by method and result. "+
			"High for one store and low for the one below it: the time is spent between the two. High for wait: few "+
			"writes, which is normal. "+
			"Many with the result unavailable: the database does not answer. Any with the result error: a bug.",
			"store", "method", "result"),
		queries: histogram("tenet_query_seconds", "Duration of database statements, including reading the rows. "+
			"High for one statement: its plan has changed or its table has grown. High for all: the database or its "+
			"disk is busy.", "engine", "statement"),
		queryErrors: counter("tenet_query_errors_total",
			"Statements that failed, by cause: refused if the connection failed or broke, "+
				"timeout if no answer came in time, server if the database returned an error, cancelled if the "+
				"caller disconnected, other. "+
				"Growing for all: the database does not answer. Growing for one with the cause server: its schema "+
				"or its rights are wrong.",
			"engine", "statement", "cause"),
		slowQueries: counter("tenet_slow_queries_total", "Statements that took longer than the setting slow-query. "+
			"Growing: the log has their plans.", "engine", "statement"),
		requestTimes: histogram("tenet_http_request_seconds",
			"Duration of HTTP requests, from the header to the end of the answer. "+
				"High while tenet_store_call_seconds is low: callers are slow to read, or send large bodies.", "route"),
		requests: counter("tenet_http_requests_total", "HTTP requests by route and status. "+
			"Many with 401 or 403: a caller uses a wrong token. Many with 429 or 503: overload. Any with 500: a "+
			"bug; see the log.",
			"route", "status"),
	}
	reg.MustRegister(m.calls, m.queries, m.queryErrors, m.slowQueries, m.requestTimes, m.requests)
	return m
}
