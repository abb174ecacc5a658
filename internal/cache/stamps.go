package cache

import (
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
)

// stripeCount is how many stamps there are: two keys that share one cost each other a needless load now and then. 1 MB.
const stripeCount = 1 << 17

// stamps tell when what an entry depends on was last changed, by one clock of this process. An entry notes the clock before
// its source is asked, and is valid while nothing that it depends on has a later stamp: so an answer that is late, demoted
// or promoted after a change can never be taken for a newer one.
//
// The clock is moved last: whoever reads a time from it sees every stamp up to that time.
type stamps struct {
	mu      sync.Mutex // held by those who stamp
	clock   atomic.Uint64
	floor   atomic.Uint64 // everything older than this is invalid
	stripes [stripeCount]atomic.Uint64
}

// A stripe is the index of the stamp of one key or scope.
type stripe = uint32

func (s *stamps) now() uint64 { return s.clock.Load() }

// change gives stripes a new stamp. What changed must be visible to readers of the source already.
func (s *stamps) change(list ...stripe) {
	if len(list) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock.Load() + 1
	for _, i := range list {
		s.stripes[i].Store(t)
	}
	s.clock.Store(t)
}

// renew gives a stripe a new stamp and returns it, for an answer that was asked for at asOf and is now the only valid one: the
// answer is as good as asked for at that stamp, since nothing was changed in between. If something was, the answer stays as
// old as it was. The others get the same stamp in either case.
func (s *stamps) renew(asOf uint64, i stripe, others ...stripe) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock.Load() + 1
	if s.holds(asOf, i) {
		asOf = t
	}
	s.stripes[i].Store(t)
	for _, i := range others {
		s.stripes[i].Store(t)
	}
	s.clock.Store(t)
	return asOf
}

// changeAll invalidates every entry.
func (s *stamps) changeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock.Load() + 1
	s.floor.Store(t)
	s.clock.Store(t)
}

// holds reports whether what was asked for at asOf, and depends on one stripe, is still valid.
func (s *stamps) holds(asOf uint64, i stripe) bool {
	return asOf >= s.floor.Load() && s.stripes[i].Load() <= asOf
}

// valid reports whether what was asked for at asOf is still valid.
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

// stripeOf returns the stripe of a document.
func stripeOf(k knowledge.Key) stripe { return hash(string(k.Kind), k.ID, "") }

// scopeOf returns the stripe of a set of answers: what they are about, then what narrows it.
func scopeOf(what string, kind knowledge.Kind, narrow string) stripe {
	return hash(string(kind), what, narrow)
}

// hash returns a stripe for strings. It is the same in every process, since the stamps outlive one: they are kept with the
// warm tier.
func hash(a, b, c string) stripe {
	h := fnv(a, b, c)
	return stripe((h ^ h>>32) % stripeCount)
}

// fnv is FNV-1a over strings with borders between them.
func fnv(a, b, c string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{a, b, c} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}
