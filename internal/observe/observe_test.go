package observe_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tenet/internal/observe"
	"tenet/internal/store"
)

func TestStatementsCountByEngineNameAndOutcome(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := observe.New(reg)
	e := m.Engine("sqlite")
	e.QueryDone("get", time.Millisecond, nil)
	e.QueryDone("get", time.Millisecond, store.ErrNotFound)
	e.QueryDone("get", time.Millisecond, errors.New("gone"))
	m.Request("GET /x", 200, time.Millisecond)
	m.Request("GET /x", 200, time.Millisecond)
	m.Slow("sqlite", "get")
	got := map[string]uint64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			n := metric.GetHistogram().GetSampleCount()
			if metric.GetCounter() != nil {
				n = uint64(metric.GetCounter().GetValue())
			}
			got[f.GetName()+" "+strings.Join(labels, " ")] = n
		}
	}
	for name, want := range map[string]uint64{
		"tenet_query_seconds sqlite ok get":     2,
		"tenet_query_seconds sqlite error get":  1,
		"tenet_http_request_seconds GET /x 200": 2,
		"tenet_slow_queries_total sqlite get":   1,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d; have %v", name, got[name], want, got)
		}
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := observe.New(reg)
	m.Request("GET /x", 200, time.Millisecond)
	observe.Gauges(reg, observe.Gauge{Name: "tenet_things", Help: "Things; many are many.", Value: func() float64 { return 1 }})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
