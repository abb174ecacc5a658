package observe

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RouteMetrics measures the requests of one route.
type RouteMetrics struct {
	m     *Metrics
	route string
	time  prometheus.Observer
	// statuses are created on first use; the first one is for requests without a status.
	statuses [maxStatus + 1]atomic.Pointer[prometheus.Counter]
}

// maxStatus is the highest HTTP status.
const maxStatus = 599

// routes holds the metrics of each route.
type routes struct{ m sync.Map } // of string to *RouteMetrics

// Request returns the metrics of a route. route is the pattern, never a path, because there are too many paths.
func (m *Metrics) Request(route string) *RouteMetrics {
	if r, ok := m.routes.m.Load(route); ok {
		return r.(*RouteMetrics)
	}
	r, _ := m.routes.m.LoadOrStore(route,
		&RouteMetrics{m: m, route: route, time: m.requestTimes.WithLabelValues(route)})
	return r.(*RouteMetrics)
}

// Observe measures a request and its status, 0 if it was aborted before it had one.
func (r *RouteMetrics) Observe(status int, d time.Duration) {
	r.time.Observe(d.Seconds())
	if status < 100 || status > maxStatus {
		status = 0
	}
	c := r.statuses[status].Load()
	if c == nil {
		label := "none"
		if status != 0 {
			label = strconv.Itoa(status)
		}
		found := r.m.requests.WithLabelValues(r.route, label)
		c = &found
		r.statuses[status].Store(c)
	}
	(*c).Inc()
}
