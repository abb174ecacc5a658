package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"

	"tenet/internal/knowledge"
)

// VerifyPlaces checks that lists and searches find exactly the documents that are there: that the rows by tag and
// language, and the search index, are those that the documents make. If something does not match, the error is a
// [*TamperError]. The documents themselves are checked by [Store.VerifyChanges]. An index that is being made is not
// checked.
func VerifyPlaces(ctx context.Context, s *Store) error {
	err := s.apart(ctx, func(ctx context.Context, v view) error { return v.verifyPlaces(ctx) })
	if tampered, ok := errors.AsType[*TamperError](err); ok {
		tampered.index = true
	}
	return err
}

func (v view) verifyPlaces(ctx context.Context) error {
	seed := maphash.MakeSeed()
	for _, kind := range knowledge.Kinds() {
		if err := v.verifyFacets(ctx, kind, seed); err != nil {
			return err
		}
	}
	whole := false
	err := v.query(ctx, "verify.index", "SELECT 1 FROM meta WHERE key = '"+wholeIndex+"'", nil, func(*sql.Rows) error {
		whole = true
		return nil
	})
	if err != nil || !whole {
		return err
	}
	for _, kind := range knowledge.Kinds() {
		if err := v.verifySearched(ctx, kind); err != nil {
			return err
		}
	}
	var chunks []int64
	err = v.query(ctx, "verify.chunks", "SELECT DISTINCT number >> ?1 FROM search UNION SELECT chunk FROM search_chunks",
		[]any{chunkBits}, func(r *sql.Rows) error {
			var chunk int64
			err := r.Scan(&chunk)
			chunks = append(chunks, chunk)
			return err
		})
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		c := &placesOf{view: v, chunk: chunk, seed: seed, keys: map[int]knowledge.Key{}, waits: map[int]*indexed{}}
		if err := c.verify(ctx); err != nil {
			return err
		}
	}
	return nil
}

// verifyFacets compares the rows by tag and language of a kind with its documents.
func (v view) verifyFacets(ctx context.Context, kind knowledge.Kind, seed maphash.Seed) error {
	if knowledge.CommonOf(knowledge.New(kind)) == nil {
		return nil
	}
	var total uint64
	sum := func(_ string, h uint64) { total += h }
	if err := v.facetSums(ctx, kind, seed, sum); err != nil || total == 0 {
		return err
	}
	byID := map[string]uint64{}
	err := v.facetSums(ctx, kind, seed, func(id string, h uint64) { byID[id] += h })
	for id, h := range byID {
		if h != 0 && err == nil {
			err = &TamperError{Why: "lists by tag or language do not find " + knowledge.Key{Kind: kind, ID: id}.String() +
				" where its document says"}
		}
	}
	return err
}

// facetSums calls add with the hash of each row that the documents of a kind make, and the negated hash of each that
// is there: the sum is 0 if they are the same.
func (v view) facetSums(ctx context.Context, kind knowledge.Kind, seed maphash.Seed,
	add func(id string, h uint64),
) error {
	hash := func(id string, f facet, active bool, rank int64, category string) uint64 {
		return maphash.Comparable(seed, [6]any{id, f.name, f.value, active, rank, category})
	}
	tab := tableOf(kind)
	query := "SELECT " + tab.id + ", rank, document FROM " + tab.name
	err := v.query(ctx, "verify.facets.made", query, nil, func(r *sql.Rows) error {
		var id, text string
		var rank int64
		if err := r.Scan(&id, &rank, &text); err != nil {
			return err
		}
		doc, err := knowledge.DecodeStored(kind, []byte(text))
		if err != nil {
			return err
		}
		for _, f := range facetsOf(doc) {
			add(id, hash(id, f, doc.Active(), rank, doc.CategoryID()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.query(ctx, "verify.facets", "SELECT id, facet, value, active, rank, category FROM facets WHERE kind = ?",
		[]any{string(kind)}, func(r *sql.Rows) error {
			var id, category string
			var f facet
			var active bool
			var rank int64
			err := r.Scan(&id, &f.name, &f.value, &active, &rank, &category)
			add(id, -hash(id, f, active, rank, category))
			return err
		})
}

// verifySearched checks that the active documents of a kind, and no others, have a number in the search index.
func (v view) verifySearched(ctx context.Context, kind knowledge.Kind) error {
	tab := tableOf(kind)
	active := tab.active + " = 1"
	if !searchable(kind) {
		active = "0"
	}
	var found error
	err := v.query(ctx, "verify.searched", "SELECT t."+tab.id+", 'is active, and no search finds it' FROM "+tab.name+
		" t WHERE "+active+" AND NOT EXISTS (SELECT 1 FROM search s WHERE s.kind = ?1 AND s.id = t."+tab.id+") "+
		"UNION ALL SELECT s.id, 'is found by searches, and is not active' FROM search s WHERE s.kind = ?1 "+
		"AND NOT EXISTS (SELECT 1 FROM "+tab.name+" t WHERE t."+tab.id+" = s.id AND "+active+") LIMIT 1", []any{string(kind)},
		func(r *sql.Rows) error {
			var id, why string
			err := r.Scan(&id, &why)
			found = &TamperError{Why: knowledge.Key{Kind: kind, ID: id}.String() + " " + why}
			return err
		})
	return cmp.Or(err, found)
}

// placesOf are the documents of a chunk of the search index, by their place in it, with what the index holds of them.
type placesOf struct {
	view
	chunk  int64
	seed   maphash.Seed
	keys   map[int]knowledge.Key
	waits  map[int]*indexed
	sums   [chunkSize]uint64
	gone   []byte
	shapes []byte
}

// documentsAtOnce is the number of documents in one read.
const documentsAtOnce = 200

// verify compares the chunk with the documents.
func (c *placesOf) verify(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	if err := c.sumLists(ctx); err != nil {
		return err
	}
	at := map[knowledge.Kind]map[string]int{}
	for place, key := range c.keys {
		if at[key.Kind] == nil {
			at[key.Kind] = map[string]int{}
		}
		at[key.Kind][key.ID] = place
	}
	for _, kind := range knowledge.SearchKinds() {
		places := at[kind]
		ids := make([]string, 0, len(places))
		for id := range places {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for some := range slices.Chunk(ids, documentsAtOnce) {
			if err := c.compare(ctx, kind, some, places); err != nil {
				return err
			}
		}
	}
	for place, sum := range c.sums {
		if _, there := c.keys[place]; !there && sum != 0 && !c.removed(place) {
			return &TamperError{Why: fmt.Sprintf("the search index finds a document %d that is not there",
				c.chunk<<chunkBits|int64(place))}
		}
	}
	return nil
}

// load reads which documents the chunk has, and which of them wait to enter its lists.
func (c *placesOf) load(ctx context.Context) error {
	from, to := c.chunk<<chunkBits, (c.chunk+1)<<chunkBits
	err := c.query(ctx, "verify.numbers", "SELECT s.number, s.kind, s.id, w.entry FROM search s "+
		"LEFT JOIN search_waiting w ON w.number = s.number WHERE s.number >= ? AND s.number < ?",
		[]any{from, to}, func(r *sql.Rows) error {
			var number int64
			var key knowledge.Key
			var entry []byte
			if err := r.Scan(&number, &key.Kind, &key.ID, &entry); err != nil {
				return err
			}
			place := int(number & (chunkSize - 1))
			c.keys[place] = key
			if entry == nil {
				return nil
			}
			x, err := decodeIndexed(entry)
			if err != nil { // it holds nothing
				x = &indexed{entry: &knowledge.Entry{}}
			}
			c.waits[place] = x
			return nil
		})
	if err != nil {
		return err
	}
	return c.query(ctx, "verify.shapes", "SELECT c.shapes, g.bits FROM search_chunks c LEFT JOIN search_gone g ON "+
		"g.chunk = c.chunk WHERE c.chunk = ?", []any{c.chunk},
		func(r *sql.Rows) error { return r.Scan(&c.shapes, &c.gone) })
}

// sumLists adds up what the lists of the chunk hold of each document.
func (c *placesOf) sumLists(ctx context.Context) error {
	from, to := c.chunk<<listShift, (c.chunk+1)<<listShift
	left := 0
	err := c.query(ctx, "verify.lists.count", "SELECT count(*) FROM search_words WHERE number >= ? AND number < ?",
		[]any{from, to}, func(r *sql.Rows) error { return r.Scan(&left) })
	if err != nil {
		return err
	}
	var room []uint32
	err = c.query(ctx, "verify.lists", "SELECT n.term, w.documents, w.places FROM search_terms n CROSS JOIN "+
		"search_words w ON w.number = (?1 | n.number)", []any{from}, func(r *sql.Rows) error {
		var term string
		var documents, places sql.RawBytes
		if err := r.Scan(&term, &documents, &places); err != nil {
			return err
		}
		left--
		rest := placeList(places)
		for doc, where := range documentList(documents).all() {
			var own placeList
			own, rest = rest.cut()
			room = own.decode(room[:0])
			c.sums[doc] += c.hash(term, where, room)
		}
		return nil
	})
	if err == nil && left != 0 {
		err = &TamperError{Why: knowledge.Count(max(left, -left), "list of the search index belongs",
			"lists of the search index belong") + " to no word, or to several"}
	}
	return err
}

// hash returns a number for one term of one document.
func (c *placesOf) hash(term string, where knowledge.Where, places []uint32) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(term)
	b := append(make([]byte, 0, 64), 0, byte(where))
	for _, p := range places {
		b = binary.BigEndian.AppendUint32(b, p)
	}
	_, _ = h.Write(b)
	return h.Sum64()
}

func (c *placesOf) removed(place int) bool {
	return place/8 < len(c.gone) && c.gone[place/8]&(1<<(place%8)) != 0
}

// compare compares some documents of a kind with what the index holds of them. Splitting their words is most of the
// work of a verification, so all processors share it.
func (c *placesOf) compare(ctx context.Context, kind knowledge.Kind, ids []string, places map[string]int) error {
	tab := tableOf(kind)
	var texts [][2]string // id and document
	err := c.query(ctx, "verify.indexed", "SELECT "+tab.id+", document FROM "+tab.name+" WHERE "+tab.id+
		" IN (SELECT value FROM json_each(?))", []any{asJSON(ids)}, func(r *sql.Rows) error {
		var id, text string
		err := r.Scan(&id, &text)
		texts = append(texts, [2]string{id, text})
		return err
	})
	if err != nil {
		return err
	}
	workers := max(1, min(runtime.GOMAXPROCS(0), len(texts)))
	found := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(texts) && found[w] == nil; i += workers {
				found[w] = c.compareOne(kind, texts[i][0], texts[i][1], places[texts[i][0]])
			}
		})
	}
	wg.Wait()
	return cmp.Or(found...)
}

// compareOne compares a document with what the index holds at its place.
func (c *placesOf) compareOne(kind knowledge.Kind, id, text string, place int) error {
	doc, err := knowledge.DecodeStored(kind, []byte(text))
	if err != nil || c.holds(place, knowledge.NewEntry(doc)) {
		return err
	}
	return &TamperError{Why: "searches do not find " + knowledge.Key{Kind: kind, ID: id}.String() +
		" by what its document says"}
}

// holds reports whether the index holds an entry at a place, in its lists or waiting for them. The rank is not
// compared: a later program may reckon it otherwise.
func (c *placesOf) holds(place int, e *knowledge.Entry) bool {
	want, x := c.sum(e), &indexed{entry: e}
	if w := c.waits[place]; w != nil {
		return c.sums[place] == 0 && c.sum(w.entry) == want && w.entry.Title == e.Title && w.entry.Words == e.Words
	}
	end := (place + 1) * shapeEntry
	return c.sums[place] == want && !c.removed(place) && len(c.shapes) >= end &&
		slices.Equal(c.shapes[end-shapeEntry:end-shapeEntry+2], x.shape()[:2])
}

func (c *placesOf) sum(e *knowledge.Entry) (sum uint64) {
	for i := range e.Postings {
		p := &e.Postings[i]
		sum += c.hash(p.Term, p.Where, p.Places)
	}
	return sum
}
