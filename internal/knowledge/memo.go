package knowledge

import "sync/atomic"

// A Memo keeps the bytes that a door made of a page or of hits, so that an answer which stays in memory is encoded once. It is
// shared by everybody who got the same answer.
type Memo struct{ bytes atomic.Pointer[[]byte] }

// Bytes returns what encode made the first time. A nil memo encodes every time. Two callers at the first moment may both
// encode; one of the results is kept.
func (m *Memo) Bytes(encode func() []byte) []byte {
	if m == nil {
		return encode()
	}
	if b := m.bytes.Load(); b != nil {
		return *b
	}
	b := encode()
	m.bytes.Store(&b)
	return b
}
