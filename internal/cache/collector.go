package cache

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Collector returns the cache's metrics for Prometheus.
func (s *Store) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tenet_cache_"+name, help, labels, nil)
	}
	return &collector{
		s: s,
		answers: desc("answers_total",
			"Reads by where the answer was found: hot, warm, or miss if the store under the cache was "+
				"asked. Many misses mean that the cache is too small, or that little is read more than once.",
			"question", "kind", "found"),
		ratio: desc("hit_ratio",
			"Share of reads that a tier answered, 0 to 1, over the last minute, the last ten minutes and since "+
				"the start; the tier any is both together. Kinds without reads are left out. The target is above "+
				"0.9 for any.",
			"kind", "tier", "span"),
		below: desc("below_target",
			"1 while the cache answered less than 0.9 of the reads of the last ten minutes, with enough reads "+
				"to judge. The cache is too small, or little is read more than once."),
		bytes:   desc("bytes", "Memory that a tier uses. A full tier is near its budget, which is normal.", "tier"),
		budget:  desc("budget_bytes", "Memory that a tier may use; 0 if it is off.", "tier"),
		entries: desc("entries", "Entries in a tier.", "tier"),
		left: desc("evictions_total",
			"Entries that left the hot tier: for lack of room, outdated by a change, or replaced by a newer load. "+
				"Many for lack of room, with a poor hit ratio, mean that the hot tier is too small.", "cause"),
		demoted: desc("demotions_total", "Entries moved from the hot to the warm tier."),
		dropped: desc("demotions_dropped_total",
			"Entries evicted from the hot tier and not moved to the warm one because too many were waiting. Many "+
				"mean that the processor can't compress as fast as the hot tier evicts."),
		once: desc("demotions_refused_total",
			"Entries that a full warm tier did not take because they were asked for only once recently."),
		promoted: desc("promotions_total",
			"Entries moved back from the warm to the hot tier. Many mean that the hot tier is small for the "+
				"documents that are read often."),
		unfit: desc("unfit_total",
			"Answers too large to cache. Many mean that large documents are read often, each time from the store "+
				"under the cache."),
		loads: desc("loads_total", "Reads sent to the store under the cache."),
		failed: desc("load_errors_total",
			"Reads that the store under the cache failed to answer. Many mean that it is down or slow."),
		seconds: desc("load_seconds_total",
			"Total time of the reads sent to the store under the cache, in seconds. Divided by the loads it is the "+
				"cost of a miss."),
		followed: desc("followed_seq",
			"Seq of the last change that the cache has followed. It falls behind the end of the log when the feed "+
				"can't be read."),
		asOf: desc("as_of_seconds", "When the cache was last known to be current, in seconds since 1970; 0 if never. "+
			"Far behind the clock means that changes from other instances are not seen."),
	}
}

// A collector collects a cache's metrics on demand.
type collector struct {
	s *Store

	answers, ratio, below, bytes, budget, entries, left, demoted, dropped, once, promoted, unfit *prometheus.Desc
	loads, failed, seconds, followed, asOf                                                       *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.answers, c.ratio, c.below, c.bytes, c.budget, c.entries, c.left, c.demoted, c.dropped, c.once, c.promoted,
		c.unfit,
		c.loads, c.failed, c.seconds, c.followed, c.asOf,
	} {
		ch <- d
	}
}

// A sender sends metrics to Prometheus.
type sender chan<- prometheus.Metric

func (s sender) send(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, kind, v, labels...)
}

func (s sender) count(d *prometheus.Desc, v int64, labels ...string) {
	s.send(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.send(d, prometheus.GaugeValue, v, labels...)
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	out, st := sender(ch), c.s.Stats()
	c.collectAnswers(out, &st)
	out.gauge(c.bytes, float64(st.HotBytes), "hot")
	out.gauge(c.bytes, float64(st.WarmBytes), "warm")
	out.gauge(c.budget, float64(st.HotBudget), "hot")
	out.gauge(c.budget, float64(st.WarmBudget), "warm")
	out.gauge(c.entries, float64(st.HotEntries), "hot")
	out.gauge(c.entries, float64(st.WarmEntries), "warm")
	out.count(c.left, st.EvictedRoom, "room")
	out.count(c.left, st.EvictedOutdated, "outdated")
	out.count(c.left, st.EvictedReplaced, "replaced")
	out.count(c.demoted, st.Demoted)
	out.count(c.dropped, st.Dropped)
	out.count(c.once, st.Once)
	out.count(c.promoted, st.Promoted)
	out.count(c.unfit, st.Unfit)
	out.count(c.loads, st.Loads)
	out.count(c.failed, st.LoadErrors)
	out.send(c.seconds, prometheus.CounterValue, st.LoadSeconds)
	out.gauge(c.followed, float64(st.Followed))
	if !st.AsOf.IsZero() {
		out.gauge(c.asOf, float64(st.AsOf.UnixMicro())/1e6)
	} else {
		out.gauge(c.asOf, 0)
	}
}

// collectAnswers sends the metrics about where answers were found.
func (c *collector) collectAnswers(out sender, st *Stats) {
	totals, names := c.s.mem.stats.totals(), kindNames()
	for a, question := range [asks]string{"record", "list", "search"} {
		for k, kind := range names {
			if (ask(a) == askSearch) != (kind == "") {
				continue // only a search covers several kinds
			}
			t := totals[a][k]
			out.count(c.answers, t.Hot, question, string(kind), "hot")
			out.count(c.answers, t.Warm, question, string(kind), "warm")
			out.count(c.answers, t.Miss, question, string(kind), "miss")
		}
	}
	ratios := func(kind string, a Answers) {
		for span, t := range map[string]Counts{"1m": a.LastMinute, "10m": a.LastTenMinutes, "start": a.SinceStart} {
			asked := float64(max(t.Asked(), 1))
			out.gauge(c.ratio, float64(t.Hot)/asked, kind, "hot", span)
			out.gauge(c.ratio, float64(t.Warm)/asked, kind, "warm", span)
			out.gauge(c.ratio, t.Ratio(), kind, "any", span)
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
		out.gauge(c.below, 1)
	} else {
		out.gauge(c.below, 0)
	}
}
