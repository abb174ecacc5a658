package cache

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Collector returns the cache's figures for Prometheus.
func (s *Store) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tenet_cache_"+name, help, labels, nil)
	}
	return &collector{
		s: s,
		answers: desc("answers_total", "Questions by where their answer was found: hot, warm, or miss when the store under the cache was "+
			"asked. Many misses mean that the cache is too small, or that little is read twice.", "question", "kind", "found"),
		ratio: desc("hit_ratio", "Part of the questions that a tier has answered, 0 to 1, over the last minute, the last ten minutes and since "+
			"the start; the tier any is both together. A kind that nobody has asked for is left out. Above 0.9 for any is as it should be.",
			"kind", "tier", "span"),
		below: desc("below_target", "1 while less than 0.9 of the questions of the last ten minutes was answered from memory, with enough asked "+
			"to judge. The cache is too small, or little is read twice."),
		bytes:   desc("bytes", "Memory that a tier takes. It comes near the budget when the tier is full, which is as it should be.", "tier"),
		budget:  desc("budget_bytes", "Memory that a tier may take; 0 when it is off.", "tier"),
		entries: desc("entries", "Answers that a tier holds.", "tier"),
		left: desc("evictions_total", "Answers that left the hot tier: for want of room, outdated by a change, or replaced by a newer load. "+
			"Many for want of room, with a poor hit ratio, mean that the hot tier is too small.", "cause"),
		demoted:  desc("demotions_total", "Records that fell from the hot to the warm tier."),
		dropped:  desc("demotions_dropped_total", "Records that were lost on the way to the warm tier because too many were on it. Many mean that the processor can't compress as fast as the hot tier evicts."),
		once:     desc("demotions_refused_total", "Records that a full warm tier did not take because they were wanted only once lately."),
		promoted: desc("promotions_total", "Records that came back from the warm to the hot tier. Many mean that the hot tier is small for what is read often."),
		unfit:    desc("unfit_total", "Answers that were too large to keep. Many mean that large documents are read often and asked for each time."),
		loads:    desc("loads_total", "Questions to the store under the cache."),
		failed:   desc("load_errors_total", "Questions to the store under the cache that it failed to answer. Many mean that it is away or slow."),
		seconds:  desc("load_seconds_total", "Time that the store under the cache took for all questions together. Divided by the loads it is what a miss costs."),
		followed: desc("followed_seq", "Number of the last change that the cache has followed. It falls behind the log's last one when the feed can't be read."),
		asOf: desc("as_of_seconds", "When everything in memory was last known to be current, in seconds since 1970; 0 while it never was. "+
			"Far behind the clock means that changes from elsewhere are not seen."),
	}
}

// A collector hands out the figures of a cache when it is asked for them.
type collector struct {
	s *Store

	answers, ratio, below, bytes, budget, entries, left, demoted, dropped, once, promoted, unfit *prometheus.Desc
	loads, failed, seconds, followed, asOf                                                       *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.answers, c.ratio, c.below, c.bytes, c.budget, c.entries, c.left, c.demoted, c.dropped, c.once, c.promoted, c.unfit,
		c.loads, c.failed, c.seconds, c.followed, c.asOf,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		send(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.GaugeValue, v, labels...) }
	totals, names := c.s.stats.totals(), kindNames()
	for a, question := range [asks]string{"record", "list", "search"} {
		for k, kind := range names {
			if (ask(a) == askSearch) != (kind == "") {
				continue // searches go over several kinds, and nothing else does
			}
			t := totals[a][k]
			count(c.answers, t.Hot, question, string(kind), "hot")
			count(c.answers, t.Warm, question, string(kind), "warm")
			count(c.answers, t.Miss, question, string(kind), "miss")
		}
	}
	st := c.s.Stats()
	ratios := func(kind string, a Answers) {
		for span, t := range map[string]Counts{"1m": a.LastMinute, "10m": a.LastTenMinutes, "start": a.SinceStart} {
			asked := float64(max(t.Asked(), 1))
			gauge(c.ratio, float64(t.Hot)/asked, kind, "hot", span)
			gauge(c.ratio, float64(t.Warm)/asked, kind, "warm", span)
			gauge(c.ratio, t.Ratio(), kind, "any", span)
		}
	}
	ratios("all", st.All)
	for kind, a := range st.Kinds {
		ratios(string(kind), a)
	}
	if st.Searches.SinceStart.Asked() > 0 {
		ratios("search", st.Searches)
	}
	if st.BelowTarget {
		gauge(c.below, 1)
	} else {
		gauge(c.below, 0)
	}
	gauge(c.bytes, float64(st.HotBytes), "hot")
	gauge(c.bytes, float64(st.WarmBytes), "warm")
	gauge(c.budget, float64(st.HotBudget), "hot")
	gauge(c.budget, float64(st.WarmBudget), "warm")
	gauge(c.entries, float64(st.HotEntries), "hot")
	gauge(c.entries, float64(st.WarmEntries), "warm")
	count(c.left, st.EvictedRoom, "room")
	count(c.left, st.EvictedOutdated, "outdated")
	count(c.left, st.EvictedReplaced, "replaced")
	count(c.demoted, st.Demoted)
	count(c.dropped, st.Dropped)
	count(c.once, st.Once)
	count(c.promoted, st.Promoted)
	count(c.unfit, st.Unfit)
	count(c.loads, st.Loads)
	count(c.failed, st.LoadErrors)
	send(c.seconds, prometheus.CounterValue, st.LoadSeconds)
	gauge(c.followed, float64(st.Followed))
	if !st.AsOf.IsZero() {
		gauge(c.asOf, float64(st.AsOf.UnixMicro())/1e6)
	} else {
		gauge(c.asOf, 0)
	}
}
