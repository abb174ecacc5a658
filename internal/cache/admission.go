package cache

import "github.com/VictoriaMetrics/fastcache"

const (
	// admitted is how often an item must have wanted down lately to be let in once the warm tier is full.
	admitted = 2
	// admissionCounts is how many counters there are, and lately how many items each sees until all are halved.
	admissionCounts = 1 << 17
	lately          = 2
	// fullEvery is how often it is looked whether the tier is full.
	fullEvery = 256
)

// admission keeps what is asked for only once out of the warm tier, which forgets the oldest first, whatever it is worth:
// with uneven wishes half of what falls out of the hot tier is never wanted again, and would push out what is. It belongs to
// the one goroutine at a time that demotes.
type admission struct {
	counts [admissionCounts]uint8
	seen   int
	full   bool // the tier has begun to forget
}

// admit counts an item that wants down, and reports whether it may.
func (a *admission) admit(at slot, tier *fastcache.Cache) bool {
	if a.seen++; !a.full && a.seen%fullEvery == 0 {
		var st fastcache.Stats
		tier.UpdateStats(&st)
		a.full = st.EvictedBytes > 0
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
