package live

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tenet/internal/knowledge"
)

// TestARingHoldsTheEndOfTheLog drives a ring with random changes, notices, resets and purges, and compares it with a
// list.
func TestARingHoldsTheEndOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRing(rapid.IntRange(1, 9).Draw(t, "size"), int64(rapid.IntRange(0, 2000).Draw(t, "bytes")))
		var all []*event
		high, begin := knowledge.Seq(0), 0
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				high += knowledge.Seq(rapid.IntRange(0, 5).Draw(t, "gap"))
				r.reset(high)
				begin = len(all)
				continue
			case 1, 2:
				all = append(all, modeEvent(&modeMessage{}, testTime))
			default:
				high++
				e := &event{seq: high, before: high - 1}
				e.full.set([]byte(strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "length"))))
				all = append(all, e)
			}
			r.add(all[len(all)-1])
		}
		checkRing(t, &r, all[begin:], high)
	})
}

func checkRing(t *rapid.T, r *ring, all []*event, high knowledge.Seq) {
	held := int(r.next - r.first)
	if r.high != high || held > len(r.events) || held > len(all) || held == 0 && len(all) > 0 {
		t.Fatalf("the ring ends at %d and holds %d of %d events, want an end at %d", r.high, held, len(all), high)
	}
	bytes := int64(0)
	for i := r.first; i < r.next; i++ {
		if e := *r.at(i); e != all[len(all)-held+int(i-r.first)] {
			t.Fatalf("event %d of %d is not the one that was added", i-r.first, held)
		}
		bytes += int64(len((*r.at(i)).full.frame))
	}
	if bytes != r.bytes || bytes > r.maxBytes && held > 1 {
		t.Fatalf("the ring holds %d bytes, says %d, and may hold %d", bytes, r.bytes, r.maxBytes)
	}
	for after := r.low; after <= high+1; after++ {
		var want, got []knowledge.Seq
		for seq := after + 1; seq <= high; seq++ {
			want = append(want, seq)
		}
		for i := r.find(after); i < r.next; i++ {
			if e := *r.at(i); e.seq > after {
				got = append(got, e.seq)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("after %d the ring has %v, want %v (low %d, high %d)", after, got, want, r.low, high)
		}
	}
}
