package cache

import (
	"sync/atomic"

	"tenet/internal/knowledge"
)

// stripeCount is how many stamps there are: two keys that share one cost each other a needless load now and then. 1 MB.
const stripeCount = 1 << 17

// stamps tell when what an entry depends on was last changed, by one clock of this process. An entry notes the clock before
// its source is asked, and is valid while nothing that it depends on has a later stamp: so an answer that is late, demoted
// or promoted after a change can never be taken for a newer one.
type stamps struct {
	clock   atomic.Uint64
	floor   atomic.Uint64 // everything older than this is invalid
	stripes [stripeCount]atomic.Uint64
}

// A stripe is the index of the stamp of one key or scope.
type stripe = uint32

func (s *stamps) now() uint64 { return s.clock.Load() }

// change stamps stripes with a new time.
func (s *stamps) change(list ...stripe) {
	t := s.clock.Add(1)
	for _, i := range list {
		raise(&s.stripes[i], t)
	}
}

// changeAll invalidates every entry.
func (s *stamps) changeAll() { raise(&s.floor, s.clock.Add(1)) }

// raise sets v to t unless it is later already: two changes may overtake each other between clock and stripe.
func raise(v *atomic.Uint64, t uint64) {
	for {
		old := v.Load()
		if old >= t || v.CompareAndSwap(old, t) {
			return
		}
	}
}

// valid reports whether what was asked for at asOf still holds.
func (s *stamps) valid(asOf uint64, list ...stripe) bool {
	if asOf < s.floor.Load() {
		return false
	}
	for _, i := range list {
		if s.stripes[i].Load() > asOf {
			return false
		}
	}
	return true
}

// ofKey returns the stripe of a document.
func (s *stamps) ofKey(k knowledge.Key) stripe {
	return hash2(string(k.Kind), k.ID)
}

// ofScope returns the stripe of a set of answers: what it is about, then what narrows it.
func (s *stamps) ofScope(what string, kind knowledge.Kind, narrow string) stripe {
	return hash2(what+"\x00"+string(kind), narrow)
}

// hash2 is FNV-1a over two strings with a border between them. It is the same in every process, since the stamps
// outlive one: they are kept with the warm tier.
func hash2(a, b string) stripe {
	h := uint64(14695981039346656037)
	for i := range len(a) {
		h = (h ^ uint64(a[i])) * 1099511628211
	}
	h = (h ^ 0xff) * 1099511628211
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * 1099511628211
	}
	return stripe((h ^ h>>32) % stripeCount)
}
