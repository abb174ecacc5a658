package knowledge

import (
	"slices"
	"sync/atomic"
)

// A Memo caches the encoding of a page or of hits, so that all callers with the same answer share it. Each door stores
// a value of its own type. A nil memo caches nothing.
type Memo struct{ made atomic.Pointer[[]any] }

// Memoized returns the memo's value of type T, and builds it if there is none. Two concurrent callers may both build
// it; one of the values is kept.
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
