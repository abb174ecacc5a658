package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Stat says how large a store is and how far its log goes.
type Stat struct {
	Path      string           `json:"path"`
	Bytes     int64            `json:"bytes"`          // of the database file
	WALBytes  int64            `json:"wal_bytes"`      // of the write-ahead log; grows while readers block checkpoints
	FreeBytes int64            `json:"reusable_bytes"` // of the file: unused, and taken by what is written next
	Oldest    knowledge.Seq    `json:"oldest"`         // the oldest change kept; 0 for none
	Newest    knowledge.Seq    `json:"newest"`         // the newest change; 0 for none
	Waiting   int              `json:"waiting"`        // writes that wait for the writer
	Schema    Schema           `json:"schema"`
	Source    knowledge.Source `json:"source"`
}

// Stat returns the size of the store and the range of its log.
func (s *Store) Stat(ctx context.Context) (Stat, error) {
	st := Stat{Path: s.path, Schema: s.schema, Source: s.source, Waiting: len(s.jobs)}
	err := s.agree(ctx, func(ctx context.Context, v view) error {
		err := v.query(ctx, "stat", "SELECT (SELECT coalesce(min(seq), 0) FROM changes), (SELECT coalesce(max(seq), "+
			"0) FROM changes), "+
			"(SELECT freelist_count FROM pragma_freelist_count) * (SELECT page_size FROM pragma_page_size)",
			nil, func(r *sql.Rows) error {
				return r.Scan(&st.Oldest, &st.Newest, &st.FreeBytes)
			})
		return err
	})
	if err != nil {
		return st, err
	}
	file := resolve(s.path)
	for path, into := range map[string]*int64{file: &st.Bytes, file + "-wal": &st.WALBytes} {
		size, err := fileSize(path)
		if err != nil {
			return st, &store.UnavailableError{Reason: "the data directory can't be read: look at its rights", Err: err}
		}
		*into = size
	}
	return st, nil
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Count returns how many documents of a kind there are, retired ones too.
func (s *Store) Count(ctx context.Context, kind knowledge.Kind) (int64, error) {
	tab := tableOf(kind)
	var n int64
	err := s.read(ctx, "count."+tab.name, "SELECT count(*) FROM "+tab.name, nil,
		func(r *sql.Rows) error { return r.Scan(&n) })
	return n, err
}

// Maintain updates the statistics of the query planner and truncates the write-ahead log.
func (s *Store) Maintain(ctx context.Context) error {
	return s.do(ctx, "maintain", func(ctx context.Context, t *tx) error { return t.exec(ctx, "PRAGMA optimize") })
}
