package sqlite

import (
	"database/sql"
	"encoding/binary"
	"slices"
	"sync"

	"tenet/internal/knowledge"
)

// A bench is the buffer in which a chunk is scored, with an element for each of its documents.
type bench struct {
	sum, own    [chunkSize]float32 // own is the score of the current slot
	mask, title [chunkSize]uint64
	touched     []uint16
}

//nolint:gochecknoglobals // room that is used again and again
var benches = sync.Pool{New: func() any { return new(bench) }}

// scan scores every document that contains a word of the query.
func (l *look) scan() error {
	b := benches.Get().(*bench) //nolint:forcetypeassert // nothing else is in the pool
	defer benches.Put(b)
	byChunk := map[int64]map[string][]byte{}
	for i := range l.lists {
		n := &l.lists[i]
		if byChunk[n.chunk] == nil {
			byChunk[n.chunk] = map[string][]byte{}
		}
		byChunk[n.chunk][n.term] = n.documents
	}
	for _, chunk := range l.chunks {
		if byChunk[chunk] == nil {
			continue
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if err := l.scanChunk(b, chunk, byChunk[chunk]); err != nil {
			return err
		}
	}
	for i, x := range l.entries {
		mask, title, sum := l.scorer.Look(x.entry)
		if !l.scorer.Accepts(mask) {
			continue
		}
		sh := knowledge.Shape{Title: x.entry.Title, Words: x.entry.Words}
		l.hitEntries = append(l.hitEntries, x)
		l.add(knowledge.Found{
			At: l.numbers[i], Score: l.scorer.Final(sum, mask, title, sh), Mask: mask, Title: title,
			Shape: sh, Rank: x.rank,
		})
	}
	return nil
}

func (l *look) scanChunk(b *bench, chunk int64, lists map[string][]byte) error {
	var shapes, gone []byte
	err := l.query(l.ctx, "search.shapes", "SELECT c.shapes, g.bits FROM search_chunks c LEFT JOIN search_gone g ON "+
		"g.chunk = c.chunk WHERE c.chunk = ?",
		[]any{chunk}, func(r *sql.Rows) error { return r.Scan(&shapes, &gone) })
	if err != nil {
		return err
	}
	for i := range l.question.Slots {
		if l.scorer.Common&(1<<i) != 0 {
			continue
		}
		for k, words := range l.question.Slots[i].Spellings() {
			if err := l.scanSpelling(b, chunk, spelling{i, words, k - 1}, lists, shapes); err != nil {
				return err
			}
		}
	}
	for _, at := range b.touched {
		mask, title, sum := b.mask[at], b.title[at], b.sum[at]
		b.mask[at], b.title[at], b.sum[at], b.own[at] = 0, 0, 0, 0
		if len(gone) > 0 && gone[at/8]&(1<<(at%8)) != 0 || !l.scorer.Accepts(mask) {
			continue
		}
		sh, rank := shapeAt(shapes, int(at))
		if l.q.Facets {
			l.noteHit(chunk, at)
		}
		l.add(knowledge.Found{
			At: chunk<<chunkBits | int64(at), Score: l.scorer.Final(sum, mask, title, sh),
			Mask: mask, Title: title, Shape: sh, Rank: rank,
		})
	}
	b.touched = b.touched[:0]
	return nil
}

// A spelling is what stands for a slot: its own words, or those of an alternative.
type spelling struct {
	slot        int
	words       [][]string
	alternative int // -1 for its own words
}

func (l *look) scanSpelling(b *bench, chunk int64, s spelling, lists map[string][]byte, shapes []byte) error {
	if len(s.words) > 1 {
		return l.scanPhrase(b, chunk, s, lists, shapes)
	}
	l.scanWord(b, s, lists, shapes)
	return nil
}

// part is the score of a spelling.
func (l *look) part(s spelling, w knowledge.Where, sh knowledge.Shape, exact bool) float32 {
	if s.alternative >= 0 {
		return l.scorer.AlsoPart(s.slot, s.alternative, w, sh)
	}
	return l.scorer.Part(s.slot, w, sh, exact)
}

// scanWord scores the documents that contain a word.
func (l *look) scanWord(b *bench, s spelling, lists map[string][]byte, shapes []byte) {
	title, bit := l.question.Slots[s.slot].Title, uint64(1)<<s.slot
	for k, term := range s.words[0] {
		for d := lists[term]; len(d) >= listEntry; d = d[listEntry:] {
			at, w := binary.BigEndian.Uint16(d)&(chunkSize-1), knowledge.Where(d[2])
			if title && !w.InTitle() {
				continue
			}
			sh, _ := shapeAt(shapes, int(at))
			b.score(at, bit, w.InTitle(), l.part(s, w, sh, k == 0))
		}
	}
}

// score adds the score of a slot to a document. If several terms stand for the slot, the best one counts.
func (b *bench) score(at uint16, bit uint64, title bool, part float32) {
	switch {
	case b.mask[at] == 0:
		b.touched = append(b.touched, at)
		fallthrough
	case b.mask[at]&bit == 0:
		b.mask[at] |= bit
		b.sum[at] += part
		b.own[at] = part
	case part > b.own[at]:
		b.sum[at] += part - b.own[at]
		b.own[at] = part
	}
	if title {
		b.title[at] |= bit
	}
}

// placesQuery reads the positions of terms in the documents of a chunk.
const placesQuery = "SELECT w.term, w.documents, w.places FROM json_each(?) t CROSS JOIN search_words w ON w.chunk " +
	"= ? AND w.term = t.value"

// scanPhrase scores the documents in which the words of a phrase are adjacent.
func (l *look) scanPhrase(b *bench, chunk int64, s spelling, lists map[string][]byte, shapes []byte) error {
	title, bit := l.question.Slots[s.slot].Title, uint64(1)<<s.slot
	for _, terms := range s.words {
		if !slices.ContainsFunc(terms, func(t string) bool { return lists[t] != nil }) {
			return nil
		}
	}
	var at map[uint16][]uint32
	where := map[uint16]knowledge.Where{}
	for _, terms := range s.words {
		next := make(map[uint16][]uint32, len(at))
		err := l.query(l.ctx, "search.places", placesQuery, []any{asJSON(terms), chunk}, func(r *sql.Rows) error {
			var term string
			var documents, places sql.RawBytes
			if err := r.Scan(&term, &documents, &places); err != nil {
				return err
			}
			eachPlaces(documents, places, func(doc uint16, w knowledge.Where, own []byte) {
				before := at[doc]
				if at != nil && before == nil || len(own) == 0 {
					return
				}
				where[doc] |= w
				for _, p := range placesOf(own, nil) {
					if at == nil || follows(before, p) {
						next[doc] = append(next[doc], p)
					}
				}
			})
			return nil
		})
		if err != nil {
			return err
		}
		for doc := range next {
			slices.Sort(next[doc])
		}
		at = next
	}
	for doc, places := range at {
		inTitle := knowledge.PlaceInTitle(places[0])
		if title && !inTitle {
			continue
		}
		sh, _ := shapeAt(shapes, int(doc))
		b.score(doc, bit, inTitle, l.part(s, where[doc].Only(inTitle), sh, false))
	}
	return nil
}

func follows(list []uint32, place uint32) bool {
	_, ok := slices.BinarySearch(list, place-1)
	return ok
}

// eachPlaces calls fn for each document of a list.
func eachPlaces(documents, places []byte, fn func(doc uint16, w knowledge.Where, own []byte)) {
	for ; len(documents) >= listEntry; documents = documents[listEntry:] {
		var own []byte
		own, places = cutPlaces(places)
		fn(binary.BigEndian.Uint16(documents)&(chunkSize-1), knowledge.Where(documents[2]), own)
	}
}
