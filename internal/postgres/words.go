package postgres

import (
	"encoding/binary"

	"tenet/internal/knowledge"
)

// Bounds of a vector. The server computes one beyond them, which truncates the text.
const (
	maxPlace    = 16_383
	maxPlaces   = 255
	maxVector   = 900_000 // bytes
	weightTitle = 3 << 14 // the weight A, as the two upper bits of a position hold it; everything else has D
)

// vector encodes a vector for tsvectorrecv: the words in byte order, each with its positions.
func vector(e *knowledge.Entry) []byte {
	b := make([]byte, 4, 4+24*len(e.Postings))
	n := uint32(0)
	for i := range e.Postings {
		p := &e.Postings[i]
		if p.Term[0] == 2 { // filters use columns
			continue
		}
		n++
		b = append(append(b, p.Term...), 0)
		at := len(b)
		b = append(b, 0, 0)
		count := uint16(0)
		add := func(place, weight uint16) {
			b = binary.BigEndian.AppendUint16(b, place|weight)
			count++
		}
		if len(p.Places) == 0 && p.Where.InTitle() {
			add(1, weightTitle)
		}
		for _, place := range p.Places {
			switch {
			case place+1 > maxPlace || count == maxPlaces:
			case knowledge.PlaceInTitle(place):
				add(uint16(place+1), weightTitle)
			default:
				add(uint16(place+1), 0)
			}
		}
		binary.BigEndian.PutUint16(b[at:], count)
	}
	if len(b) > maxVector {
		return nil
	}
	binary.BigEndian.PutUint32(b, n)
	return b
}
