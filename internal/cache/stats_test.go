package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func TestStatsTellWhatWasFoundWhere(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{Warm: MinWarm})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	get(t, s, key)
	sinkEach(t, s, key)
	get(t, s, key)
	for range 3 {
		list(t, s, knowledge.Query{Kind: knowledge.KindRule})
		if _, err := s.Search(t.Context(), knowledge.SearchQuery{Text: "x"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), knowledge.Key{Kind: knowledge.KindTemplate, ID: "b"}); !errors.Is(err,
			store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	got := map[string]Counts{
		"records": st.Records.SinceStart, "lists": st.Lists.SinceStart, "searches": st.Searches.SinceStart,
		"all":   st.All.LastMinute,
		"rules": st.Kinds[knowledge.KindRule].SinceStart, "templates": st.Kinds[knowledge.KindTemplate].LastMinute,
		"practices": st.Kinds[knowledge.KindPractice].SinceStart,
	}
	want := map[string]Counts{
		"records": {Hot: 3, Warm: 1, Miss: 2}, "lists": {Hot: 2, Miss: 1}, "searches": {Hot: 2, Miss: 1},
		"all":   {Hot: 7, Warm: 1, Miss: 4},
		"rules": {Hot: 3, Warm: 1, Miss: 2}, "templates": {Hot: 2, Miss: 1}, "practices": {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const wantJSON = `{"hot":3,"warm":1,"miss":2,"ratio":0.6667}`
	if b, err := json.Marshal(st.Records.LastTenMinutes); err != nil || string(b) != wantJSON {
		t.Errorf("in JSON: %s, %v, want %s", b, err, wantJSON)
	}
	if st.Loads != 4 || st.Demoted != 1 || st.Promoted != 1 || st.HotEntries != 6 || st.WarmEntries != 1 ||
		st.BelowTarget {
		t.Errorf("%+v", st)
	}
}

func TestWindowsForgetWhatIsOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, newSource(), Options{})
		run(t, s)
		key := put(t, s, rule("a")).Key
		ask := func(n int) {
			for range n {
				get(t, s, key)
			}
		}
		total := func(a Answers) [3]int64 {
			return [3]int64{a.LastMinute.Asked(), a.LastTenMinutes.Asked(), a.SinceStart.Asked()}
		}
		check := func(when string, minute, ten, all int64) {
			t.Helper()
			if got, want := total(s.Stats().Records), [3]int64{minute, ten, all}; got != want {
				t.Errorf("%s: asked %d, want %d", when, got, want)
			}
		}
		ask(1)
		check("at once", 1, 1, 1)
		pass(t, 61*time.Second)
		ask(2)
		check("after a minute", 2, 3, 3)
		pass(t, 9*time.Minute)
		ask(4)
		check("after ten minutes", 4, 6, 7)
		pass(t, 11*time.Minute)
		check("after an hour's third", 0, 0, 7)
	})
}

// pass lets time pass in a bubble.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func TestAPoorRatioIsToldOnceAnHourAndOnlyWhenThereIsEnoughToJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		s := openTest(t, newSource(), Options{Log: log.logger()})
		run(t, s)
		miss := func(n int) {
			for i := range n {
				if _, err := s.Get(t.Context(), knowledge.Key{
					Kind: knowledge.KindRule,
					ID:   fmt.Sprint(i, time.Now().UnixNano()),
				}); !errors.Is(err, store.ErrNotFound) {
					t.Fatal(err)
				}
			}
		}
		miss(enough - 1)
		pass(t, 20*time.Second)
		if s.Stats().BelowTarget || log.count("below target") != 0 {
			t.Error("a judgement over too little")
		}
		miss(1)
		pass(t, 20*time.Second)
		if !s.Stats().BelowTarget || log.count("below target") != 1 {
			t.Errorf("below target: %v, told %d times", s.Stats().BelowTarget, log.count("below target"))
		}
		pass(t, 11*time.Minute)
		miss(enough)
		pass(t, 20*time.Second)
		if log.count("below target") != 1 {
			t.Errorf("told %d times within the hour", log.count("below target"))
		}
		pass(t, time.Hour)
		miss(enough)
		pass(t, 20*time.Second)
		if log.count("below target") != 2 {
			t.Errorf("told %d times after the hour", log.count("below target"))
		}
	})
}

func TestTheCollectorsFiguresAreTheStats(t *testing.T) {
	src := newSource()
	s := openTest(t, src, Options{Hot: 1 << 20, Warm: MinWarm})
	key := put(t, s, rule("a")).Key
	get(t, s, key)
	get(t, s, key)
	list(t, s, knowledge.Query{Kind: knowledge.KindRule})
	c := s.Collector()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var name strings.Builder
			name.WriteString(strings.TrimPrefix(f.GetName(), "tenet_cache_"))
			for _, l := range m.GetLabel() {
				name.WriteString(" " + l.GetValue())
			}
			got[name.String()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"loads_total": 2, "budget_bytes hot": 1 << 20, "budget_bytes warm": MinWarm, "entries hot": 3,
		"hit_ratio all start any": 1.0 / 3, "hit_ratio rule 10m hot": 1.0 / 3, "hit_ratio rule 1m warm": 0,
		"below_target":                  0,
		"answers_total hot rule record": 1, "answers_total miss rule record": 1, "answers_total miss rule list": 1,
		"answers_total hot  search": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, %v, want %v", name, value, ok, want)
		}
	}
}
