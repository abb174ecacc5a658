package cache

import (
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
)

// stripeCount is the number of stamps, 1 MB. Two keys that share a stamp cause each other a needless load now and then.
const stripeCount = 1 << 17

// stamps hold the clock of the last change for each key and scope, by one logical clock of this process. An entry notes
// the clock before its source is asked, and is valid while nothing it depends on has a later stamp. So an answer that
// arrives late, or is demoted or promoted after a change, never passes for a newer one.
//
// The clock moves last: a reader of the clock sees every stamp up to it.
type stamps struct {
	mu      sync.Mutex // held while stamping
	clock   atomic.Uint64
	floor   atomic.Uint64 // everything older is invalid
	stripes [stripeCount]atomic.Uint64
}

// A stripe is the index of the stamp of one key or scope.
type stripe = uint32

func (s *stamps) now() uint64 { return s.clock.Load() }

// change stamps stripes. Readers of the source must already see the change.
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

// renew stamps a stripe and returns the stamp, for an answer loaded at asOf that is now the only valid one. If nothing
// changed since asOf, the answer is as good as loaded now; otherwise it keeps its old clock. The other stripes get the
// same stamp in either case.
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

// holds reports whether an answer loaded at asOf is valid, if it depends on one stripe.
func (s *stamps) holds(asOf uint64, i stripe) bool {
	return asOf >= s.floor.Load() && s.stripes[i].Load() <= asOf
}

// valid reports whether an answer loaded at asOf is valid, if it depends on a list of stripes.
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

// scopeOf returns the stripe of a scope: its name, its kind, and what narrows it.
func scopeOf(what string, kind knowledge.Kind, narrow string) stripe {
	return hash(string(kind), what, narrow)
}

// hash returns the stripe of some strings. It is the same in every process, because the stamps are saved with the warm
// tier.
func hash(a, b, c string) stripe {
	h := fnv(a, b, c)
	return stripe((h ^ h>>32) % stripeCount)
}

// fnv is FNV-1a over strings, with separators between them.
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
