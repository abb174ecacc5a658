package upkeep

import "sync/atomic"

// A Progress counts how far a run is. Its methods may be called from any goroutine.
type Progress struct{ done, total atomic.Int64 }

// Set sets how many of total are done; total is 0 if unknown.
func (p *Progress) Set(done, total int64) {
	p.total.Store(total)
	p.done.Store(done)
}

// Add adds n to the number done.
func (p *Progress) Add(n int64) { p.done.Add(n) }

func (p *Progress) load() (done, total int64) { return p.done.Load(), p.total.Load() }
