package cache

import (
	"sync/atomic"

	"tenet/internal/knowledge"
)

// seen remembers, for each stripe, the newest version of its documents that this instance has shown to anybody or was told of.
// It lets no reader go back in time: the source may show a change before the feed has told of it, while another answer in
// memory still holds the version before.
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

// clear forgets everything: versions of another history can't be compared.
func (s *seen) clear() {
	for i := range s {
		s[i].Store(0)
	}
}

// noticed compares a record that the source was asked for at asOf with what was seen. Before news is shown every other answer
// that holds the document, or ought to from now on, is made invalid, also one that is still on its way. It returns the time as
// of which the record holds.
func (s *Store) noticed(rec *knowledge.Record, dep stripe, asOf uint64) uint64 {
	old := s.seen[dep].Load()
	if rec.Version <= old || passing(rec) {
		return asOf
	}
	if old == 0 { // nobody was shown anything, but a load may be under way
		asOf = s.stamps.renew(asOf, dep)
	} else {
		asOf = s.stamps.renew(asOf, dep, s.touched(nil, rec.Key, rec, true)...)
	}
	s.seen.raise(dep, rec.Version)
	return asOf
}
