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
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A JournalLine is a batch in an export of a journal, with all that is needed to apply it by hand.
type JournalLine struct {
	Seq         int64             `json:"seq"`
	Batch       knowledge.BatchID `json:"batch"`
	State       string            `json:"state"`
	Actor       string            `json:"actor"`
	Caller      string            `json:"caller"`
	At          knowledge.Time    `json:"at"`
	Fingerprint string            `json:"fingerprint"`
	Unknown     bool              `json:"unknown,omitempty"` // the primary may have applied it already
	Damaged     bool              `json:"damaged,omitempty"` // its checksum does not match
	Message     string            `json:"message,omitempty"`
	Ops         []knowledge.Op    `json:"ops"`
	Bases       []store.Base      `json:"bases"`
	Why         string            `json:"why,omitempty"`
	Base        json.RawMessage   `json:"base,omitempty"` // of a parked batch, as for [store.Parked]
	Theirs      json.RawMessage   `json:"theirs,omitempty"`
	Ours        json.RawMessage   `json:"ours,omitempty"`
}

// ReadJournal calls fn with every waiting or parked batch of the journal file at path, the oldest first. It only reads:
// another process may own the journal.
func ReadJournal(ctx context.Context, path string, fn func(*JournalLine) error) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the journal: there is no %s: %w", path, store.ErrNotFound)
	}
	db, err := handle{path: path, readOnly: true, conns: 1}.open()
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	columns := prefixed("e.", entryColumns)
	for name, without := range map[string]string{"sum": "NULL", "message": "''"} {
		var there int
		const query = "SELECT count(*) FROM pragma_table_info('entries') WHERE name = ?"
		if err := db.QueryRowContext(ctx, query, name).Scan(&there); err != nil {
			return translate(ctx, err)
		}
		if there == 0 { // written by an older program and not migrated yet
			columns = strings.Replace(columns, "e."+name, without, 1)
		}
	}
	//nolint:gosec // columns of our own
	query := "SELECT " + columns + ", e.state, coalesce(e.why, ''), p.base, p.theirs, p.ours FROM entries e " +
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
	l.Damaged, l.Message = e.Damaged, e.Batch.Message
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
