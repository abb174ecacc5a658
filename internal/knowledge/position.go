package knowledge

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A Position is a position in the log of one primary: which database it is, and how far its log was read. Two positions
// with the same seq and different chains belong to different histories.
type Position struct {
	System   string   // identifies the database cluster; "" when unknown
	Timeline int64    // of the PostgreSQL cluster: one more after each promotion; 0 when unknown
	Seq      Seq      // the last change that was seen, 0 for none
	Chain    [32]byte // its chain value
	At       Time     // when it was made
}

// markBytes is the length of the part of a chain value in a mark: enough to tell two histories apart.
const markBytes = 8

// A Mark is a position in a log for callers: the last change that they have seen, and the first bytes of its chain
// value, which detect another history. The zero mark is the start of the log.
type Mark struct {
	Seq   Seq
	Chain []byte // the first 8 to 32 bytes of the chain value; nil if unknown
}

// MarkAt returns the mark of a change, the zero mark for none.
func MarkAt(seq Seq, chain [32]byte) Mark {
	if seq == 0 {
		return Mark{}
	}
	return Mark{seq, chain[:markBytes]}
}

// String returns the text of the mark, as in "42-9f86d081884c7d65", without the chain if that is unknown.
func (m Mark) String() string { return string(m.Append(nil)) }

// Append appends what String returns.
func (m Mark) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(m.Seq), 10)
	if len(m.Chain) == 0 {
		return b
	}
	return hex.AppendEncode(append(b, '-'), m.Chain)
}

// ParseMark parses what String returns; a number alone is a mark too.
func ParseMark(text string) (Mark, error) {
	digits, chain, linked := strings.Cut(text, "-")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || strings.HasPrefix(digits, "+") {
		return Mark{}, fmt.Errorf("%q: want a position in the log, as in 42-9f86d081884c7d65, the seq of a change, "+
			"or 0 for the start", text)
	}
	m := Mark{Seq: Seq(n)}
	if !linked {
		return m, nil
	}
	m.Chain, err = hex.DecodeString(chain)
	if err != nil || len(m.Chain) < markBytes || len(m.Chain) > len(Position{}.Chain) {
		return Mark{}, fmt.Errorf("%q: want behind the hyphen the first %d to %d hex digits of the chain value at "+
			"the change", text, 2*markBytes, 2*len(Position{}.Chain))
	}
	if n == 0 {
		return Mark{}, fmt.Errorf("%q: the start of a log has no chain value", text)
	}
	return m, nil
}

// Fits reports whether the mark can belong to a log with this chain value at the mark's change.
func (m Mark) Fits(chain [32]byte) bool { return bytes.HasPrefix(chain[:], m.Chain) }
