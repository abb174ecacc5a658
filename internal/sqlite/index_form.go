package sqlite

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"tenet/internal/knowledge"
)

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// A documentList holds the documents of a chunk that contain a term, in ascending order, each with where the term
// occurs in it. A document is a byte below 128, the distance from the one before, or two bytes, 0x8000 and its number
// within the chunk. The first one has two bytes, so that lists can be appended to each other.
type documentList []byte

// absolute marks the first of two bytes that are a number, and not a distance.
const absolute = 0x80

// append appends a document. The one before is -1 for the first of a list.
func (l documentList) append(before int, doc uint16, w knowledge.Where) documentList {
	if gap := int(doc) - before; before >= 0 && gap < absolute {
		return append(l, byte(gap), byte(w)) //nolint:gosec // below 128
	}
	return append(l, absolute|byte(doc>>8), byte(doc), byte(w)) //nolint:gosec // both halves are written
}

// next returns the first document of a list and the rest. Before is the document before.
func (l documentList) next(before uint16) (doc uint16, w knowledge.Where, rest documentList, ok bool) {
	switch {
	case len(l) >= 2 && l[0] < absolute:
		return (before + uint16(l[0])) & (chunkSize - 1), knowledge.Where(l[1]), l[2:], true
	case len(l) >= 3:
		return binary.BigEndian.Uint16(l) & (chunkSize - 1), knowledge.Where(l[2]), l[3:], true
	}
	return 0, 0, nil, false
}

// all returns the documents of a list, and where the term occurs in each.
func (l documentList) all() iter.Seq2[uint16, knowledge.Where] {
	return func(yield func(uint16, knowledge.Where) bool) {
		for doc, w, rest, ok := l.next(0); ok; doc, w, rest, ok = rest.next(doc) {
			if !yield(doc, w) {
				return
			}
		}
	}
}

// len returns the number of documents.
func (l documentList) len() (n int) {
	for {
		switch {
		case len(l) >= 2 && l[0] < absolute:
			l = l[2:]
		case len(l) >= 3:
			l = l[3:]
		default:
			return n
		}
		n++
	}
}

// A placeList holds the positions of a term in the documents of a list, in their order. A document with one position
// is twice that number; one with more, or with none, is twice the number of bytes that follow, plus one, and each
// position as its distance from the one before. A list of a term that has no positions in any document is empty.
type placeList []byte

// append appends the positions in the next document.
func (l placeList) append(places []uint32) placeList {
	if len(places) == 1 {
		return binary.AppendUvarint(l, uint64(places[0])<<1)
	}
	var room [512]byte
	own, last := room[:0], uint32(0)
	for _, p := range places {
		own = binary.AppendUvarint(own, uint64(p-last))
		last = p
	}
	return append(binary.AppendUvarint(l, uint64(len(own))<<1|1), own...)
}

// cut returns the positions in the first document, still encoded, and the rest.
func (l placeList) cut() (own, rest placeList) {
	n, size := binary.Uvarint(l)
	end := uint64(max(size, 0))
	if n&1 != 0 {
		end += n >> 1
	}
	if size <= 0 || end > uint64(len(l)) {
		return nil, nil
	}
	return l[:end], l[end:]
}

// decode decodes the positions in one document into room.
func (l placeList) decode(room []uint32) []uint32 {
	n, size := binary.Uvarint(l)
	if size <= 0 {
		return room
	}
	if n&1 == 0 {
		return append(room, uint32(n>>1)) //nolint:gosec // as it was written
	}
	last := uint64(0)
	for b := l[size:]; len(b) > 0; {
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
		b = placeList(append(b, byte(p.Where))).append(p.Places)
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
		var own, rest placeList
		own, rest = placeList(b[n+1:]).cut()
		p.Places, b = own.decode(nil), rest
		x.entry.Postings = append(x.entry.Postings, p)
	}
	return x, nil
}
