package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"weak"
)

// heapGoal is how large the heap may become before the next collection.
func heapGoal() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestASmallHeapHasRoomToGrowAndALargeOneNoMoreThanUsual(t *testing.T) {
	const room = 512 << 20
	b := &ballast{size: room / 2}
	goal := func(live uint64) uint64 {
		b.fit(live)
		runtime.GC()
		return heapGoal()
	}
	// What other tests have left in memory counts in both.
	runtime.GC()
	bare := heapGoal()
	kept, gone := bare+room*3/4, bare+room/4
	if got := goal(1 << 20); got < kept {
		t.Errorf("little lives: the heap is collected at %d MB, want %d at least", got>>20, kept>>20)
	}
	if got := goal(2*b.size + 1); got > gone {
		t.Errorf("much lives: the heap is collected at %d MB, want the ballast to be gone", got>>20)
	}
	if got := goal(b.size); got > gone {
		t.Errorf("not so little lives: the heap is collected at %d MB, want the ballast to stay away", got>>20)
	}
	if got := goal(b.size/2 - 1); got < kept {
		t.Errorf("little lives again: the heap is collected at %d MB, want %d at least", got>>20, kept>>20)
	}
	runtime.KeepAlive(b)
}

func TestTheBallastHearsOfCollections(t *testing.T) {
	b := keepHeapRoom(8 << 10)
	defer b.end()
	block := weak.Make(&b.block[0])
	for block.Value() != nil { // much more than that lives, so it must go
		runtime.GC()
	}
	runtime.KeepAlive(b)
}
