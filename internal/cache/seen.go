package cache

import (
	"sync/atomic"

	"tenet/internal/knowledge"
)

// seen remembers, for each stripe, the newest version of its documents that this instance has shown or learnt of. It
// keeps readers from going back in time: the source may show a change before the feed has brought it, while another
// answer in memory still holds the version before.
type seen [stripeCount]atomic.Int64

// raise notes a version.
func (s *seen) raise(i stripe, version int64) {
	for {
		old := s[i].Load()
		if old >= version || s[i].CompareAndSwap(old, version) {
			return
		}
	}
}

// clear forgets all versions: those of another history can't be compared.
func (s *seen) clear() {
	for i := range s {
		s[i].Store(0)
	}
}

// noticed compares a loaded record with the newest version seen; asOf is the clock when its load began. Before a newer
// version is returned, noticed invalidates every cached answer that contains the document, including loads in flight.
// It returns the clock at which the record is valid.
func (m *memory) noticed(rec *knowledge.Record, dep stripe, asOf uint64) uint64 {
	old := m.seen[dep].Load()
	if rec.Version <= old || passing(rec) {
		return asOf
	}
	if old == 0 { // no version was shown, but a load may be in flight
		asOf = m.stamps.renew(asOf, dep)
	} else {
		asOf = m.stamps.renew(asOf, dep, m.touched(nil, rec.Key, rec, true)...)
	}
	m.seen.raise(dep, rec.Version)
	return asOf
}
