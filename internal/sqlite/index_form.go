package sqlite

import (
	"encoding/binary"
	"fmt"
	"math"

	"tenet/internal/knowledge"
)

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// appendPlaces appends the positions of a term in one document: the number of bytes, then each position as the distance
// from the one before.
func appendPlaces(b []byte, places []uint32) []byte {
	var room [512]byte
	own, last := room[:0], uint32(0)
	for _, p := range places {
		own = binary.AppendUvarint(own, uint64(p-last))
		last = p
	}
	return appendOwn(b, own)
}

// appendOwn appends positions that are encoded already.
func appendOwn(b, own []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(own))), own...)
}

// cutPlaces returns the bytes of the positions in the first document, and the rest.
func cutPlaces(b []byte) (own, rest []byte) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) { //nolint:gosec // not negative
		return nil, nil
	}
	return b[size : size+int(n)], b[size+int(n):] //nolint:gosec // within b
}

// placesOf decodes positions into room.
func placesOf(b []byte, room []uint32) []uint32 {
	last := uint64(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			break
		}
		last += d
		room, b = append(room, uint32(last)), b[n:] //nolint:gosec // as it was written
	}
	return room
}

// shape encodes what ranking needs of a document.
func (x *indexed) shape() []byte {
	words := min(int(math.Round(16*math.Log2(1+float64(x.entry.Words)))), 255)
	return []byte{
		byte(min(x.entry.Title, 255)), byte(words), byte(x.rank >> 16), byte(x.rank >> 8), byte(x.rank), //nolint:gosec // cut on purpose
	}
}

// shapeAt decodes what shape wrote.
func shapeAt(shapes []byte, at int) (s knowledge.Shape, rank int64) {
	b := shapes[at*shapeEntry : at*shapeEntry+shapeEntry]
	return knowledge.Shape{Title: int(b[0]), Words: wordCounts[b[1]]}, int64(b[2])<<16 | int64(b[3])<<8 | int64(b[4])
}

// wordCounts are the numbers of words that shape writes.
//
//nolint:gochecknoglobals // a table
var wordCounts = func() (counts [256]int) {
	for i := range counts {
		counts[i] = int(math.Exp2(float64(i)/16) - 1)
	}
	return counts
}()

// encode returns the entry of a document that waits to enter the lists.
func (x *indexed) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(x.entry.Title)) //nolint:gosec // not negative
	b = binary.AppendUvarint(b, uint64(x.entry.Words))    //nolint:gosec // not negative
	b = binary.AppendUvarint(b, uint64(x.rank))           //nolint:gosec // not negative
	for i := range x.entry.Postings {
		p := &x.entry.Postings[i]
		b = append(binary.AppendUvarint(b, uint64(len(p.Term))), p.Term...)
		b = appendPlaces(append(b, byte(p.Where)), p.Places)
	}
	return b
}

func decodeIndexed(b []byte) (*indexed, error) {
	x := &indexed{entry: &knowledge.Entry{}}
	number := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > math.MaxInt32 {
			b = nil
			return 0
		}
		b = b[size:]
		return int(n)
	}
	x.entry.Title, x.entry.Words, x.rank = number(), number(), int64(number())
	for len(b) > 0 {
		n := number()
		if n >= len(b) {
			return nil, fmt.Errorf("decode an entry of search: %w", errDamaged)
		}
		p := knowledge.Posting{Term: string(b[:n]), Where: knowledge.Where(b[n])}
		var own []byte
		own, b = cutPlaces(b[n+1:])
		p.Places = placesOf(own, nil)
		x.entry.Postings = append(x.entry.Postings, p)
	}
	return x, nil
}
