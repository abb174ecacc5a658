package sqlite

import (
	"context"
	"database/sql"
	"hash/fnv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// current is a document as it stands before an op.
type current struct {
	doc  knowledge.Document // nil for none
	rank int64              // as it was stored
}

// current reads the document that a key names.
func (t *tx) current(ctx context.Context, key knowledge.Key) (current, error) {
	tab := tableOf(key.Kind)
	var rank int64
	var text string
	ok, err := t.one(ctx, "SELECT rank, document FROM "+tab.name+" WHERE "+tab.id+" = ?", []any{key.ID}, &rank, &text)
	if err != nil || !ok {
		return current{}, err
	}
	doc, err := knowledge.DecodeStored(key.Kind, []byte(text))
	return current{doc, rank}, err
}

// put writes a document and everything that is found by it.
func (t *tx) put(ctx context.Context, rec *knowledge.Record, doc knowledge.Document, before current) error {
	tab := tableOf(rec.Key.Kind)
	err := t.exec(ctx, "INSERT INTO "+tab.name+" ("+tab.id+", rank, document) VALUES (?, ?, ?) ON CONFLICT ("+tab.id+
		") DO UPDATE SET rank = excluded.rank, document = excluded.document", rec.Key.ID, rec.Rank, string(rec.JSON))
	if err != nil {
		return err
	}
	if before.doc != nil {
		if err := t.dropFacets(ctx, before); err != nil {
			return err
		}
	}
	if err := t.addFacets(ctx, rec, doc); err != nil {
		return err
	}
	if !searchable(rec.Key.Kind) {
		return nil
	}
	return t.index(ctx, rec, doc)
}

// remove takes a document out of everything, and its texts out of the log. A later one of the same key goes on from version.
func (t *tx) remove(ctx context.Context, key knowledge.Key, before current, version int64) error {
	tab := tableOf(key.Kind)
	if err := t.exec(ctx, "DELETE FROM "+tab.name+" WHERE "+tab.id+" = ?", key.ID); err != nil {
		return err
	}
	if before.doc != nil {
		if err := t.dropFacets(ctx, before); err != nil {
			return err
		}
	}
	if err := t.unindex(ctx, key); err != nil {
		return err
	}
	if err := t.forget(ctx, key); err != nil {
		return err
	}
	return t.exec(ctx, "INSERT INTO purged (kind, id, version) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version",
		string(key.Kind), key.ID, version)
}

// forget empties the documents that the log holds of a key.
func (t *tx) forget(ctx context.Context, key knowledge.Key) error {
	return t.exec(ctx, "UPDATE changes SET document = NULL WHERE kind = ? AND id = ?", string(key.Kind), key.ID)
}

func (t *tx) dropFacets(ctx context.Context, before current) error {
	key := before.doc.Key()
	for _, f := range facetsOf(before.doc) {
		err := t.exec(ctx, "DELETE FROM facets WHERE kind = ? AND facet = ? AND value = ? AND active = ? AND rank = ? AND id = ?",
			string(key.Kind), f.name, f.value, before.doc.Active(), before.rank, key.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addFacets(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	for _, f := range facetsOf(doc) {
		err := t.exec(ctx, "INSERT INTO facets (kind, facet, value, active, rank, id, category) VALUES (?, ?, ?, ?, ?, ?, ?)",
			string(rec.Key.Kind), f.name, f.value, rec.Active, rec.Rank, rec.Key.ID, rec.Category)
		if err != nil {
			return err
		}
	}
	return nil
}

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
	return t.exec(ctx, "DELETE FROM search_words WHERE rowid = ?", at)
}

// index puts a document into search, where it is in use, in place of what was there of it.
func (t *tx) index(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	if err := t.unindex(ctx, rec.Key); err != nil || !rec.Active {
		return err
	}
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
	w := wordsOf(rec.Key.Kind, doc, &text)
	return t.exec(ctx, "INSERT INTO search_words (rowid, title, tags, lead, body, title_forms, forms, facets) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		at, w.title, w.tags, w.lead, w.body, w.titleForms, w.forms, w.facets)
}

// scanRecord reads a record from a row of table.columns.
func scanRecord(r *sql.Rows, kind knowledge.Kind, source knowledge.Source) (*knowledge.Record, error) {
	rec := &knowledge.Record{Key: knowledge.Key{Kind: kind}, Source: source}
	var updated int64
	var text string
	err := r.Scan(&rec.Key.ID, &rec.Version, &rec.Category, &rec.Active, &rec.Rank, &updated, &text)
	rec.Updated, rec.JSON = moment(updated), []byte(text)
	return rec, err
}

// Get returns the document that key names, in use or retired.
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if knowledge.New(key.Kind) == nil {
		return nil, s.absent(key)
	}
	var rec *knowledge.Record
	err := s.look(ctx, func(v view) (err error) {
		rec, err = v.get(ctx, key)
		return err
	})
	if err == nil && rec == nil {
		err = &store.NotFoundError{Key: key}
	}
	return rec, err
}

// absent is the answer about a key of a kind that there isn't.
func (s *Store) absent(key knowledge.Key) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return &store.NotFoundError{Key: key}
}

// get returns a document, nil when there is none.
func (v view) get(ctx context.Context, key knowledge.Key) (rec *knowledge.Record, err error) {
	tab := tableOf(key.Kind)
	err = v.query(ctx, "get", "SELECT "+tab.columns()+" FROM "+tab.name+" WHERE "+tab.id+" = ?", []any{key.ID}, func(r *sql.Rows) error {
		rec, err = scanRecord(r, key.Kind, v.s.source)
		return err
	})
	return rec, err
}
