package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// tiers counts what one kind of question found where.
type tiers struct{ hot, warm, miss atomic.Int64 }

// statistics are totals since the start, with marks of the past for the windows.
type statistics struct {
	records, lists, searches                      tiers
	loads, loadNanos                              atomic.Int64
	evicted, demoted, promoted, dropped, tooLarge atomic.Int64

	mu    sync.Mutex // guards what follows
	marks []mark     // the newest last, one every markEvery
}

// A mark is what the totals were at one time.
type mark struct{ asked, found int64 }

const (
	markEvery = 10 * time.Second
	keptMarks = 61 // ten minutes
)

func (s *statistics) loaded(began time.Time) {
	s.loads.Add(1)
	s.loadNanos.Add(int64(time.Since(began)))
}

func (s *statistics) totals() mark {
	var m mark
	for _, t := range []*tiers{&s.records, &s.lists, &s.searches} {
		found := t.hot.Load() + t.warm.Load()
		m.found += found
		m.asked += found + t.miss.Load()
	}
	return m
}

func (s *statistics) run(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.mu.Lock()
			s.marks = append(s.marks, s.totals())
			if len(s.marks) > keptMarks {
				s.marks = s.marks[1:]
			}
			s.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// A Ratio is how much of what was asked was found in memory.
type Ratio struct {
	Asked int64   `json:"asked"`
	Found float64 `json:"found"` // 0 to 1; 0 when nothing was asked
}

func (s *statistics) window(marks int) Ratio {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.totals()
	var then mark
	if marks > 0 && len(s.marks) > 0 {
		then = s.marks[max(0, len(s.marks)-marks)]
	}
	asked := now.asked - then.asked
	if asked == 0 {
		return Ratio{}
	}
	return Ratio{Asked: asked, Found: float64(now.found-then.found) / float64(asked)}
}

// TierStats tells what one kind of question found where, since the start.
type TierStats struct {
	Hot  int64 `json:"hot"`
	Warm int64 `json:"warm"`
	Miss int64 `json:"miss"`
}

// Target is the part of the questions that should be found in memory. Below it, with enough asked to judge, the budget is
// too small for what is read, or what is read is never read twice.
const Target = 0.90

// enough is how many questions in ten minutes allow a judgement.
const enough = 10_000

// Stats tells how a cache does.
type Stats struct {
	Records    TierStats `json:"records"`
	Lists      TierStats `json:"lists"`
	Searches   TierStats `json:"searches"`
	LastMinute Ratio     `json:"last_minute"`
	LastTen    Ratio     `json:"last_ten_minutes"`
	Total      Ratio     `json:"since_start"`
	BelowGoal  bool      `json:"below_goal"` // fewer than 90 % found in the last ten minutes, with enough asked to judge

	HotBytes    uint64  `json:"hot_bytes"`
	HotEntries  int     `json:"hot_entries"`
	WarmBytes   uint64  `json:"warm_bytes"`
	WarmEntries uint64  `json:"warm_entries"`
	Loads       int64   `json:"loads"`
	LoadSeconds float64 `json:"load_seconds"` // of all loads together
	Evicted     int64   `json:"evicted"`      // pushed out of hot for want of room
	Demoted     int64   `json:"demoted"`      // of these, kept in warm
	Dropped     int64   `json:"dropped"`      // of these, lost because the way down was full
	TooLarge    int64   `json:"too_large"`    // of these, too large for warm
	Promoted    int64   `json:"promoted"`     // brought back from warm
}

// Stats returns how the cache does.
func (s *Store) Stats() Stats {
	tier := func(t *tiers) TierStats { return TierStats{t.hot.Load(), t.warm.Load(), t.miss.Load()} }
	st := &s.stats
	out := Stats{
		Records: tier(&st.records), Lists: tier(&st.lists), Searches: tier(&st.searches),
		LastMinute: st.window(6), LastTen: st.window(60), Total: st.window(0),
		Loads: st.loads.Load(), LoadSeconds: time.Duration(st.loadNanos.Load()).Seconds(),
		Evicted: st.evicted.Load(), Demoted: st.demoted.Load(), Dropped: st.dropped.Load(), TooLarge: st.tooLarge.Load(),
		Promoted: st.promoted.Load(),
	}
	out.BelowGoal = out.LastTen.Asked >= enough && out.LastTen.Found < Target
	if s.hot != nil {
		out.HotBytes, out.HotEntries = s.hot.WeightedSize(), s.hot.EstimatedSize()
	}
	if s.warm != nil {
		out.WarmBytes, out.WarmEntries = s.warm.size()
	}
	return out
}
