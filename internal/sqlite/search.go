package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// nearBytes limits the size of the positions that are read to find words next to each other.
const nearBytes = 4 << 20

// Search returns the active documents that match a text, the best first.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	q, question, err := q.Check()
	if err != nil {
		return nil, err
	}
	if err := s.unindexed(); err != nil {
		return nil, err
	}
	hits := &knowledge.Hits{Hits: []knowledge.Hit{}, Source: s.source}
	var records map[knowledge.Key]*knowledge.Record
	l := &look{q: &q, question: question}
	var page []knowledge.Found
	ranked := 0
	err = s.agree(ctx, func(ctx context.Context, v view) error {
		l.view, l.ctx = v, ctx
		if err := l.run(); err != nil {
			return err
		}
		page = l.page()
		ranked = len(page)
		records, err = v.records(ctx, page)
		page = knowledge.PageOf(page, records)
		return err
	})
	if err != nil {
		return nil, err
	}
	if hits.Hits, err = l.scorer.Hits(page, records); err != nil {
		return nil, s.translate(ctx, fmt.Errorf("read the hits: %w", err))
	}
	masks := make([]uint64, len(page))
	for i := range page {
		masks[i] = page[i].Mask
	}
	hits.Total, hits.Bounded, hits.Facets = l.total, l.bounded, l.facets
	hits.Reading = l.scorer.Reading(masks, l.frequency)
	hits.Reading.SearchedFor, hits.Reading.Suggestions = l.corrections(masks), append(hits.Reading.Suggestions,
		l.suggestions...)
	if next := q.Offset() + len(page); next < l.total && (len(page) == q.Limit || len(page) < ranked) {
		hits.Next = q.NextCursor(next)
	}
	return hits, nil
}

// A look is one search in progress.
type look struct {
	view
	ctx      context.Context // a look lives as long as one call
	q        *knowledge.SearchQuery
	question *knowledge.Question
	scorer   *knowledge.Scorer

	numbers   []int64
	entries   []*indexed
	chunks    []int64
	documents int // of the index
	lists     []list
	needed    int      // of the lists, the first: those of filters and exclusions
	unread    []string // the terms whose lists were too long
	frequency []int    // the number of documents for each slot
	fixed     []correction

	found       []knowledge.Found // the best hits, and some more
	worst       *knowledge.Found  // the last of the best hits; nil while there are fewer than are wanted
	total       int
	bounded     bool
	hitSets     map[int64][]uint64 // the hits of each chunk, if facets are requested
	hitEntries  []*indexed
	facets      []knowledge.FacetCount
	suggestions []string
	compared    int // words, with those of the index
}

func (l *look) run() error {
	var err error
	if l.numbers, l.entries, err = l.waiting(l.ctx); err != nil {
		return err
	}
	if err := l.readChunks(); err != nil {
		return err
	}
	if err := l.expand(); err != nil {
		return err
	}
	if err := l.readAll(); err != nil {
		return err
	}
	l.count()
	if err := l.correct(); err != nil {
		return err
	}
	l.scorer = l.question.Scorer(l.documents, l.frequency)
	if err := l.scan(); err != nil {
		return err
	}
	if l.total == 0 && l.question.Relax() {
		l.scorer = l.question.Scorer(l.documents, l.frequency)
		if err := l.scan(); err != nil {
			return err
		}
	}
	if l.total == 0 {
		if err := l.suggest(); err != nil {
			return err
		}
	}
	if err := l.rank(); err != nil {
		return err
	}
	if l.q.Facets {
		return l.countFacets()
	}
	return nil
}

// readChunks reads the chunks and counts their documents.
func (l *look) readChunks() error {
	l.documents = len(l.entries)
	return l.query(l.ctx, "search.chunks", "SELECT c.chunk, c.documents - coalesce(g.documents, 0) FROM "+
		"search_chunks c LEFT JOIN search_gone g ON g.chunk = c.chunk "+
		"ORDER BY c.chunk", nil, func(r *sql.Rows) error {
		var chunk int64
		var n int
		err := r.Scan(&chunk, &n)
		l.chunks, l.documents = append(l.chunks, chunk), l.documents+n
		return err
	})
}

// expand replaces prefixes by the words of the index.
func (l *look) expand() error {
	beginnings := 0
	for i := range l.question.Slots {
		if l.question.Slots[i].Prefix != "" {
			beginnings++
		}
	}
	most := min(maxBeginnings, maxBegun/max(1, beginnings))
	for i := range l.question.Slots {
		prefix := l.question.Slots[i].Prefix
		if prefix == "" {
			continue
		}
		terms, cut, err := l.terms(l.ctx, prefix, most, l.entries)
		if err != nil {
			return err
		}
		l.bounded = l.bounded || cut
		l.question.Expand(i, terms)
	}
	return nil
}

// rank sorts the best hits, with a bonus for words next to each other.
func (l *look) rank() error {
	l.keep()
	if err := l.keys(); err != nil {
		return err
	}
	n := min(knowledge.Window, len(l.found))
	if err := l.near(l.found[:n]); err != nil {
		return err
	}
	top, rest := l.found[:n], l.found[n:]
	slices.SortFunc(top, func(a, b knowledge.Found) int { return knowledge.CompareFound(&a, &b) })
	if n > 0 && len(rest) > 0 { // hits further down got no bonus
		slices.SortFunc(rest, func(a, b knowledge.Found) int { return knowledge.CompareFound(&a, &b) })
		for i := range rest {
			rest[i].Score = min(rest[i].Score, top[n-1].Score)
		}
	}
	return nil
}

// wanted returns how many hits are kept: those up to the end of the page, and at least those that may get a bonus.
func (l *look) wanted() int { return max(knowledge.Window, l.q.Offset()+l.q.Limit) }

// keep sorts the hits and drops those that are not wanted.
func (l *look) keep() {
	slices.SortFunc(l.found, func(a, b knowledge.Found) int { return knowledge.CompareFound(&a, &b) })
	if n := l.wanted(); len(l.found) >= n {
		l.found = l.found[:n]
		worst := l.found[n-1]
		l.worst = &worst
	}
}

// add adds a hit.
func (l *look) add(f knowledge.Found) {
	l.total++
	f.Score = knowledge.Round(f.Score)
	// Of thousands of equal scores, as of a beginning, most are further down in house order.
	if l.worst != nil && knowledge.CompareFound(&f, l.worst) > 0 {
		return
	}
	if l.found = append(l.found, f); len(l.found) >= 4*l.wanted() {
		l.keep()
	}
}

// keys reads the keys of the hits.
func (l *look) keys() error {
	at := make(map[int64]int, len(l.found))
	numbers := make([]int64, len(l.found))
	for i := range l.found {
		at[l.found[i].At], numbers[i] = i, l.found[i].At
	}
	if len(numbers) == 0 {
		return nil
	}
	return l.query(l.ctx, "search.keys", "SELECT number, kind, id FROM search WHERE number IN (SELECT value FROM "+
		"json_each(?))",
		[]any{asJSON(numbers)}, func(r *sql.Rows) error {
			var number int64
			var k knowledge.Key
			err := r.Scan(&number, &k.Kind, &k.ID)
			l.found[at[number]].Key = k
			return err
		})
}

// page returns the hits of the requested page.
func (l *look) page() []knowledge.Found {
	from := min(l.q.Offset(), len(l.found))
	return l.found[from:min(from+l.q.Limit, len(l.found))]
}

// records reads the documents of a page.
func (v view) records(ctx context.Context, page []knowledge.Found) (map[knowledge.Key]*knowledge.Record, error) {
	ids := map[knowledge.Kind][]string{}
	for i := range page {
		ids[page[i].Key.Kind] = append(ids[page[i].Key.Kind], page[i].Key.ID)
	}
	records := make(map[knowledge.Key]*knowledge.Record, len(page))
	for _, kind := range knowledge.SearchKinds() {
		if len(ids[kind]) == 0 {
			continue
		}
		tab := tableOf(kind)
		err := v.query(ctx, "search.records", "SELECT "+tab.columns()+" FROM "+tab.name+" WHERE "+tab.id+
			" IN (SELECT value FROM json_each(?))",
			[]any{asJSON(ids[kind])}, func(r *sql.Rows) error {
				rec, err := scanRecord(r, kind, v.f.source)
				records[rec.Key] = rec
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return records, nil
}

// asJSON returns a list as one argument of a statement.
func asJSON[T any](list []T) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // ids and kinds can be encoded
	}
	return string(b)
}

// near adds the bonus for words next to each other to the scores of the best hits.
func (l *look) near(top []knowledge.Found) error {
	slots := l.scorer.NearSlots()
	if slots == nil {
		return nil
	}
	byChunk := map[int64][]*knowledge.Found{}
	for i := range top {
		f := &top[i]
		if at, ok := slices.BinarySearch(l.numbers, f.At); ok {
			e := l.entries[at].entry
			f.Score = knowledge.Round(f.Score +
				l.scorer.Near(f.Mask, func(slot int) []uint32 { return l.question.Places(slot, e) }))
			continue
		}
		byChunk[f.At>>chunkBits] = append(byChunk[f.At>>chunkBits], f)
	}
	for _, chunk := range l.chunks {
		if err := l.nearChunk(chunk, byChunk[chunk], slots); err != nil {
			return err
		}
	}
	return nil
}

// nearChunk does the same for hits of a chunk.
func (l *look) nearChunk(chunk int64, hits []*knowledge.Found, slots []int) error {
	if len(hits) == 0 {
		return nil
	}
	slices.SortFunc(hits, func(a, b *knowledge.Found) int { return cmp.Compare(a.At, b.At) })
	of := map[string][]int{}
	var terms []string
	for _, slot := range slots {
		for _, t := range l.question.Slots[slot].Words[0] {
			of[t] = append(of[t], slot)
			terms = append(terms, t)
		}
	}
	places := make([][][]uint32, len(hits)) // of each hit, by slot
	for i := range places {
		places[i] = make([][]uint32, len(l.question.Slots))
	}
	read := 0
	err := l.query(l.ctx, "search.places", placesQuery, []any{asJSON(terms), chunk}, func(r *sql.Rows) error {
		var term string
		var documents, all sql.RawBytes
		if err := r.Scan(&term, &documents, &all); err != nil {
			return err
		}
		if read += len(all); read > nearBytes {
			return nil
		}
		c := cursor{documents: documentList(documents), places: placeList(all)}
		for i, f := range hits {
			if _, own := c.at(uint16(f.At & (chunkSize - 1))); len(own) > 0 {
				for _, slot := range of[term] {
					places[i][slot] = own.decode(places[i][slot])
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, f := range hits {
		f.Score = knowledge.Round(f.Score + l.scorer.Near(f.Mask, func(slot int) []uint32 {
			slices.Sort(places[i][slot])
			return places[i][slot]
		}))
	}
	return nil
}

// noteHit adds a hit to those that the facets count.
func (l *look) noteHit(chunk int64, at uint16) {
	if l.hitSets == nil {
		l.hitSets = map[int64][]uint64{}
	}
	if l.hitSets[chunk] == nil {
		l.hitSets[chunk] = make([]uint64, chunkSize/64)
	}
	l.hitSets[chunk][at/64] |= 1 << (at % 64)
}

// facetQuery reads the lists of the values that filters use.
const facetQuery = "SELECT c.chunk, n.term, w.documents FROM search_terms n CROSS JOIN search_chunks c CROSS JOIN " +
	"search_words w ON w.number = (c.chunk << 32 | n.number) WHERE n.term >= ? AND n.term < ?"

// countFacets counts the hits by the values that filters use.
func (l *look) countFacets() error {
	for _, facet := range knowledge.FacetMarks() {
		counts := map[string]int{}
		from, to := prefixRange(facet.Mark)
		err := l.query(l.ctx, "search.facets", facetQuery, []any{from, to}, func(r *sql.Rows) error {
			var chunk int64
			var term string
			var documents sql.RawBytes
			if err := r.Scan(&chunk, &term, &documents); err != nil {
				return err
			}
			set := l.hitSets[chunk]
			if set == nil {
				return nil
			}
			for at := range documentList(documents).all() {
				if set[at/64]&(1<<(at%64)) != 0 {
					counts[term]++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, x := range l.hitEntries {
			for i := range x.entry.Postings {
				if t := x.entry.Postings[i].Term; strings.HasPrefix(t, facet.Mark) {
					counts[t]++
				}
			}
		}
		l.facets = append(l.facets, knowledge.FacetCounts(facet, counts)...)
	}
	return nil
}
