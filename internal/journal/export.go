package journal

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
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A Line is a batch in an export of a journal, with all that is needed to apply it by hand.
type Line struct {
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

// Read calls fn with every waiting or parked batch of the journal file at path, the oldest first, and with those that
// somebody has marked as settled by hand, as damaged. It only reads: another process may own the journal.
func Read(ctx context.Context, path string, fn func(*Line) error) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the journal: there is no %s: %w", path, store.ErrNotFound)
	}
	return sqlite.ReadFile(ctx, path, func(read sqlite.Reads) error {
		var by finding
		columns, outcomes := prefixed(), outcomesSQL
		for name, without := range map[string]string{"sum": "NULL", "message": "''", "outcome_sum": "NULL"} {
			there := 0
			err := read("SELECT count(*) FROM pragma_table_info('entries') WHERE name = ?", []any{name},
				func(r *sql.Rows) error { return r.Scan(&there) })
			if err != nil {
				return err
			}
			if there == 0 { // written by an older program and not migrated yet
				columns = strings.Replace(columns, "e."+name, without, 1)
				outcomes = strings.Replace(outcomes, "e."+name, without, 1)
				by.unsummed = true
			}
		}
		if err := read(outcomes, nil, by.row); err != nil {
			return err
		}
		query := "SELECT " + columns + ", e.state, coalesce(e.why, ''), p.base, p.theirs, p.ours FROM entries e " +
			"LEFT JOIN parked p ON p.seq = e.seq WHERE e.state IN ('queued', 'parked') OR e.seq IN (SELECT value FROM " +
			"json_each(?)) ORDER BY e.seq"
		return read(query, []any{by.seqs()}, func(r *sql.Rows) error {
			line, err := scanLine(r)
			if err != nil {
				return err
			}
			switch {
			case by.holds(line.Seq):
				line.Damaged = true
				line.Why = "it is marked as " + line.State + ", and tenet has not written that: a hand did"
			case line.Damaged:
				line.Why = strings.TrimPrefix(line.Why+"; its text is damaged: it is not applied", "; ")
			}
			return fn(line)
		})
	})
}

func scanLine(r *sql.Rows) (*Line, error) {
	var l Line
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
