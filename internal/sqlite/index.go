package sqlite

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// Places of search. A row's number is its place in house order: the rank, pressed into 23 bits, then three characters of the
// id, then a hash of the key that tells the rest apart.
const (
	placeRankBits = 23
	placeIDBits   = 19
	placeHashBits = 21
	placeTieBits  = placeIDBits + placeHashBits
	// A rank of a kind that is searched is a tier and a weight within a million of its middle; see [knowledge.Rank].
	placeWeights = 2*knowledge.MaxPriority + 1
)

// pressed returns the rank in as few bits as keep its order.
func pressed(rank int64) int64 {
	tier, weight := rank>>32, rank&(1<<32-1)-(1<<31)
	weight = min(max(weight, -knowledge.MaxPriority), knowledge.MaxPriority) + knowledge.MaxPriority
	return min(tier*placeWeights+weight, 1<<placeRankBits-1)
}

// place returns the number that a document of search would have, were it free.
func place(key knowledge.Key, rank int64) int64 {
	h := fnv.New32a()
	h.Write([]byte(key.Kind + "/"))
	h.Write([]byte(key.ID))
	return pressed(rank)<<placeTieBits | idBits(key.ID)<<placeHashBits | int64(h.Sum32()&(1<<placeHashBits-1))
}

// idBits returns a number of the first characters of an id that sorts as the ids do.
func idBits(id string) int64 {
	const letters = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	n := int64(0)
	for i := range 3 {
		n *= int64(len(letters) + 1)
		if i < len(id) {
			n += int64(strings.IndexByte(letters, id[i])) + 1
		}
	}
	return n
}

// An entries is what a transaction will write into the full-text table at its end: in ascending order, since SQLite writes a
// piece of the index to disk whenever the order turns back.
type entries struct {
	adds  map[int64]words
	drops []int64 // places among the adds of earlier jobs
}

// merge takes over the entries of a job that has succeeded.
func (e *entries) merge(j *entries) {
	for _, at := range j.drops {
		delete(e.adds, at)
	}
	if e.adds == nil {
		e.adds = map[int64]words{}
	}
	maps.Copy(e.adds, j.adds)
}

// flush writes the entries.
func (w *writer) flush(ctx context.Context, e *entries) error {
	for _, at := range slices.Sorted(maps.Keys(e.adds)) {
		r := e.adds[at]
		err := w.exec(ctx, "INSERT INTO search_words (rowid, title, tags, lead, body, title_forms, forms, facets) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			at, r.title, r.tags, r.lead, r.body, r.titleForms, r.forms, r.facets)
		if err != nil {
			return err
		}
	}
	return nil
}

// unindex takes a document out of search.
func (t *tx) unindex(ctx context.Context, key knowledge.Key) error {
	var at int64
	ok, err := t.one(ctx, "SELECT place FROM search WHERE kind = ? AND id = ?", []any{string(key.Kind), key.ID}, &at)
	if err != nil || !ok {
		return err
	}
	if err := t.exec(ctx, "DELETE FROM search WHERE place = ?", at); err != nil {
		return err
	}
	if _, ok := t.job.adds[at]; ok {
		delete(t.job.adds, at)
		return nil
	}
	if _, ok := t.all.adds[at]; ok && !slices.Contains(t.job.drops, at) {
		t.job.drops = append(t.job.drops, at)
		return nil
	}
	return t.exec(ctx, "DELETE FROM search_words WHERE rowid = ?", at)
}

// index puts a document into search, where it is in use, in place of what was there of it.
func (t *tx) index(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	if err := t.unindex(ctx, rec.Key); err != nil || !rec.Active {
		return err
	}
	return t.enter(ctx, rec, doc)
}

// enter puts a document into search that is not there yet.
func (t *tx) enter(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	text := doc.Text()
	at := place(rec.Key, rec.Rank)
	for {
		n, err := t.execCount(ctx, "INSERT INTO search (place, kind, id, category, rank, title, tags) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (place) DO NOTHING",
			at, string(rec.Key.Kind), rec.Key.ID, rec.Category, rec.Rank, text.Title, strings.Join(text.Tags, " "))
		if err != nil {
			return err
		}
		if n == 1 {
			break
		}
		at++ // taken: two keys with one hash
	}
	if t.job.adds == nil {
		t.job.adds = map[int64]words{}
	}
	t.job.adds[at] = wordsOf(rec.Key.Kind, doc, &text)
	return nil
}
