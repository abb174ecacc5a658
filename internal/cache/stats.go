package cache

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Target is the share of reads that the cache should answer. Below it, with enough reads to judge, the budget is too
// small, or little is read more than once.
const Target = 0.90

const (
	// enough is how many reads in ten minutes allow a judgement.
	enough = 10_000
	// warnEvery is the shortest time between two warnings about the hit ratio.
	warnEvery = time.Hour
	// sampleEvery and samplesKept make a window of ten minutes.
	sampleEvery = 10 * time.Second
	samplesKept = 61
)

// tiers counts answers by where they were found.
type tiers struct{ hot, warm, miss atomic.Int64 }

// statistics are totals since the start, with samples of earlier totals for the windows.
type statistics struct {
	answers [asks][kinds]tiers

	loads, loadErrors, loadNanos     atomic.Int64
	overflowed, outdated, replaced   atomic.Int64 // entries that left the hot tier
	demoted, dropped, once, promoted atomic.Int64
	unfit                            atomic.Int64

	mu      sync.Mutex // guards the fields below
	samples []sample   // the newest last, one every sampleEvery
	warned  time.Time
}

// A sample holds the totals at one time.
type sample [asks][kinds]Counts

func (s *statistics) begin() { s.samples = []sample{{}} }

// found returns the counters for a slot.
func (s *statistics) found(at slot) *tiers { return &s.answers[at.ask][at.kind] }

// count counts an answer that was assembled from memory.
func (s *statistics) count(at slot, found knowledge.Source) {
	switch found {
	case knowledge.SourceHot:
		s.found(at).hot.Add(1)
	case knowledge.SourceWarm:
		s.found(at).warm.Add(1)
	default:
		s.found(at).miss.Add(1)
	}
}

// loaded counts a load from the source. "Not found" and an invalid query are answers, not errors.
func (s *statistics) loaded(began time.Time, err error) {
	s.loads.Add(1)
	s.loadNanos.Add(int64(time.Since(began)))
	if _, invalid := errors.AsType[*knowledge.InvalidError](err); err != nil && !invalid &&
		!errors.Is(err, store.ErrNotFound) {
		s.loadErrors.Add(1)
	}
}

func (s *statistics) totals() (t sample) {
	for a := range s.answers {
		for k := range s.answers[a] {
			c := &s.answers[a][k]
			t[a][k] = Counts{Hot: c.hot.Load(), Warm: c.warm.Load(), Miss: c.miss.Load()}
		}
	}
	return t
}

// run takes samples, and logs a poor hit ratio.
func (s *statistics) run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if c, poor := s.take(now); poor {
				log.WarnContext(ctx,
					"cache hit ratio is below target: raise cache_hot or cache_warm, or send one-off reads with "+
						"Cache-Control: no-cache",
					"ratio", c.Ratio(), "target", Target, "asked_in_ten_minutes", c.Asked())
			}
		case <-ctx.Done():
			return
		}
	}
}

// take takes a sample. It returns the counts of the last ten minutes, and whether they need a warning.
func (s *statistics) take(now time.Time) (Counts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.totals()
	s.samples = append(s.samples, t)
	if len(s.samples) > samplesKept {
		s.samples = append(s.samples[:0], s.samples[1:]...)
	}
	c := s.sinceLocked(&t, samplesKept).all()
	if !c.poor() || !s.warned.IsZero() && now.Sub(s.warned) < warnEvery {
		return c, false
	}
	s.warned = now
	return c, true
}

// sinceLocked returns the counts since the nth sample from the end, or since the oldest. It needs mu.
func (s *statistics) sinceLocked(now *sample, n int) sample {
	out, then := *now, &s.samples[max(0, len(s.samples)-n)]
	for a := range out {
		for k := range out[a] {
			out[a][k] = out[a][k].less(then[a][k])
		}
	}
	return out
}

// Counts tell where answers were found. In JSON the ratio is added.
type Counts struct {
	Hot  int64 `json:"hot"`
	Warm int64 `json:"warm"`
	Miss int64 `json:"miss"`
}

// MarshalJSON implements [json.Marshaler].
func (c Counts) MarshalJSON() ([]byte, error) {
	type plain Counts
	return json.Marshal(struct {
		plain
		Ratio float64 `json:"ratio"`
	}{plain(c), math.Round(c.Ratio()*1e4) / 1e4})
}

// Ratio returns the share of reads answered from memory, 0 if there were none.
func (c Counts) Ratio() float64 {
	if c.Asked() == 0 {
		return 0
	}
	return float64(c.Hot+c.Warm) / float64(c.Asked())
}

// Asked returns the number of reads.
func (c Counts) Asked() int64 { return c.Hot + c.Warm + c.Miss }

func (c Counts) poor() bool { return c.Asked() >= enough && c.Ratio() < Target }

func (c Counts) plus(o Counts) Counts { return Counts{c.Hot + o.Hot, c.Warm + o.Warm, c.Miss + o.Miss} }

func (c Counts) less(o Counts) Counts { return Counts{c.Hot - o.Hot, c.Warm - o.Warm, c.Miss - o.Miss} }

// all returns the sum of a sample.
func (t sample) all() (sum Counts) {
	for a := range t {
		sum = sum.plus(t.of(ask(a)))
	}
	return sum
}

// of returns the sum of a sample for one kind of query.
func (t sample) of(a ask) (sum Counts) {
	for _, c := range t[a] {
		sum = sum.plus(c)
	}
	return sum
}

// ofKind returns the sum of a sample for the records and lists of a kind.
func (t sample) ofKind(kind int) Counts { return t[askRecord][kind].plus(t[askList][kind]) }

// Answers tell where answers were found, over three spans of time.
type Answers struct {
	LastMinute     Counts `json:"last_minute"`
	LastTenMinutes Counts `json:"last_ten_minutes"`
	SinceStart     Counts `json:"since_start"`
}

// Stats are the cache's statistics.
type Stats struct {
	All      Answers `json:"all"`
	Records  Answers `json:"records"`
	Lists    Answers `json:"lists"`
	Searches Answers `json:"searches"`
	// Kinds holds the records and lists of each kind with reads.
	Kinds map[knowledge.Kind]Answers `json:"kinds"`
	// BelowTarget is true if less than [Target] of the last ten minutes' reads came from memory, with enough to judge.
	BelowTarget bool `json:"below_target"`

	HotBudget   int64  `json:"hot_budget"`
	HotBytes    uint64 `json:"hot_bytes"`
	HotEntries  int    `json:"hot_entries"`
	WarmBudget  int64  `json:"warm_budget"`
	WarmBytes   uint64 `json:"warm_bytes"`
	WarmEntries uint64 `json:"warm_entries"`

	Loads       int64   `json:"loads"` // reads sent to the store under the cache
	LoadErrors  int64   `json:"load_errors"`
	LoadSeconds float64 `json:"load_seconds"` // total of all loads

	EvictedRoom     int64 `json:"evicted_room"`     // left hot for lack of room
	EvictedOutdated int64 `json:"evicted_outdated"` // left hot, for any reason, after a change had made them invalid
	EvictedReplaced int64 `json:"evicted_replaced"` // left hot for a newer load
	Demoted         int64 `json:"demoted"`          // of those that left for lack of room: moved to warm
	Dropped         int64 `json:"dropped"`          // of those: dropped because too many were waiting
	Once            int64 `json:"once"`             // of those: not admitted because they were asked for only once
	Unfit           int64 `json:"unfit"`            // too large for a tier
	Promoted        int64 `json:"promoted"`         // moved back from warm

	Followed knowledge.Seq  `json:"followed"` // how far the feed has been followed
	AsOf     knowledge.Time `json:"as_of"`    // when everything in memory was last known to be current
}

// Stats returns the cache's statistics.
func (s *Store) Stats() Stats {
	st := &s.mem.stats
	st.mu.Lock()
	now := st.totals()
	minute, ten := st.sinceLocked(&now, int(time.Minute/sampleEvery)), st.sinceLocked(&now, samplesKept-1)
	st.mu.Unlock()
	of := func(a ask) Answers { return Answers{minute.of(a), ten.of(a), now.of(a)} }
	out := Stats{
		All: Answers{minute.all(), ten.all(), now.all()}, Records: of(askRecord), Lists: of(askList),
		Searches: of(askSearch),
		Kinds:    map[knowledge.Kind]Answers{}, BelowTarget: ten.all().poor(),
		Loads: st.loads.Load(), LoadErrors: st.loadErrors.Load(),
		LoadSeconds: time.Duration(st.loadNanos.Load()).Seconds(),
		EvictedRoom: st.overflowed.Load(), EvictedOutdated: st.outdated.Load(), EvictedReplaced: st.replaced.Load(),
		Demoted: st.demoted.Load(), Dropped: st.dropped.Load(), Once: st.once.Load(), Unfit: st.unfit.Load(),
		Promoted: st.promoted.Load(),
		Followed: s.Followed(), AsOf: s.AsOf(),
	}
	for k, name := range kindNames() {
		a := Answers{minute.ofKind(k), ten.ofKind(k), now.ofKind(k)}
		if name != "" && a.SinceStart.Asked() > 0 {
			out.Kinds[name] = a
		}
	}
	if s.mem.hot != nil {
		out.HotBudget, out.HotBytes, out.HotEntries = s.o.Hot, s.mem.hot.WeightedSize(), s.mem.hot.EstimatedSize()
	}
	if s.mem.warm != nil {
		out.WarmBudget = s.o.Warm - s.o.Warm%MinWarm
		out.WarmBytes, out.WarmEntries = s.mem.warm.size()
	}
	return out
}
