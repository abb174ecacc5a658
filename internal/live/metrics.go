package live

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/knowledge"
)

// metrics are the hub's metrics.
type metrics struct {
	messages prometheus.Counter
	cutOff   map[ending]prometheus.Counter
	refusals *prometheus.CounterVec
	delay    prometheus.Histogram
}

// newMetrics returns the hub's metrics, registered if there is a registry.
func newMetrics(h *Hub, r prometheus.Registerer) *metrics {
	cutOff := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tenet_live_cut_off_total",
		Help: "Streams that this instance ended, by reason. Many that are stuck, silent or behind mean that " +
			"subscribers or the network are too slow.",
	}, []string{"reason"})
	m := &metrics{
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tenet_live_sent_total", Help: "Messages sent to subscribers.",
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenet_live_refused_total",
			Help: "Refused subscriptions, by status. Many with 429 or 503 mean that limits are reached.",
		}, []string{"status"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tenet_live_delay_seconds",
			Help: "Time from reading a change from the log to sending it, for each piece sent, in seconds. High " +
				"values mean many or slow subscribers.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}),
		cutOff: map[ending]prometheus.Counter{},
	}
	for e := endNone; e <= endStopping; e++ {
		if l := e.label(); l != "" {
			m.cutOff[e] = cutOff.WithLabelValues(l)
		}
	}
	if r == nil {
		return m
	}
	r.MustRegister(cutOff, m.messages, m.refusals, m.delay,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenet_live_subscribers", Help: "Open streams. At the limit, more are refused.",
		}, func() float64 { _, n := h.standing(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenet_live_ring_events", Help: "Events kept in memory, ready to be sent.",
		}, func() float64 { return float64(h.held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenet_live_queue_changes",
			Help: "Changes that the slowest stream is behind. High values mean that a subscriber is slow and may be " +
				"cut off.",
		}, func() float64 { return float64(h.depth()) }),
	)
	return m
}

// sent counts messages that were sent. Messages to a subscriber that is catching up do not count as delay.
func (m *metrics) sent(events []*event, level bool) {
	m.messages.Add(float64(len(events)))
	if first := events[0]; level && !first.at.IsZero() {
		m.delay.Observe(time.Since(first.at).Seconds())
	}
}

// ended counts a stream that has ended.
func (m *metrics) ended(why ending) {
	if c := m.cutOff[why]; c != nil {
		c.Inc()
	}
}

// held returns the number of events in the ring.
func (h *Hub) held() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.next - h.ring.first
}

// depth returns how far the slowest stream is behind the log. A subscriber that waits for a bell is not behind.
func (h *Hub) depth() knowledge.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	var most knowledge.Seq
	for _, set := range h.principals {
		for s := range set {
			if at := knowledge.Seq(s.at.Load()); at >= 0 {
				most = max(most, h.ring.high-at)
			}
		}
	}
	return most
}
