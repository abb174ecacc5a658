package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tenet/internal/knowledge"
)

// The search index. Each indexed document has a number. The documents of a chunk of numbers share one list for each
// term, which is read as a whole.
const (
	chunkBits = 13
	chunkSize = 1 << chunkBits
	// waitingMax is the largest number of documents that wait to enter the lists. Each search reads all of them, and
	// entering them rewrites the lists of all their words.
	waitingMax = 256
	// listShift is the number of bits of a term's number: that of a list has the chunk above them.
	listShift = 32
	// shapeEntry is the number of bytes that ranking needs of a document: the length of its title and text, and its
	// place in house order.
	shapeEntry = 5
)

// The rank of a searchable kind is a tier and a weight within a million of its middle; see [knowledge.Rank].
const (
	rankBits    = 23
	rankWeights = 2*knowledge.MaxPriority + 1
)

// pressed returns the rank in as few bits as keep the order.
func pressed(rank int64) int64 {
	tier, weight := rank>>32, rank&(1<<32-1)-(1<<31)
	weight = min(max(weight, -knowledge.MaxPriority), knowledge.MaxPriority) + knowledge.MaxPriority
	return min(tier*rankWeights+weight, 1<<rankBits-1)
}

// An indexed is the part of a document that enters the lists.
type indexed struct {
	entry *knowledge.Entry
	rank  int64 // pressed
}

// An entries collects the documents that a transaction adds to the lists, or removes, at its end.
type entries struct {
	adds map[int64]*indexed
	// purged is set when a document was removed.
	purged bool
	drops  []int64 // numbers among the adds of earlier jobs
}

// merge adds the entries of a job that has succeeded.
func (e *entries) merge(j *entries) {
	for _, at := range j.drops {
		delete(e.adds, at)
	}
	if e.adds == nil {
		e.adds = map[int64]*indexed{}
	}
	maps.Copy(e.adds, j.adds)
	e.purged = e.purged || j.purged
}

// index replaces a document in the search index; a retired one is only removed.
func (t *tx) index(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	if err := t.unindex(ctx, rec.Key); err != nil || !rec.Active {
		return err
	}
	return t.enter(ctx, rec, doc)
}

// enter adds a document that is not in the search index yet.
func (t *tx) enter(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	x := &indexed{rank: pressed(rec.Rank)}
	if t.beside == nil {
		x.entry = knowledge.NewEntry(doc)
	} else {
		t.beside.Go(func() error {
			x.entry = knowledge.NewEntry(doc)
			return nil
		})
	}
	return enterEntry(ctx, t, rec.Key, x)
}

func enterEntry(ctx context.Context, t *tx, key knowledge.Key, x *indexed) error {
	st, err := t.stmt(ctx, "INSERT INTO search (kind, id) VALUES (?, ?)") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return err
	}
	res, err := st.ExecContext(ctx, string(key.Kind), key.ID)
	if err != nil {
		return err
	}
	number, err := res.LastInsertId()
	if err != nil {
		return err
	}
	if t.job.adds == nil {
		t.job.adds = map[int64]*indexed{}
	}
	t.job.adds[number] = x
	return nil
}

// unindex removes a document from the search index.
func (t *tx) unindex(ctx context.Context, key knowledge.Key) error {
	var number int64
	ok, err := t.one(ctx, "DELETE FROM search WHERE kind = ? AND id = ? RETURNING number",
		[]any{string(key.Kind), key.ID}, &number)
	if err != nil || !ok {
		return err
	}
	if _, ok := t.job.adds[number]; ok {
		delete(t.job.adds, number)
		return nil
	}
	if _, ok := t.all.adds[number]; ok && !slices.Contains(t.job.drops, number) {
		t.job.drops = append(t.job.drops, number)
		return nil
	}
	n, err := t.execCount(ctx, "DELETE FROM search_waiting WHERE number = ?", number)
	if err != nil || n > 0 {
		return err
	}
	return t.markGone(ctx, number)
}

// markGone marks a removed document in its chunk, whose lists still contain it.
func (w *writer) markGone(ctx context.Context, number int64) error {
	bits, chunk, at := []byte{}, number>>chunkBits, number&(chunkSize-1)
	if _, err := w.one(ctx, "SELECT bits FROM search_gone WHERE chunk = ?", []any{chunk}, &bits); err != nil {
		return err
	}
	if len(bits) == 0 {
		bits = make([]byte, chunkSize/8)
	}
	bits[at/8] |= 1 << (at % 8)
	return w.exec(ctx, "INSERT INTO search_gone (chunk, documents, bits) VALUES (?, 1, ?) "+
		"ON CONFLICT DO UPDATE SET documents = documents + 1, bits = excluded.bits", chunk, bits)
}

// flush writes the collected entries of a transaction: a few documents wait for more, many enter the lists at once.
func (w *writer) flush(ctx context.Context, e *entries) error {
	if len(e.adds) == 0 {
		return nil
	}
	var waiting int
	if _, err := w.one(ctx, "SELECT count(*) FROM search_waiting", nil, &waiting); err != nil {
		return err
	}
	if waiting+len(e.adds) < waitingMax {
		for _, number := range slices.Sorted(maps.Keys(e.adds)) {
			err := w.exec(ctx, "INSERT INTO search_waiting (number, entry) VALUES (?, ?)", number,
				e.adds[number].encode())
			if err != nil {
				return err
			}
		}
		return nil
	}
	all := maps.Clone(e.adds)
	if waiting > 0 {
		if err := w.takeWaiting(ctx, all); err != nil {
			return err
		}
	}
	if err := w.list(ctx, all); err != nil {
		return err
	}
	return w.tidy(ctx)
}

// takeWaiting moves the waiting documents into all.
func (w *writer) takeWaiting(ctx context.Context, all map[int64]*indexed) error {
	st, err := w.stmt(ctx, "DELETE FROM search_waiting RETURNING number, entry") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		var number int64
		var b []byte
		if err := rows.Scan(&number, &b); err != nil {
			return err
		}
		if all[number], err = decodeIndexed(b); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// A growing holds what is added to the list of a term.
type growing struct {
	documents documentList
	last      int // the last document, -1 for none
	places    placeList
	placed    bool // in some document the term has positions
}

// add adds a document.
func (g *growing) add(doc uint16, p *knowledge.Posting) {
	g.documents = g.documents.append(g.last, doc, p.Where)
	g.last = int(doc)
	g.places, g.placed = g.places.append(p.Places), g.placed || len(p.Places) > 0
}

// list adds documents to the lists of their terms, chunk by chunk.
func (w *writer) list(ctx context.Context, all map[int64]*indexed) error {
	numbers := slices.Sorted(maps.Keys(all))
	for from := 0; from < len(numbers); {
		chunk, to := numbers[from]>>chunkBits, from
		for to < len(numbers) && numbers[to]>>chunkBits == chunk {
			to++
		}
		if err := w.listChunk(ctx, chunk, numbers[from:to], all); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func (w *writer) listChunk(ctx context.Context, chunk int64, numbers []int64, all map[int64]*indexed) error {
	lists := map[string]*growing{}
	var shapes []byte
	if _, err := w.one(ctx, "SELECT shapes FROM search_chunks WHERE chunk = ?", []any{chunk}, &shapes); err != nil {
		return err
	}
	for _, number := range numbers {
		x, at := all[number], number&(chunkSize-1)
		for i := range x.entry.Postings {
			p := &x.entry.Postings[i]
			g := lists[p.Term]
			if g == nil {
				g = &growing{last: -1}
				lists[p.Term] = g
			}
			g.add(uint16(at), p)
		}
		if need := int(at+1) * shapeEntry; len(shapes) < need {
			shapes = append(shapes, make([]byte, need-len(shapes))...)
		}
		copy(shapes[at*shapeEntry:], x.shape())
	}
	terms := slices.Sorted(maps.Keys(lists))
	known, err := w.termNumbers(ctx, terms)
	if err != nil {
		return err
	}
	for _, term := range terms {
		g := lists[term]
		if !g.placed {
			g.places = nil
		}
		err := w.exec(ctx, "INSERT INTO search_words (number, documents, places) VALUES (?, ?, ?) ON CONFLICT DO "+
			"UPDATE SET "+
			"documents = CAST(documents || excluded.documents AS BLOB), places = CAST(places || excluded.places "+
			"AS BLOB)",
			chunk<<listShift|known[term], []byte(g.documents), orEmpty(g.places))
		if err != nil {
			return err
		}
	}
	return w.exec(ctx, "INSERT INTO search_chunks (chunk, documents, shapes) VALUES (?, ?, ?) ON CONFLICT DO "+
		"UPDATE SET "+
		"documents = documents + excluded.documents, shapes = excluded.shapes", chunk, len(numbers), shapes)
}

// lastTerm is the key, in meta, of the last number that was given to a term. None is given twice.
const lastTerm = "search_term"

// termNumbers returns the numbers of terms, and gives numbers to those that have none.
func (w *writer) termNumbers(ctx context.Context, terms []string) (map[string]int64, error) {
	known, err := w.knownTerms(ctx, terms)
	if err != nil || len(known) == len(terms) {
		return known, err
	}
	var last int64
	if _, err := w.one(ctx, "SELECT value FROM meta WHERE key = '"+lastTerm+"'", nil, &last); err != nil {
		return nil, err
	}
	for _, term := range terms {
		if _, ok := known[term]; ok {
			continue
		}
		last++
		known[term] = last
		if err := w.exec(ctx, "INSERT INTO search_terms (term, number) VALUES (?, ?)", term, last); err != nil {
			return nil, err
		}
	}
	t := &tx{writer: w}
	return known, t.setMeta(ctx, lastTerm, last)
}

func (w *writer) knownTerms(ctx context.Context, terms []string) (map[string]int64, error) {
	st, err := w.stmt(ctx, //nolint:sqlclosecheck // the writer's
		"SELECT n.term, n.number FROM json_each(?) t CROSS JOIN search_terms n ON n.term = t.value")
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, asJSON(terms))
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	known := make(map[string]int64, len(terms))
	for rows.Next() {
		var term string
		var number int64
		if err := rows.Scan(&term, &number); err != nil {
			return nil, err
		}
		known[term] = number
	}
	return known, errors.Join(rows.Err(), rows.Close())
}

// sparse is the share of removed documents at which the others move to a new chunk and the lists are deleted.
const sparse = 2

// movedAtOnce is the number of documents that one transaction moves out of a sparse chunk.
const movedAtOnce = 512

// tidy moves documents out of a sparse chunk, and deletes its lists once no document is left.
func (w *writer) tidy(ctx context.Context) error {
	var chunk int64
	ok, err := w.one(ctx, "SELECT g.chunk FROM search_gone g JOIN search_chunks c ON c.chunk = g.chunk WHERE "+
		"g.documents * ? >= c.documents AND g.chunk < "+
		"(SELECT max(chunk) FROM search_chunks) ORDER BY g.chunk LIMIT 1", []any{sparse}, &chunk)
	if err != nil || !ok {
		return err
	}
	keys, err := w.keysOf(ctx, chunk)
	if err != nil {
		return err
	}
	t := &tx{writer: w}
	for _, key := range keys {
		now, err := t.current(ctx, key)
		if err != nil {
			return err
		}
		if now.doc == nil {
			return fmt.Errorf("search knows %s, which is not there: %w", key, errDamaged)
		}
		if err := t.exec(ctx, "DELETE FROM search WHERE kind = ? AND id = ?", string(key.Kind), key.ID); err != nil {
			return err
		}
		if err := t.enter(ctx, &knowledge.Record{Key: key, Rank: now.doc.Rank()}, now.doc); err != nil {
			return err
		}
	}
	if len(keys) > 0 {
		if err := w.list(ctx, t.job.adds); err != nil {
			return err
		}
	}
	if len(keys) == movedAtOnce {
		return nil
	}
	for _, table := range []string{"search_chunks", "search_gone"} {
		if err := w.exec(ctx, "DELETE FROM "+table+" WHERE chunk = ?", chunk); err != nil {
			return err
		}
	}
	return w.exec(ctx, "DELETE FROM search_words WHERE number >= ? AND number < ?", chunk<<listShift,
		(chunk+1)<<listShift)
}

// keysOf returns the next documents of a chunk to move.
func (w *writer) keysOf(ctx context.Context, chunk int64) ([]knowledge.Key, error) {
	st, err := w.stmt(ctx, "SELECT kind, id FROM search WHERE number >= ? AND number < ? ORDER BY number LIMIT ?") //nolint:sqlclosecheck // the writer's
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, chunk<<chunkBits, (chunk+1)<<chunkBits, movedAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var keys []knowledge.Key
	for rows.Next() {
		var k knowledge.Key
		if err := rows.Scan(&k.Kind, &k.ID); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, errors.Join(rows.Err(), rows.Close())
}
