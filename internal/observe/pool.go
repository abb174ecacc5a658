package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PoolStats are the state of a pool of connections. What a pool does not know stays 0.
type PoolStats struct {
	Limit   int // how many connections it may open
	Used    int // at work
	Idle    int // open and waiting
	Opening int // being opened

	Acquired  int64         // connections handed out since the start
	Waited    int64         // of these, those that somebody waited for
	WaitTime  time.Duration // how long they waited together
	Cancelled int64         // waits that were given up
}

// Pool collects the state of an engine's pool, as stats tells it whenever it is asked for.
func (m *Metrics) Pool(engine string, stats func() PoolStats) {
	labels := prometheus.Labels{"engine": engine}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, more, labels)
	}
	m.registerer.MustRegister(&poolCollector{
		stats: stats,
		limit: desc("tenet_pool_limit_connections", "How many connections the pool may open."),
		open: desc("tenet_pool_connections", "Open connections by state. "+
			"All of them used for long: requests wait for each other, so the pool is too small or the database too slow.", "state"),
		acquired: desc("tenet_pool_acquired_total", "Connections handed out."),
		waited: desc("tenet_pool_waited_total", "Connections that somebody had to wait for. "+
			"Growing as fast as tenet_pool_acquired_total: the pool is too small or the database too slow."),
		waitTime: desc("tenet_pool_wait_seconds_total", "How long was waited for connections, all together. "+
			"Growing by more than a second each second: requests queue."),
		cancelled: desc("tenet_pool_cancelled_total", "Waits for a connection that were given up. Growing: callers run into their deadlines."),
	})
}

type poolCollector struct {
	stats                                              func() PoolStats
	limit, open, acquired, waited, waitTime, cancelled *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.limit, c.open, c.acquired, c.waited, c.waitTime, c.cancelled} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *poolCollector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(c.limit, s.Limit)
	gauge(c.open, s.Used, "used")
	gauge(c.open, s.Idle, "idle")
	gauge(c.open, s.Opening, "opening")
	counter(c.acquired, float64(s.Acquired))
	counter(c.waited, float64(s.Waited))
	counter(c.waitTime, s.WaitTime.Seconds())
	counter(c.cancelled, float64(s.Cancelled))
}
