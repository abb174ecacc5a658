package knowledge

import (
	"slices"
	"sync/atomic"
)

// A Memo caches what doors make of a page or of hits, so that a cached answer is encoded once. All callers with the same answer share it.
// Each door keeps a value of a type of its own. A nil memo caches nothing.
type Memo struct{ made atomic.Pointer[[]any] }

// Memoized returns the value of type T that a memo holds, and makes it when there is none yet. Two callers may both make it at first; one of
// the values is kept.
func Memoized[T any](m *Memo, build func() *T) *T {
	if m == nil {
		return build()
	}
	var v *T
	for {
		before := m.made.Load()
		if before != nil {
			for _, one := range *before {
				if kept, ok := one.(*T); ok {
					return kept
				}
			}
		}
		if v == nil {
			v = build()
		}
		after := []any{v}
		if before != nil {
			after = append(slices.Clone(*before), v)
		}
		if m.made.CompareAndSwap(before, &after) {
			return v
		}
	}
}
