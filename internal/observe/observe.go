// Package observe measures what a tenet does: statements, requests, and whatever its parts tell of themselves.
package observe

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/store"
)

// Metrics are the measures of one tenet.
type Metrics struct {
	queries  *prometheus.HistogramVec
	requests *prometheus.HistogramVec
	slow     *prometheus.CounterVec

	mu     sync.RWMutex // guards routes
	routes map[route]prometheus.Observer
}

// A route is a path pattern and the status that it answered: few of both, however many are asked.
type route struct {
	pattern string
	status  int
}

// New registers the measures with reg.
func New(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		queries: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenet_query_seconds",
			Help: "Time of one statement, its rows included, by engine, name and outcome; high values mean a slow database, and outcome " +
				"error says that it did not answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"engine", "statement", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tenet_http_request_seconds",
			Help:    "Time of one request, by route and status; high values are what callers feel.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "status"}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenet_slow_queries_total",
			Help: "Statements that took longer than the slow-query setting, by engine and name; a rising value asks for a look at the plans in the log.",
		}, []string{"engine", "statement"}),
		routes: map[route]prometheus.Observer{},
	}
	reg.MustRegister(m.queries, m.requests, m.slow)
	return m
}

// Request notes a request that was answered. The observer of a route and status is looked up once.
func (m *Metrics) Request(pattern string, status int, took time.Duration) {
	r := route{pattern, status}
	m.mu.RLock()
	o := m.routes[r]
	m.mu.RUnlock()
	if o == nil {
		o = m.requests.WithLabelValues(pattern, strconv.Itoa(status))
		m.mu.Lock()
		m.routes[r] = o
		m.mu.Unlock()
	}
	o.Observe(took.Seconds())
}

// Slow notes a statement that took longer than it should.
func (m *Metrics) Slow(engine, statement string) { m.slow.WithLabelValues(engine, statement).Inc() }

// Engine returns what hears of the statements of one engine.
func (m *Metrics) Engine(name string) *Engine {
	return &Engine{m: m, name: name, known: map[outcome]prometheus.Observer{}}
}

// An Engine hears of the statements of one engine.
type Engine struct {
	m    *Metrics
	name string

	mu    sync.RWMutex // guards known
	known map[outcome]prometheus.Observer
}

type outcome struct {
	statement string
	failed    bool
}

// QueryDone notes a statement. That nothing was found or a condition did not hold is an answer, not a failure.
func (e *Engine) QueryDone(statement string, d time.Duration, err error) {
	failed := err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict)
	k := outcome{statement, failed}
	e.mu.RLock()
	o := e.known[k]
	e.mu.RUnlock()
	if o == nil {
		word := "ok"
		if failed {
			word = "error"
		}
		o = e.m.queries.WithLabelValues(e.name, statement, word)
		e.mu.Lock()
		e.known[k] = o
		e.mu.Unlock()
	}
	o.Observe(d.Seconds())
}

// A Gauge is a number that a part tells when it is asked.
type Gauge struct {
	Name, Help string
	Counter    bool // it only grows
	Value      func() float64
}

// Gauges registers numbers that are asked for when they are scraped.
func Gauges(reg prometheus.Registerer, list ...Gauge) {
	for _, g := range list {
		if g.Counter {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: g.Name, Help: g.Help}, g.Value))
			continue
		}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Value))
	}
}
