package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PoolStats is the state of a connection pool. Values that a pool does not know stay 0.
type PoolStats struct {
	Limit   int // the most connections that it may open
	Used    int // in use
	Idle    int // open and idle
	Opening int // being opened

	Acquired  int64         // connections handed out since the start
	Waited    int64         // of these, connections that a caller waited for
	WaitTime  time.Duration // total time of these waits
	Cancelled int64         // waits that were given up

	// When the certificates that connections use expire, the server's and our own; zero for none.
	ServerCertificate, ClientCertificate time.Time
}

// Pool collects the state of an engine's pool; stats is called at each scrape.
func (m *Metrics) Pool(engine string, stats func() PoolStats) {
	labels := prometheus.Labels{"engine": engine}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, more, labels)
	}
	m.registerer.MustRegister(&poolCollector{
		stats: stats,
		limit: desc("tenet_pool_limit_connections", "Most connections that the pool may open."),
		open: desc("tenet_pool_connections", "Open connections by state. "+
			"All of them in use for long: the pool is too small or the database too slow.", "state"),
		acquired: desc("tenet_pool_acquired_total", "Connections handed out."),
		waited: desc("tenet_pool_waited_total", "Connections that a caller waited for. "+
			"Growing as fast as tenet_pool_acquired_total: the pool is too small or the database too slow."),
		waitTime: desc("tenet_pool_wait_seconds_total", "Total time spent waiting for a connection, in seconds. "+
			"Growing by more than a second each second: requests queue."),
		cancelled: desc("tenet_pool_cancelled_total",
			"Waits for a connection that were cancelled. Growing: callers reach their deadlines."),
		certificate: desc("tenet_pool_certificate_expiry_timestamp_seconds",
			"When the certificate that connections use expires, in seconds since 1970: the server's, or the client's. "+
				"Soon means that no connection can be made soon.", "of"),
	})
}

type poolCollector struct {
	stats                                              func() PoolStats
	limit, open, acquired, waited, waitTime, cancelled *prometheus.Desc
	certificate                                        *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.limit, c.open, c.acquired, c.waited, c.waitTime, c.cancelled,
		c.certificate,
	} {
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
	for of, ends := range map[string]time.Time{"server": s.ServerCertificate, "client": s.ClientCertificate} {
		if !ends.IsZero() {
			gauge(c.certificate, int(ends.Unix()), of)
		}
	}
}
