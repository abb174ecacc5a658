package postgres

import (
	"encoding/binary"
	"slices"

	"tenet/internal/knowledge"
)

// maxVector is the length, in bytes, of the longest vector. The server computes a longer one, and truncates the text.
const maxVector = 900_000

// Marks that are words of vectors.
const (
	// titleMark begins the words of a title, which are also there without it. Alone it tells that a program of form 5
	// has made the vector, which lacks names with a sign in them such as n+1.
	titleMark = "\x04"
	// formMark tells that the program of today has made the vector. A program of form 5 takes it for one before its
	// time, whose words it has. One of the server has neither mark, but positions, and gives those in the title the
	// weight A.
	formMark = "\x05"
)

// vector encodes a vector for tsvectorrecv: the words in byte order, without positions. Of a word that is not its own
// English stem it holds the stem alone, without its mark, as the server's own vectors do.
func vector(e *knowledge.Entry) []byte {
	words := make([]string, 1, len(e.Postings)+16)
	words[0] = formMark
	for i := range e.Postings {
		p := &e.Postings[i]
		if len(p.Places) == 0 { // filters use columns, and other words without positions have a stem
			continue
		}
		word := p.Term
		if stem := knowledge.BareStem(word); stem != "" {
			word = stem
		}
		if words = append(words, word); p.Where.InTitle() {
			words = append(words, titleMark+word)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	b := make([]byte, 4, 4+12*len(words))
	binary.BigEndian.PutUint32(b, uint32(len(words))) //nolint:gosec // a document is smaller
	for _, word := range words {
		b = append(append(b, word...), 0, 0, 0) // its end, and the number of its positions
	}
	if len(b) > maxVector {
		return nil
	}
	return b
}
