package postgres

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"tenet/internal/knowledge"
)

// A vocabulary remembers of what stems the server takes a word to be. With it the program makes the vectors of a large batch by
// itself: the server would cut and stem each word as often as it stands in a text, which is half of the work of an import.
// What the vectors are is still the server's decision alone, see tenet_words.
type vocabulary struct {
	mu    sync.Mutex // guards known
	known map[string][]string
}

const (
	vocabularySize = 50_000 // words; when there are more, all are forgotten
	fewDocuments   = 20     // that a batch must have for its words to be worth a round trip
	longWord       = 255    // bytes; the server makes the vector of a document with a longer one
	// What tenet_vector looks at, in characters: of a document that is longer in bytes the server makes the vector.
	longTags, longLead, longBody = 8000, 80_000, 140_000
	// A vector holds more positions than these, but their bounds are not worth being imitated.
	maxPositions, maxPlaces = 16_000, 250
)

// weights of the four parts of a text, as the two upper bits of a position hold them: A to D.
const weightA, weightB, weightC, weightD = 3 << 14, 2 << 14, 1 << 14, 0

// vectors returns the documents' search vectors in the server's binary form, nil for each that the server makes itself.
func (v *vocabulary) vectors(ctx context.Context, docs []knowledge.Document, ask func(context.Context, []string) ([][]string, error)) ([][]byte, error) {
	texts := make([]*[4][]string, len(docs))
	searched := 0
	missing := map[string]bool{}
	v.mu.Lock()
	known := v.known
	v.mu.Unlock()
	for i, d := range docs {
		if d == nil || !d.Active() || !slices.Contains(knowledge.SearchKinds(), d.Key().Kind) {
			continue
		}
		if texts[i] = parts(d.Text()); texts[i] == nil {
			continue
		}
		searched++
		for _, part := range texts[i] {
			for _, w := range part {
				if _, ok := known[w]; !ok {
					missing[w] = true
				}
			}
		}
	}
	if searched < fewDocuments {
		return nil, nil
	}
	if len(missing) > 0 {
		words := slices.Collect(maps.Keys(missing))
		stems, err := ask(ctx, words)
		if err != nil {
			return nil, err
		}
		known = v.learn(known, words, stems)
	}
	list := make([][]byte, len(docs))
	w := vectorWriter{known: known, at: make(map[string]int, 256)}
	for i, text := range texts {
		if text != nil {
			list[i] = w.vector(text)
		}
	}
	return list, nil
}

// learn returns what was known together with what is new, and remembers it. A map that others read is never written.
func (v *vocabulary) learn(known map[string][]string, words []string, stems [][]string) map[string][]string {
	all := make(map[string][]string, len(known)+len(words))
	maps.Copy(all, known)
	for i, w := range words {
		all[w] = stems[i]
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known = all; len(all) > vocabularySize {
		v.known = nil
	}
	return all
}

// parts cuts a text into words as the server does at the least; nil when it is too long.
func parts(t knowledge.Text) *[4][]string {
	tags := strings.Join(t.Tags, " ")
	if len(tags) > longTags || len(t.Lead) > longLead || len(t.Body) > longBody {
		return nil
	}
	var out [4][]string
	n := 0
	for i, text := range []string{t.Title, tags, t.Lead, t.Body} {
		out[i] = strings.FieldsFunc(text, separates)
		for j, w := range out[i] {
			if len(w) > longWord {
				return nil
			}
			out[i][j] = lower(w)
		}
		n += len(out[i])
	}
	if n > maxPositions {
		return nil
	}
	return &out
}

// separates reports whether a character ends a word for certain: everything of ASCII but letters, digits and the underscore.
// About the rest the server is asked.
func separates(r rune) bool {
	return r < 0x80 && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// lower puts a word of ASCII in lower case; any other is for the server, which knows no case either.
func lower(w string) string {
	for i := range len(w) {
		if w[i] >= 0x80 {
			return w
		}
	}
	return strings.ToLower(w)
}

// A writer of vectors, with what it uses again for the next.
type vectorWriter struct {
	known  map[string][]string
	at     map[string]int // the stem's place in stems
	stems  []placed
	tokens []token
}

// A placed is a stem with the number of its places.
type placed struct {
	stem   string
	places []uint16
	n      int
}

type token struct {
	stem  int
	place uint16
}

// vector writes a vector as tsvectorrecv reads it: the stems in the order of their bytes, each with its places. It is nil when
// the vector would come near one of the type's bounds.
func (w *vectorWriter) vector(text *[4][]string) []byte {
	clear(w.at)
	w.stems, w.tokens = w.stems[:0], w.tokens[:0]
	for i, weight := range [4]uint16{weightA, weightB, weightC, weightD} {
		for _, word := range text[i] {
			for _, stem := range w.known[word] {
				n, ok := w.at[stem]
				if !ok {
					n = len(w.stems)
					w.at[stem] = n
					w.stems = append(w.stems, placed{stem: stem})
				}
				if w.stems[n].n++; w.stems[n].n > maxPlaces || len(w.tokens) == maxPositions {
					return nil
				}
				w.tokens = append(w.tokens, token{n, weight | uint16(len(w.tokens)+1)}) //nolint:gosec // bounded above
			}
		}
	}
	all, size := make([]uint16, len(w.tokens)), 4+2*len(w.tokens)
	for i := range w.stems {
		s := &w.stems[i]
		s.places, all = all[:0:s.n], all[s.n:]
		size += len(s.stem) + 3
	}
	for _, t := range w.tokens {
		w.stems[t.stem].places = append(w.stems[t.stem].places, t.place)
	}
	slices.SortFunc(w.stems, func(a, b placed) int { return strings.Compare(a.stem, b.stem) })
	b := binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(len(w.stems))) //nolint:gosec // bounded above
	for _, s := range w.stems {
		b = append(append(b, s.stem...), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(s.n)) //nolint:gosec // bounded above
		for _, p := range s.places {
			b = binary.BigEndian.AppendUint16(b, p)
		}
	}
	return b
}

// tsvectorOID is the type of the elements of vectorArray.
const tsvectorOID, tsvectorArrayOID = 3614, 3643

// vectorArray writes vectors as an array parameter in binary; nil for none.
func vectorArray(list [][]byte) []byte {
	if list == nil {
		return nil
	}
	b := make([]byte, 0, 20)
	b = binary.BigEndian.AppendUint32(b, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 1) // there are nulls
	b = binary.BigEndian.AppendUint32(b, tsvectorOID)
	b = binary.BigEndian.AppendUint32(b, uint32(len(list))) //nolint:gosec // at most as many as ops
	b = binary.BigEndian.AppendUint32(b, 1)                 // the first index
	for _, v := range list {
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 0xffffffff)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...) //nolint:gosec // a few hundred KB
	}
	return b
}

// stems asks the server of what stems words are made.
func (s *Store) stems(ctx context.Context, words []string) ([][]string, error) {
	list := make([][]string, len(words))
	err := s.query(ctx, "words", "SELECT n, stems FROM tenet_words($1)", []any{words}, func(r pgx.Rows) error {
		var n int64
		var stems []string
		if err := r.Scan(&n, &stems); err != nil {
			return err
		}
		list[n-1] = stems
		return nil
	})
	return list, err
}
