package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// archive moves a document to the archive. Its texts stay in the log.
func archive(ctx context.Context, t *tx, key knowledge.Key, before current, version int64) error {
	if err := t.erase(ctx, key, before); err != nil {
		return err
	}
	if err := t.setPurged(ctx, key, version); err != nil {
		return err
	}
	return t.exec(ctx, "UPDATE purged SET at = ?, document = ? WHERE kind = ? AND id = ?", micros(t.now), before.text,
		string(key.Kind), key.ID)
}

// archived reads a document from the archive; none if it is not there. Its version is that of the change that archived
// it.
func archived(ctx context.Context, t *tx, key knowledge.Key) (current, error) {
	var version int64
	var text string
	ok, err := t.one(ctx, "SELECT version, document FROM purged WHERE kind = ? AND id = ? AND document IS NOT NULL",
		[]any{string(key.Kind), key.ID}, &version, &text)
	if err != nil || !ok {
		return current{}, err
	}
	doc, err := knowledge.DecodeStored(key.Kind, []byte(text))
	if err != nil {
		return current{}, err
	}
	doc.Stamps().Version = version
	return current{doc: doc, text: text}, nil
}

// An Archive reads the archive of a store. That of a mirror is empty.
type Archive struct{ s *Store }

// NewArchive returns the archive of a store.
func NewArchive(s *Store) Archive { return Archive{s} }

var _ store.Archive = Archive{}

// Archived implements [store.Archive].
func (a Archive) Archived(ctx context.Context, q store.ArchiveQuery) ([]store.Archived, error) {
	if a.s.closed.Load() {
		return nil, store.ErrClosed
	}
	list := []store.Archived{}
	query, args := "SELECT kind, id, version, at, document FROM purged WHERE document IS NOT NULL AND (kind, id) "+
		"> (?, ?)", []any{string(q.After.Kind), q.After.ID}
	if q.Kind != "" {
		query, args = query+" AND kind = ?", append(args, string(q.Kind))
	}
	if q.ID != "" {
		query, args = query+" AND id = ?", append(args, q.ID)
	}
	err := a.s.read(ctx, "archive", query+" ORDER BY kind, id LIMIT ?", append(args, q.Limit), func(r *sql.Rows) error {
		var d store.Archived
		var at int64
		var text string
		if err := r.Scan(&d.Key.Kind, &d.Key.ID, &d.Version, &at, &text); err != nil {
			return err
		}
		d.At = moment(at)
		var err error
		d.Record, err = knowledge.RecordOf(d.Key.Kind, []byte(text))
		list = append(list, d)
		return err
	})
	return list, err
}
