package sqlite

import (
	"context"
	"database/sql"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Snapshot passes the whole store as of one position to sink: the documents, each after those that it refers to, and
// the last versions of each document, in the order of the log.
func (s *Store) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	var failed error // an error of the sink, which must not be translated
	err := s.apart(ctx, func(ctx context.Context, v view) error {
		at, err := v.position(ctx)
		if err != nil {
			return err
		}
		if failed = sink.Begin(at); failed != nil {
			return failed
		}
		for _, kind := range knowledge.Kinds() {
			tab := tableOf(kind)
			err := v.query(ctx, "snapshot."+tab.name, "SELECT "+tab.columns()+" FROM "+tab.name+" ORDER BY "+tab.id,
				nil, func(r *sql.Rows) error {
					rec, err := scanRecord(r, kind, s.source)
					if err == nil {
						failed = sink.Record(rec)
						err = failed
					}
					return err
				})
			if err != nil {
				return err
			}
		}
		if versions <= 0 {
			return nil
		}
		return v.query(ctx, "snapshot.changes",
			"WITH latest AS MATERIALIZED (SELECT kind, id, max(version) AS version FROM changes GROUP BY kind, id) "+
				"SELECT "+prefixed("c.", changeColumns)+
				" FROM changes c JOIN latest l ON l.kind = c.kind AND l.id = c.id WHERE c.version > l.version - ? "+
				"ORDER BY c.seq",
			[]any{versions}, func(r *sql.Rows) error {
				c, err := scanChange(r, s.source)
				if err == nil {
					failed = sink.Change(&c)
					err = failed
				}
				return err
			})
	})
	if failed != nil {
		return failed
	}
	return err
}
