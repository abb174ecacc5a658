package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// current is a document before an op is applied.
type current struct {
	doc  knowledge.Document // nil for none
	text string             // its JSON
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
	return current{doc, text, rank}, err
}

// put writes a document, its facets and its search entries. Pending is the batch that still waits for the primary, if
// any.
func (t *tx) put(ctx context.Context, rec *knowledge.Record, doc knowledge.Document, before current,
	pending knowledge.BatchID,
) error {
	tab := tableOf(rec.Key.Kind)
	var waits any
	if pending != (knowledge.BatchID{}) {
		waits = pending[:]
	}
	err := t.exec(ctx, "INSERT INTO "+tab.name+" ("+tab.id+
		", rank, pending, document) VALUES (?, ?, ?, ?) ON CONFLICT ("+tab.id+
		") DO UPDATE SET rank = excluded.rank, pending = excluded.pending, document = excluded.document",
		rec.Key.ID, rec.Rank, waits, string(rec.JSON))
	if err != nil {
		return err
	}
	if before.doc != nil && before.rank == rec.Rank && knowledge.SameContent(before.doc, doc) {
		return nil // the primary only stamped the document of a waiting batch, which is indexed already
	}
	if err := t.dropFacets(ctx, before); err != nil {
		return err
	}
	if err := t.addFacets(ctx, rec, doc); err != nil {
		return err
	}
	if !searchable(rec.Key.Kind) {
		return nil
	}
	return t.index(ctx, rec, doc)
}

// erase removes a document from everything but the log.
func (t *tx) erase(ctx context.Context, key knowledge.Key, before current) error {
	tab := tableOf(key.Kind)
	if err := t.exec(ctx, "DELETE FROM "+tab.name+" WHERE "+tab.id+" = ?", key.ID); err != nil {
		return err
	}
	if err := t.dropFacets(ctx, before); err != nil {
		return err
	}
	if err := t.owe(ctx); err != nil {
		return err
	}
	return t.unindex(ctx, key)
}

// remove removes a document from everything, and its texts from the log. A later document with the same key continues
// after version.
func (t *tx) remove(ctx context.Context, key knowledge.Key, before current, version int64) error {
	if err := t.erase(ctx, key, before); err != nil {
		return err
	}
	if err := t.forget(ctx, key); err != nil {
		return err
	}
	return t.setPurged(ctx, key, version)
}

// setPurged stores the last version of a purged document.
func (t *tx) setPurged(ctx context.Context, key knowledge.Key, version int64) error {
	return t.exec(ctx, "INSERT INTO purged (kind, id, version) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = "+
		"excluded.version",
		string(key.Kind), key.ID, version)
}

// lastPurged returns the last version of a purged document; 0 if it was never purged.
func (t *tx) lastPurged(ctx context.Context, key knowledge.Key) (version int64, err error) {
	_, err = t.one(ctx, "SELECT version FROM purged WHERE kind = ? AND id = ?", []any{string(key.Kind), key.ID},
		&version)
	return version, err
}

// forget removes the texts of a document from all its changes in the log. What was said of a purge stays: it is why.
func (t *tx) forget(ctx context.Context, key knowledge.Key) error {
	const query = "UPDATE changes SET document = NULL, message = CASE WHEN verb = 'purge' THEN message END " +
		"WHERE kind = ? AND id = ?"
	return t.exec(ctx, query, string(key.Kind), key.ID)
}

func (t *tx) dropFacets(ctx context.Context, before current) error {
	if before.doc == nil {
		return nil
	}
	key := before.doc.Key()
	for _, f := range facetsOf(before.doc) {
		err := t.exec(ctx, "DELETE FROM facets WHERE kind = ? AND facet = ? AND value = ? AND active = ? AND rank = "+
			"? AND id = ?",
			string(key.Kind), f.name, f.value, before.doc.Active(), before.rank, key.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addFacets(ctx context.Context, rec *knowledge.Record, doc knowledge.Document) error {
	for _, f := range facetsOf(doc) {
		err := t.exec(ctx, "INSERT INTO facets (kind, facet, value, active, rank, id, category) VALUES (?, ?, ?, ?, "+
			"?, ?, ?)",
			string(rec.Key.Kind), f.name, f.value, rec.Active, rec.Rank, rec.Key.ID, rec.Category)
		if err != nil {
			return err
		}
	}
	return nil
}

// scanRecord reads a record from a row of table.columns, and the columns after it into more.
func scanRecord(r *sql.Rows, kind knowledge.Kind, source knowledge.Source, more ...any) (*knowledge.Record, error) {
	rec := &knowledge.Record{Key: knowledge.Key{Kind: kind}, Source: source}
	var updated int64
	var pending []byte
	var text string
	err := r.Scan(append([]any{
		&rec.Key.ID, &rec.Version, &rec.Category, &rec.Active, &rec.Rank, &updated, &pending,
		&text,
	}, more...)...)
	rec.Updated, rec.JSON = moment(updated), []byte(text)
	copy(rec.Pending[:], pending)
	return rec, err
}

// Get returns the document that key names, active or retired.
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if knowledge.New(key.Kind) == nil {
		return nil, s.absent(key)
	}
	var rec *knowledge.Record
	err := s.look(ctx, func(ctx context.Context, v view) (err error) {
		rec, err = v.get(ctx, key)
		return err
	})
	if err == nil && rec == nil {
		err = &store.NotFoundError{Key: key}
	}
	return rec, err
}

// absent is the error for a key of an unknown kind.
func (s *Store) absent(key knowledge.Key) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return &store.NotFoundError{Key: key}
}

// get returns a document, nil when there is none.
func (v view) get(ctx context.Context, key knowledge.Key) (rec *knowledge.Record, err error) {
	tab := tableOf(key.Kind)
	err = v.query(ctx, "get", "SELECT "+tab.columns()+" FROM "+tab.name+" WHERE "+tab.id+" = ?",
		[]any{key.ID}, func(r *sql.Rows) error {
			rec, err = scanRecord(r, key.Kind, v.f.source)
			return err
		})
	return rec, err
}
