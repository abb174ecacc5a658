package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Overlay lays the results of waiting batches over a mirror, each over those before it. The documents below are kept. A
// batch that is overlaid already is ignored. So is one that the feed has delivered: it would hide later writes.
func (s *Store) Overlay(ctx context.Context, waiting ...store.Entry) error {
	return s.do(ctx, "overlay", func(ctx context.Context, t *tx) error {
		for i := range waiting {
			for _, l := range waiting[i].Left {
				if err := t.overlay(ctx, waiting[i].Batch.ID, l.Key, l.Record); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Settle ends the overlays of a batch. Its results at the primary replace them or, if these are nil, the documents
// below.
func (s *Store) Settle(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key, applied []store.Left) error {
	return s.do(ctx, "settle", func(ctx context.Context, t *tx) error {
		for _, l := range applied {
			if err := t.base(ctx, l.Key, l.Record, versionOf(l.Record)); err != nil {
				return err
			}
		}
		return t.endOverlays(ctx, id, keys)
	})
}

// overlay lays one record over a key; nil hides the document.
func (t *tx) overlay(ctx context.Context, id knowledge.BatchID, key knowledge.Key, rec *knowledge.Record) error {
	var one int
	there, err := t.one(ctx, "SELECT 1 FROM overlays WHERE batch_id = ?1 AND kind = ?2 AND id = ?3 UNION ALL "+
		"SELECT 1 FROM changes WHERE batch_id = ?1 LIMIT 1", []any{id[:], string(key.Kind), key.ID}, &one)
	if err != nil || there {
		return err
	}
	now, err := t.current(ctx, key)
	if err != nil {
		return err
	}
	_, overlaid, err := t.belowOf(ctx, key)
	if err != nil {
		return err
	}
	if !overlaid {
		if err := t.keepBelow(ctx, key, now); err != nil {
			return err
		}
	}
	err = t.exec(ctx, "INSERT INTO overlays (kind, id, layer, batch_id, document) VALUES (?, ?, "+
		"(SELECT coalesce(max(layer), 0) + 1 FROM overlays WHERE kind = ? AND id = ?), ?, ?)",
		string(key.Kind), key.ID, string(key.Kind), key.ID, id[:], documentOf(rec))
	if err != nil {
		return err
	}
	return t.show(ctx, key, rec, now, id)
}

// endOverlays removes the layers of a batch from some keys, and shows the next layer.
func (t *tx) endOverlays(ctx context.Context, id knowledge.BatchID, keys []knowledge.Key) error {
	for _, key := range keys {
		n, err := t.execCount(ctx, "DELETE FROM overlays WHERE kind = ? AND id = ? AND batch_id = ?", string(key.Kind),
			key.ID, id[:])
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := t.resurface(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// resurface shows the topmost layer of a key, or the document below all layers.
func (t *tx) resurface(ctx context.Context, key knowledge.Key) error {
	now, err := t.current(ctx, key)
	if err != nil {
		return err
	}
	var text *string
	var batch []byte
	var pending knowledge.BatchID
	left, err := t.one(ctx, "SELECT document, batch_id FROM overlays WHERE kind = ? AND id = ? ORDER BY layer DESC "+
		"LIMIT 1",
		[]any{string(key.Kind), key.ID}, &text, &batch)
	if err != nil {
		return err
	}
	if left {
		copy(pending[:], batch)
	} else {
		if _, err := t.one(ctx, "SELECT document FROM below WHERE kind = ? AND id = ?",
			[]any{string(key.Kind), key.ID}, &text); err != nil {
			return err
		}
		if err := t.exec(ctx, "DELETE FROM below WHERE kind = ? AND id = ?", string(key.Kind), key.ID); err != nil {
			return err
		}
	}
	var rec *knowledge.Record
	if text != nil {
		if rec, err = knowledge.RecordOf(key.Kind, []byte(*text)); err != nil {
			return err
		}
	}
	return t.show(ctx, key, rec, now, pending)
}

// belowOf returns the primary's document of an overlaid key.
func (t *tx) belowOf(ctx context.Context, key knowledge.Key) (below current, overlaid bool, err error) {
	var text *string
	overlaid, err = t.one(ctx, "SELECT document FROM below WHERE kind = ? AND id = ?", []any{string(key.Kind), key.ID},
		&text)
	if text != nil && err == nil {
		below.text = *text
		below.doc, err = knowledge.DecodeStored(key.Kind, []byte(*text))
	}
	return below, overlaid, err
}

// keepBelow saves the primary's document of a key before its first overlay.
func (t *tx) keepBelow(ctx context.Context, key knowledge.Key, now current) error {
	if now.doc == nil {
		return t.setBelow(ctx, key, nil)
	}
	return t.setBelow(ctx, key, &knowledge.Record{JSON: []byte(now.text)})
}

func (t *tx) setBelow(ctx context.Context, key knowledge.Key, rec *knowledge.Record) error {
	return t.exec(ctx, "INSERT INTO below (kind, id, document) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document "+
		"= excluded.document",
		string(key.Kind), key.ID, documentOf(rec))
}

// documentOf returns the column value of a record; NULL for nil.
func documentOf(rec *knowledge.Record) any {
	if rec == nil {
		return nil
	}
	return string(rec.JSON)
}

// Overlaid returns the batches that are laid over a mirror, with their documents.
func (s *Store) Overlaid(ctx context.Context) (map[knowledge.BatchID][]knowledge.Key, error) {
	overlaid := map[knowledge.BatchID][]knowledge.Key{}
	err := s.read(ctx, "overlaid", "SELECT batch_id, kind, id FROM overlays", nil, func(r *sql.Rows) error {
		var batch []byte
		var key knowledge.Key
		if err := r.Scan(&batch, &key.Kind, &key.ID); err != nil {
			return err
		}
		var id knowledge.BatchID
		copy(id[:], batch)
		overlaid[id] = append(overlaid[id], key)
		return nil
	})
	return overlaid, err
}

// A layer is one overlay, as it is carried from one mirror file to the next.
type layer struct {
	key   knowledge.Key
	batch knowledge.BatchID
	rec   *knowledge.Record
}

// layers returns every overlay of a file, the lower ones of a key first.
func (w *writer) layers(ctx context.Context) ([]layer, error) {
	rows, err := w.conn.QueryContext(ctx, "SELECT kind, id, batch_id, document FROM overlays ORDER BY kind, id, layer")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	var list []layer
	for rows.Next() {
		var l layer
		var batch []byte
		var text *string
		if err := rows.Scan(&l.key.Kind, &l.key.ID, &batch, &text); err != nil {
			return nil, err
		}
		copy(l.batch[:], batch)
		if text != nil {
			if l.rec, err = knowledge.RecordOf(l.key.Kind, []byte(*text)); err != nil {
				return nil, err
			}
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

// Compare calls fn for every document of a mirror without overlays, in the order of kind and id, as of one moment.
func (s *Store) Compare(ctx context.Context, fn func(*knowledge.Record) error) error {
	return s.apart(ctx, func(ctx context.Context, v view) error {
		for _, kind := range knowledge.Kinds() {
			if err := s.below(ctx, v, kind, "", -1, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

// Documents returns at most n documents of a mirror after a key, without overlays, in the order of kind and id. The
// zero key comes before all others.
func (s *Store) Documents(ctx context.Context, after knowledge.Key, n int) ([]*knowledge.Record, error) {
	var list []*knowledge.Record
	kinds := knowledge.Kinds()
	err := s.look(ctx, func(ctx context.Context, v view) error {
		for i := max(0, slices.Index(kinds, after.Kind)); i < len(kinds) && len(list) < n; i++ {
			err := s.below(ctx, v, kinds[i], after.ID, n-len(list), func(r *knowledge.Record) error {
				list = append(list, r)
				return nil
			})
			if err != nil {
				return err
			}
			after.ID = ""
		}
		return nil
	})
	return list, err
}

// below calls fn for the documents of a kind below the overlays of a mirror: at most n after an id, or all if n is
// negative.
func (s *Store) below(ctx context.Context, v view, kind knowledge.Kind, after string, n int,
	fn func(*knowledge.Record) error,
) error {
	tab := tableOf(kind)
	query := "SELECT " + tab.columns() + " FROM " + tab.name + " t WHERE t." + tab.id +
		" > ?2 AND NOT EXISTS (SELECT 1 FROM below b WHERE b.kind = ?1 AND b.id = t." +
		tab.id + ") UNION ALL SELECT b.id, 0, '', 0, 0, 0, NULL, b.document FROM below b WHERE b.kind = ?1 AND b.id " +
		"> ?2 AND b.document IS NOT NULL ORDER BY 1 LIMIT ?3"
	var failed error
	err := v.query(ctx, "compare", query, []any{string(kind), after, n}, func(r *sql.Rows) error {
		rec, err := scanRecord(r, kind, s.source)
		if err == nil && rec.Version == 0 {
			rec, err = knowledge.RecordOf(kind, rec.JSON)
		}
		if err != nil {
			return err
		}
		failed = fn(rec.From(s.source))
		return failed
	})
	if failed != nil {
		return failed
	}
	return err
}
