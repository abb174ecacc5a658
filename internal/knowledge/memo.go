package knowledge

import "sync/atomic"

// A Memo caches a door's encoding of a page or of hits, so that a cached answer is encoded once. All callers with the
// same answer share it. A nil memo caches nothing.
type Memo struct{ made atomic.Value }

// Load returns the cached value, or nil.
func (m *Memo) Load() any {
	if m == nil {
		return nil
	}
	return m.made.Load()
}

// Store caches a value, always of the same type. Two callers may both make it at first; one of the results is kept.
func (m *Memo) Store(made any) {
	if m != nil {
		m.made.Store(made)
	}
}
