package httpapi

import (
	"strconv"
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

// ready returns a view, "" for the usual one, and builds it if it is not there yet.
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

// A ready answer is a page or hits as they are sent. It is made once and lives as long as they stay in memory.
type ready struct {
	body   []byte
	tag    string
	length string
	link   string // to the next page
	packed [codingCount]atomic.Pointer[packed]
}

// packed is a ready answer in one of the codings, made when a caller first accepts it.
type packed struct {
	body        []byte
	tag, length string
}

func newReady(body []byte, tag string) *ready {
	return &ready{body: body, tag: tag, length: strconv.Itoa(len(body))}
}

// in returns the answer in a coding.
func (a *ready) in(z *compressor, k coding) *packed {
	if p := a.packed[k].Load(); p != nil {
		return p
	}
	body := z.pack(k, a.body, nil)
	p := &packed{body: body, tag: k.tag(a.tag), length: strconv.Itoa(len(body))}
	a.packed[k].Store(p) // two at once make the same
	return p
}
