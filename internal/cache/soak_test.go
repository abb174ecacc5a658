package cache

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/needs"
)

// rss returns the memory of this process that is in use, in bytes.
func rss(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		needs.Missing(t, "the memory of a process can't be read here: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// collecting returns the processor time that garbage collection has taken, and all that there was.
func collecting() (gc, all float64) {
	list := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}}
	runtime.GC() // the figures are those of the last collection
	metrics.Read(list)
	return list[0].Value.Float64(), list[1].Value.Float64()
}

// paced lets the demotion keep up: no store under a cache answers as fast as one that makes its answers up.
func paced(s *Store) {
	for len(s.mem.down) > demotions/2 {
		runtime.Gosched()
	}
}

// TestSoakMemoryStaysWithinTheBudget reads three times as much as fits, each document and page another one, with the
// limit of the heap that Budget derives. The base is what is stated for a tenet with little to do; this test takes
// less.
func TestSoakMemoryStaysWithinTheBudget(t *testing.T) {
	soak(t)
	hot, warm := int64(128*mb), int64(512*mb)
	if os.Getenv("TENET_SOAK_SIZE") == "full" {
		hot, warm = DefaultHot, DefaultWarm
	}
	sizes := Budget(Memory{}, hot, warm)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(sizes.Limit))
	src := newEndless(t)
	const base = outsideMemory
	s := openTest(t, src, Options{Hot: hot, Warm: warm})
	run(t, s)
	budget := hot + warm
	bound := (budget + base) * 115 / 100
	var most, read, shown int64
	gcBefore, allBefore := collecting()
	for i := 0; read < 3*budget; i++ {
		if i%200 == 0 {
			page, err := s.List(t.Context(), knowledge.Query{
				Kind: knowledge.KindRule,
				Tag:  strconv.Itoa(1_000_000 + i),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				read += int64(len(r.JSON))
			}
		} else {
			rec := get(t, s, knowledge.Key{Kind: knowledge.KindRule, ID: strconv.Itoa(i)})
			read += int64(len(rec.JSON))
		}
		paced(s)
		if i%1000 == 0 {
			most = max(most, rss(t))
		}
		if read-shown > budget/4 {
			shown = read
			st := s.Stats()
			t.Logf("%5d MB read: RSS %d MB, hot %d MB, warm %d MB", read/mb, rss(t)/mb, st.HotBytes/mb, st.WarmBytes/mb)
		}
	}
	gcAfter, allAfter := collecting()
	st := s.Stats()
	t.Logf("hot %d + warm %d + base %d MB: RSS at most %d MB, %.2f of their sum; %.1f %% of the processor for "+
		"garbage collection under a limit of %d MB",
		hot/mb, warm/mb, base/mb, most/mb, float64(most)/float64(budget+base),
		100*(gcAfter-gcBefore)/(allAfter-allBefore), sizes.Limit/mb)
	if most > bound {
		t.Errorf("RSS was %d MB, want at most %d MB", most/mb, bound/mb)
	}
	if int64(st.HotBytes) > hot || int64(st.WarmBytes) > warm || st.WarmBytes < uint64(warm)*9/10 {
		t.Errorf("hot %d MB, warm %d MB", st.HotBytes/mb, st.WarmBytes/mb)
	}
}

// read asks a mix of questions and returns what was found.
func read(t *testing.T, s *Store, questions int, ask func() error) Answers {
	t.Helper()
	before := s.Stats()
	for range questions {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		paced(s)
	}
	after := s.Stats()
	return Answers{
		LastMinute:     after.Records.SinceStart.less(before.Records.SinceStart),
		LastTenMinutes: after.Lists.SinceStart.less(before.Lists.SinceStart),
		SinceStart:     after.All.SinceStart.less(before.All.SinceStart),
	}
}

func TestSoakHitRatio(t *testing.T) {
	soak(t)
	src := newEndless(t)
	size := int64(0)
	for i := range 2000 {
		size += int64(len(src.record(i * 37).JSON))
	}
	const docs = 100_000
	data := size / 2000 * docs
	for _, c := range []struct {
		name      string
		part      int64
		hot, warm int64
		want      float64 // of single documents
	}{
		{"a tenth of the data", 10, data/10 - MinWarm, MinWarm, 0.82},
		{"a tenth, hot alone", 10, data / 10, 0, 0.76},
		{"a quarter of the data", 4, data/4 - 2*MinWarm, 2 * MinWarm, 0.89},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mixed := range []bool{false, true} {
				s := openTest(t, src, Options{Hot: c.hot, Warm: c.warm})
				stop := run(t, s)
				m := newMix(1, docs)
				ask := func() error { _, err := s.Get(t.Context(), m.key()); return err }
				if mixed {
					ask = func() error { return m.ask(t.Context(), s) }
				}
				read(t, s, 300_000, ask)
				got := read(t, s, 200_000, ask)
				t.Logf("%d MB of data, hot %d, warm %d MB, mixed %v: %.3f of all found (hot %.3f, warm %.3f)", data/mb,
					c.hot/mb, c.warm/mb, mixed,
					got.SinceStart.Ratio(), float64(got.SinceStart.Hot)/float64(got.SinceStart.Asked()),
					float64(got.SinceStart.Warm)/float64(got.SinceStart.Asked()))
				if !mixed && got.SinceStart.Ratio() < c.want {
					t.Errorf("%.3f found, want %.2f", got.SinceStart.Ratio(), c.want)
				}
				stop()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// reaches asks until nine in ten of the last two thousand questions were found, and returns how many that took.
func reaches(t *testing.T, s *Store, m *mix, most int) int {
	t.Helper()
	for n := 0; n < most; n += 2000 {
		if got := read(t, s, 2000, func() error { return m.ask(t.Context(), s) }); got.SinceStart.Ratio() >= Target {
			return n + 2000
		}
	}
	return most
}

// restart measures how many questions it takes, cold and after a restart, until nine in ten are found.
func restart(t *testing.T, docs int, o Options) (cold, warm int) {
	t.Helper()
	src := newEndless(t)
	o.Dir = t.TempDir()
	first := openTest(t, shared{src}, o)
	stop := run(t, first)
	m := newMix(1, docs)
	cold = reaches(t, first, m, 100*docs)
	read(t, first, 4*docs, func() error { return m.ask(t.Context(), first) })
	stop()
	began := time.Now()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	saved := time.Since(began)
	began = time.Now()
	again := openTest(t, shared{src}, o)
	opened := time.Since(began)
	run(t, again)
	warm = reaches(t, again, newMix(2, docs), 100*docs)
	t.Logf("%d documents: nine in ten found after %d questions cold, after %d warm; saved in %s, opened in %s", docs,
		cold, warm,
		saved.Round(time.Millisecond), opened.Round(time.Millisecond))
	return cold, warm
}

func TestARestartFindsAtOnceWhatWasFoundBefore(t *testing.T) {
	// In the warm tier there is room for all of it.
	if cold, warm := restart(t, 5000, Options{Hot: 2 << 20, Warm: MinWarm}); warm > 2000 || cold <= warm {
		t.Errorf("nine in ten found after %d questions cold and %d warm: want the restart to begin warm", cold, warm)
	}
}

func TestSoakARestartFindsAtOnceWhatWasFoundBefore(t *testing.T) {
	soak(t)
	if cold, warm := restart(t, 100_000, Options{Hot: 64 << 20, Warm: 8 * MinWarm}); warm > 2000 || cold <= warm {
		t.Errorf("nine in ten found after %d questions cold and %d warm: want the restart to begin warm", cold, warm)
	}
}
