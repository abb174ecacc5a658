package live

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tenet/internal/knowledge"
)

// stuck opens a WebSocket and never reads what comes after the handshake.
func (r *rig) stuck(query string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /api/v1/live?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer "+
		"viewer:stuck\r\n\r\n",
		query, r.server.Listener.Addr())
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) //nolint:bodyclose // it has none
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatalf("handshake: %v, %v", resp, err)
	}
	return conn
}

func TestAStuckReaderIsCutOffAndDelaysNobody(t *testing.T) {
	log := newLog(t)
	registry := prometheus.NewRegistry()
	r := newRig(t, log, Options{Ring: 32, WriteTimeout: 8 * time.Second, Metrics: registry})
	for range 5 {
		r.stuck("after=0")
	}
	healthy := r.dial("websocket", "after=0", "viewer")
	healthy.expect(typeHello)
	big := func(r *knowledge.Rule) { r.Description = strings.Repeat("x", 100<<10) }
	const n = 60
	for i := range n {
		log.add(put(t, rule(fmt.Sprintf("BIG-%d", i), big)))
	}
	if got := seqs(healthy.changes(n)); !slices.Equal(got, upTo(1, n)) {
		t.Errorf("the healthy reader got %v", got)
	}
	eventually(t, "the stuck ones are cut off", func() bool { _, left := r.hub.standing(); return left == 1 })
	if got := counted(t, registry, "tenet_live_cut_off_total", "stuck"); got != 5 {
		t.Errorf("%v streams were counted as stuck, want 5", got)
	}
}

func TestMeasuresAreNamedAndCounted(t *testing.T) {
	log := newLog(t)
	log.rules(4)
	registry := prometheus.NewPedanticRegistry()
	r := newRig(t, log, Options{Metrics: registry})
	p := r.dial("websocket", "after=0", "viewer")
	p.expect(typeHello)
	p.changes(4)
	if _, _, err := r.try("sse", "", ""); err == nil { //nolint:bodyclose // it ends with the test
		t.Fatal("nobody was let in")
	}
	eventually(t, "everything was counted", func() bool {
		return counted(t, registry, "tenet_live_sent_total", "") == 5
	})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	for _, name := range []string{
		"tenet_live_subscribers", "tenet_live_sent_total", "tenet_live_cut_off_total", "tenet_live_refused_total",
		"tenet_live_ring_events", "tenet_live_queue_changes", "tenet_live_delay_seconds",
	} {
		if !got[name] {
			t.Errorf("%s is not there", name)
		}
	}
}

// counted returns the value of a counter, of the one with a label's value where that is given.
func counted(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no counter %s with %q", name, label)
	return 0
}
