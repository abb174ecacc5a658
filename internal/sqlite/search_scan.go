package sqlite

import (
	"database/sql"
	"sync"

	"tenet/internal/knowledge"
)

// A bench is the buffer in which a chunk is scored, with an element for each of its documents.
type bench struct {
	sum, own     [chunkSize]float32 // own is the score of the current slot
	mask, title  [chunkSize]uint64
	where        [chunkSize]knowledge.Where // of the words of a beginning
	touched      []uint16
	some         []uint16 // those that have a beginning
	before, next []uint32 // positions in a document
}

//nolint:gochecknoglobals // room that is used again and again
var benches = sync.Pool{New: func() any { return new(bench) }}

// scan scores every document that contains a word of the query.
func (l *look) scan() error {
	b := benches.Get().(*bench) // nothing else is in the pool
	defer benches.Put(b)
	byChunk := map[int64]map[string]documentList{}
	for i := range l.lists {
		n := &l.lists[i]
		if byChunk[n.chunk] == nil {
			byChunk[n.chunk] = map[string]documentList{}
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

func (l *look) scanChunk(b *bench, chunk int64, lists map[string]documentList) error {
	var shapes, gone []byte
	err := l.query(l.ctx, "search.shapes", "SELECT c.shapes, g.bits FROM search_chunks c LEFT JOIN search_gone g ON "+
		"g.chunk = c.chunk WHERE c.chunk = ?",
		[]any{chunk}, func(r *sql.Rows) error { return r.Scan(&shapes, &gone) })
	if err != nil {
		return err
	}
	phrases, err := l.phrases(chunk, lists)
	if err != nil {
		return err
	}
	for i := range l.question.Slots {
		if l.scorer.Common&(1<<i) != 0 {
			continue
		}
		for k, words := range l.question.Slots[i].Spellings() {
			switch {
			case len(words) != 1:
			case k == 0 && l.question.Slots[i].Prefix != "":
				l.scanBeginning(b, i, lists, shapes)
			default:
				l.scanWord(b, spelling{i, words, k - 1}, lists, shapes)
			}
		}
	}
	for i := range phrases {
		l.scanPhrase(b, &phrases[i], shapes)
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

// part is the score of a spelling.
func (l *look) part(s spelling, w knowledge.Where, sh knowledge.Shape, exact bool) float32 {
	if s.alternative >= 0 {
		return l.scorer.AlsoPart(s.slot, s.alternative, w, sh)
	}
	return l.scorer.Part(s.slot, w, sh, exact)
}

// scanWord scores the documents that contain a word.
func (l *look) scanWord(b *bench, s spelling, lists map[string]documentList, shapes []byte) {
	title, bit := l.question.Slots[s.slot].Title, uint64(1)<<s.slot
	for k, term := range s.words[0] {
		for at, w := range lists[term].all() {
			if title && !w.InTitle() {
				continue
			}
			sh, _ := shapeAt(shapes, int(at))
			b.score(at, bit, w.InTitle(), l.part(s, w, sh, k == 0))
		}
	}
}

// scanBeginning scores the documents that contain words with a beginning. They may be hundreds, so they are put
// together before anything is scored.
func (l *look) scanBeginning(b *bench, slot int, lists map[string]documentList, shapes []byte) {
	s, bit := &l.question.Slots[slot], uint64(1)<<slot
	b.some = b.some[:0]
	for _, term := range s.Words[0] {
		for at, w := range lists[term].all() {
			switch {
			case s.Title && !w.InTitle():
			case b.mask[at]&bit != 0:
				b.where[at] = b.where[at].And(w)
			default:
				if b.mask[at] == 0 {
					b.touched = append(b.touched, at)
				}
				b.mask[at] |= bit
				b.where[at], b.some = w, append(b.some, at)
			}
		}
	}
	for _, at := range b.some {
		sh, _ := shapeAt(shapes, int(at))
		part := l.scorer.Part(slot, b.where[at], sh, false)
		b.sum[at] += part
		b.own[at] = part
		if b.where[at].InTitle() {
			b.title[at] |= bit
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
const placesQuery = "SELECT n.term, w.documents, w.places FROM json_each(?) t CROSS JOIN search_terms n ON n.term = " +
	"t.value CROSS JOIN search_words w ON w.number = (? << 32 | n.number)"
