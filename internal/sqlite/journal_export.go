package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A JournalLine is a batch of a journal as an export has it, with all that is needed to write it by hand.
type JournalLine struct {
	Seq         int64             `json:"seq"`
	Batch       knowledge.BatchID `json:"batch"`
	State       string            `json:"state"`
	Actor       string            `json:"actor"`
	Caller      string            `json:"caller"`
	At          knowledge.Time    `json:"at"`
	Fingerprint string            `json:"fingerprint"`
	Unknown     bool              `json:"unknown,omitempty"` // the primary may have done it already
	Ops         []knowledge.Op    `json:"ops"`
	Bases       []store.Base      `json:"bases"`
	Why         string            `json:"why,omitempty"`
	Base        json.RawMessage   `json:"base,omitempty"` // of a parked batch, as for [store.Parked]
	Theirs      json.RawMessage   `json:"theirs,omitempty"`
	Ours        json.RawMessage   `json:"ours,omitempty"`
}

// ReadJournal calls fn with every batch of the journal file at path that is not decided, waiting or parked, the oldest first. It
// only reads: the journal may be another process's.
func ReadJournal(ctx context.Context, path string, fn func(*JournalLine) error) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the journal: there is no %s: %w", path, store.ErrNotFound)
	}
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	//nolint:gosec // columns of our own
	query := "SELECT " + prefixed("e.", entryColumns) + ", e.state, coalesce(e.why, ''), p.base, p.theirs, p.ours FROM entries e " +
		"LEFT JOIN parked p ON p.seq = e.seq WHERE e.state IN ('queued', 'parked') ORDER BY e.seq"
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return translate(ctx, err)
	}
	defer rows.Close() //nolint:errcheck // what went wrong, rows.Err tells
	for rows.Next() {
		line, err := scanLine(rows)
		if err != nil {
			return translate(ctx, err)
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	return translate(ctx, rows.Err())
}

func scanLine(r *sql.Rows) (*JournalLine, error) {
	var l JournalLine
	var base, theirs, ours *string
	e, err := scanEntry(r, &l.State, &l.Why, &base, &theirs, &ours)
	if err != nil {
		return nil, err
	}
	l.Seq, l.Batch, l.Actor, l.Caller, l.At = e.Seq, e.Batch.ID, e.Batch.Actor, e.Caller, e.At
	l.Fingerprint, l.Unknown, l.Ops, l.Bases = hex.EncodeToString(e.Fingerprint[:]), e.Unknown, e.Batch.Ops, e.Bases
	for _, f := range []struct {
		into *json.RawMessage
		text *string
	}{{&l.Base, base}, {&l.Theirs, theirs}, {&l.Ours, ours}} {
		if f.text != nil {
			*f.into = json.RawMessage(*f.text)
		}
	}
	return &l, nil
}
