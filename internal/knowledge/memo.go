package knowledge

import "sync/atomic"

// A Memo keeps what a door has made of a page or of hits, so that an answer which stays in memory is encoded once. It is shared
// by everybody who got the same answer. A nil memo keeps nothing.
type Memo struct{ made atomic.Value }

// Load returns what was kept, nil for nothing.
func (m *Memo) Load() any {
	if m == nil {
		return nil
	}
	return m.made.Load()
}

// Store keeps what a door has made, always a value of the same type. Two callers at the first moment may both make it; one of
// the results is kept.
func (m *Memo) Store(made any) {
	if m != nil {
		m.made.Store(made)
	}
}
