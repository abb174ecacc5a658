package main

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

// heapRoom is about what the Go heap may grow by before anything of it is collected. A server whose documents fill a
// few megabytes would otherwise mark them thirty times a second under load, for the sake of a few megabytes.
const heapRoom = 64 << 20

// A ballast is a block of memory that is never touched, and so takes none. It makes a small heap look larger, which
// then grows by as much before it is collected. A large heap has room enough, and goes without. To change the
// percentage by which the heap grows would need no ballast, but nobody learns of a collection in time: while much comes
// to live at once, a percentage that was right for little has let the heap grow far beyond what it should.
type ballast struct {
	size uint64
	live []metrics.Sample

	mu    sync.Mutex // guards the fields below
	block []byte
	ended bool
}

// keepHeapRoom lets a small heap grow by about room between two collections, until end.
func keepHeapRoom(room uint64) *ballast {
	b := &ballast{size: room / 2, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	b.block = make([]byte, b.size)
	b.watch()
	return b
}

// watch calls adapt after the next collection.
func (b *ballast) watch() { runtime.AddCleanup(&struct{ _ [64]byte }{}, (*ballast).adapt, b) }

// adapt is called after each collection.
func (b *ballast) adapt() {
	metrics.Read(b.live)
	if b.fit(b.live[0].Value.Uint64()) {
		b.watch()
	}
}

// end drops the block for good.
func (b *ballast) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.block, b.ended = nil, true
}

// fit drops the block when what lives beside it is as much, and takes one again when that has become little. It returns
// false after the end.
func (b *ballast) fit(live uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
	case b.block != nil && live > 2*b.size:
		b.block = nil
	case b.block == nil && live < b.size/2:
		b.block = make([]byte, b.size)
	}
	return !b.ended
}
