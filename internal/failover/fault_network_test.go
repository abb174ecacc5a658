package failover_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"tenet/internal/pgtest"
)

// TestFaultsOfTheNetwork breaks the line between the instances and a server that is well.
func TestFaultsOfTheNetwork(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	w := newWire(t, server.Addr())
	var troubles []trouble
	for _, f := range []struct {
		name   string
		toxics []string // stream, type and attributes
		lasts  time.Duration
		soak   bool
	}{
		{"refused", nil, 0, true},
		{"silent", []string{`downstream timeout {"timeout": 0}`, `upstream timeout {"timeout": 0}`}, 0, false},
		{"70 ms away", []string{`downstream latency {"latency": 70, "jitter": 10}`}, 0, true},
		{"1.5 s away", []string{`downstream latency {"latency": 1500}`}, 3 * time.Second, true},
		{"4 KB a second", []string{`downstream bandwidth {"rate": 4}`}, 3 * time.Second, true},
		{"reset", []string{`downstream reset_peer {"timeout": 0}`}, 0, true},
		{"cut in the middle of an answer", []string{`downstream limit_data {"bytes": 20000}`}, 0, false},
	} {
		troubles = append(troubles, trouble{
			// reads are the mirror's, and a write bears it
			name: f.name, soak: f.soak, lasts: f.lasts, unfelt: f.name == "70 ms away",
			inject: func(*cluster) { w.damage(f.toxics) },
			heal:   func(*cluster) { w.renew() },
		})
	}
	runAll(t, func() *site {
		s := newSite(t, server)
		s.large = true
		s.address = strings.Replace(s.url, server.Addr(), w.proxy.Listen, 1)
		return s
	}, troubles)
}

// A wire is a line to a server that can be damaged.
type wire struct {
	t     *testing.T
	hub   *toxiproxy.ApiServer
	proxy *toxiproxy.Proxy
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	hub := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	zerolog.SetGlobalLevel(zerolog.Disabled) // its toxics have loggers of their own
	w := &wire{t, hub, nil}
	w.lay("127.0.0.1:0", target)
	t.Cleanup(func() { w.proxy.Stop() })
	return w
}

func (w *wire) lay(listen, target string) {
	w.t.Helper()
	w.proxy = toxiproxy.NewProxy(w.hub, w.t.Name(), listen, target)
	if err := w.proxy.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// renew ends all connections and puts a sound line in the place of a damaged one. To mend that would take 5 s for each
// piece that is still on its way to somebody who has gone.
func (w *wire) renew() {
	w.t.Helper()
	w.proxy.Stop()
	w.lay(w.proxy.Listen, w.proxy.Upstream)
}

// damage adds what is wrong with the line; without anything nobody listens at its end.
func (w *wire) damage(toxics []string) {
	w.t.Helper()
	if len(toxics) == 0 {
		w.proxy.Stop()
	}
	for i, text := range toxics {
		part := strings.SplitN(text, " ", 3)
		spec := fmt.Sprintf(`{"name": "%d", "stream": %q, "type": %q, "attributes": %s}`, i, part[0], part[1], part[2])
		if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(spec)); err != nil {
			w.t.Fatal(err)
		}
	}
}
