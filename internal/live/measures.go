package live

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/knowledge"
)

// measures are what the hub counts.
type measures struct {
	messages prometheus.Counter
	cutOff   map[ending]prometheus.Counter
	refusals *prometheus.CounterVec
	delay    prometheus.Histogram
}

// newMeasures returns the hub's measures, registered where there is somebody to ask for them.
func newMeasures(h *Hub, r prometheus.Registerer) *measures {
	cutOff := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tenet_live_cut_off_total",
		Help: "Streams that this tenet ended, by reason. Many that are stuck, silent or behind: subscribers or the network are too slow.",
	}, []string{"reason"})
	m := &measures{
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tenet_live_sent_total", Help: "Messages sent to subscribers.",
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenet_live_refused_total",
			Help: "Subscriptions that were refused, by status. Many with 429 or 503: limits are reached.",
		}, []string{"status"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tenet_live_delay_seconds",
			Help:    "Time from reading a change from the log to handing it to the network, for each piece sent. High: many subscribers, or slow ones.",
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
			Name: "tenet_live_subscribers", Help: "Open streams. Near the limit, more are refused.",
		}, func() float64 { _, n := h.standing(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenet_live_ring_events", Help: "Events held in memory, ready to be sent.",
		}, func() float64 { return float64(h.held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenet_live_queue_changes", Help: "How many changes the slowest stream is behind. High: somebody is slow, and may be cut off.",
		}, func() float64 { return float64(h.depth()) }),
	)
	return m
}

// sent counts messages that the network took. What somebody gets who has come back is no measure of delay.
func (m *measures) sent(events []*event, level bool) {
	m.messages.Add(float64(len(events)))
	if first := events[0]; level && !first.at.IsZero() {
		m.delay.Observe(time.Since(first.at).Seconds())
	}
}

// ended counts a stream that is over.
func (m *measures) ended(why ending) {
	if c := m.cutOff[why]; c != nil {
		c.Inc()
	}
}

// held returns how many events the ring holds.
func (h *Hub) held() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ring.next - h.ring.first
}

// depth returns how far the slowest stream is behind the log. Whoever waits for a bell is not behind.
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
