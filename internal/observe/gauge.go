package observe

import "github.com/prometheus/client_golang/prometheus"

// A Gauge is a number that is read on demand.
type Gauge struct {
	Name, Help string // Help says what a high value means
	Counter    bool   // it only increases
	Value      func() float64
}

// Gauges collects gauges, which are read at each scrape.
func Gauges(reg prometheus.Registerer, list ...Gauge) {
	for _, g := range list {
		if g.Counter {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: g.Name, Help: g.Help}, g.Value))
			continue
		}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Value))
	}
}
