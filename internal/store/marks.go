package store

import (
	"context"
	"slices"
	"sync"
)

// Marks collects the confidential categories of the documents that an answer shows, so that a door can say so. The
// zero value is ready; it may be used by several goroutines.
type Marks struct {
	mu         sync.Mutex
	categories []string
}

// Add adds categories. A nil Marks takes none.
func (m *Marks) Add(categories ...string) {
	if m == nil || len(categories) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range categories {
		if at, found := slices.BinarySearch(m.categories, c); !found {
			m.categories = slices.Insert(m.categories, at, c)
		}
	}
}

// Categories returns the categories, sorted; nil if nothing confidential was shown.
func (m *Marks) Categories() []string {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.categories)
}

// MarksKey is the key of a *Marks in a context, for contexts that have one without [WithMarks].
type MarksKey struct{}

// WithMarks returns a context whose answers are marked, and the marks.
func WithMarks(ctx context.Context) (context.Context, *Marks) {
	m := &Marks{}
	return context.WithValue(ctx, MarksKey{}, m), m
}

// MarksOf returns the marks of a context; nil if nobody asks for them.
func MarksOf(ctx context.Context) *Marks {
	m, _ := ctx.Value(MarksKey{}).(*Marks)
	return m
}
