package guidance

import "math/bits"

// A bitset is a set of ordinals.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int32)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) clear(i int32)    { b[i>>6] &^= 1 << (i & 63) }
func (b bitset) has(i int32) bool { return b[i>>6]&(1<<(i&63)) != 0 }

func (b bitset) or(other bitset) {
	for i, w := range other {
		b[i] |= w
	}
}

func (b bitset) andNot(other bitset) {
	for i, w := range other {
		b[i] &^= w
	}
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// next returns the first ordinal in the set from i up to end, or -1 if there is none.
func (b bitset) next(i, end int32) int32 {
	for i < end {
		w := b[i>>6] >> (i & 63)
		if w != 0 {
			if i += int32(bits.TrailingZeros64(w)); i < end { //nolint:gosec // at most 63
				return i
			}
			return -1
		}
		i = (i | 63) + 1
	}
	return -1
}
