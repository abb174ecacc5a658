package observe

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RouteMetrics measure the requests of one route.
type RouteMetrics struct {
	m     *Metrics
	route string
	time  prometheus.Observer
	// statuses are looked up at their first use; the first one is for what is no status.
	statuses [maxStatus + 1]atomic.Pointer[prometheus.Counter]
}

// maxStatus is the greatest status of HTTP.
const maxStatus = 599

// routes are those that were asked for.
type routes struct{ m sync.Map } // of string to *RouteMetrics

// Request returns the measures of a route: its pattern, never a path, of which there are too many.
func (m *Metrics) Request(route string) *RouteMetrics {
	if r, ok := m.routes.m.Load(route); ok {
		return r.(*RouteMetrics)
	}
	r, _ := m.routes.m.LoadOrStore(route, &RouteMetrics{m: m, route: route, time: m.requestTimes.WithLabelValues(route)})
	return r.(*RouteMetrics)
}

// Observe measures a request that was answered with a status; 0 for one that was broken off before.
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
