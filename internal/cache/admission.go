package cache

import "github.com/VictoriaMetrics/fastcache"

const (
	// admitted is how many recent evictions from the hot tier an item needs to enter a full warm tier.
	admitted = 2
	// admissionCounts is the number of counters. All are halved after lately evictions per counter.
	admissionCounts = 1 << 17
	lately          = 2
	// fullEvery is how many evictions pass between two checks whether the tier is full.
	fullEvery = 256
	// nearly is the part of a tier that may still be free when it counts as full.
	nearly = 16
)

// admission keeps items that are asked for only once out of the warm tier. That tier drops its oldest entries first,
// whatever their use, and under a skewed load half of the items evicted from the hot tier are never asked for again:
// they would push out useful ones. Only the goroutine that demotes uses it.
type admission struct {
	counts [admissionCounts]uint8
	seen   int
	full   bool // the tier drops entries, or is about to
}

// admit counts an item evicted from the hot tier, and reports whether it may enter the warm tier.
func (a *admission) admit(at slot, tier *fastcache.Cache) bool {
	if a.seen++; !a.full && a.seen%fullEvery == 0 {
		var st fastcache.Stats
		tier.UpdateStats(&st)
		// a part of it drops entries when it is full itself
		a.full = st.BytesSize >= st.MaxBytesSize-st.MaxBytesSize/nearly
	}
	if a.seen >= lately*admissionCounts {
		a.seen = 0
		for i := range a.counts {
			a.counts[i] /= 2
		}
	}
	i := fnv(at.id, string([]byte{byte(at.ask), at.kind}), "") % admissionCounts
	if a.counts[i] < admitted {
		a.counts[i]++
	}
	return !a.full || a.counts[i] >= admitted
}
