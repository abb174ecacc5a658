package httpapi

import (
	"sync"
	"sync/atomic"

	"tenet/internal/knowledge"
)

// views are the ways in which the documents of one answer were sent. They live as long as the answer stays in memory.
type views struct {
	usual atomic.Pointer[ready] // what most callers ask for, without a lock
	mu    sync.Mutex            // guards other
	other map[string]*ready
}

// maxViews bounds the other views that are kept of one answer.
const maxViews = 4

// viewsOf returns the views that are kept with an answer.
func viewsOf(memo *knowledge.Memo) *views {
	return knowledge.Memoized(memo, func() *views { return new(views) })
}

// ready returns a view, "" for the usual one, and makes it where nobody has asked for it yet.
func (v *views) ready(name string, build func() (*ready, error)) (*ready, error) {
	if name == "" {
		if a := v.usual.Load(); a != nil {
			return a, nil
		}
		a, err := build()
		if err == nil {
			v.usual.Store(a)
		}
		return a, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if a := v.other[name]; a != nil {
		return a, nil
	}
	a, err := build()
	if err != nil {
		return nil, err
	}
	if v.other == nil {
		v.other = map[string]*ready{}
	}
	if len(v.other) < maxViews {
		v.other[name] = a
	}
	return a, nil
}

// linked adds to an answer where the next page is; "" for the last one.
func linked(c *call, a *ready, next string) *ready {
	if next != "" {
		a.link = "<" + nextURL(c.r.URL, next) + `>; rel="next"`
	}
	return a
}
