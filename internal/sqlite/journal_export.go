package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"io"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// jsonEntry is an entry as an export has it.
type jsonEntry struct {
	Seq         int64             `json:"seq"`
	Batch       knowledge.BatchID `json:"batch"`
	State       string            `json:"state"`
	Actor       string            `json:"actor"`
	At          knowledge.Time    `json:"at"`
	Fingerprint string            `json:"fingerprint"`
	Unknown     bool              `json:"unknown,omitempty"`
	Ops         []knowledge.Op    `json:"ops"`
	Bases       []store.Base      `json:"bases"`
	Why         string            `json:"why,omitempty"`
}

// Export writes every batch that was not decided, waiting or parked, as JSON, one a line, the oldest first.
func (j *Journal) Export(ctx context.Context, w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var failed error // of the writer
	const query = "SELECT " + entryColumns + ", state, coalesce(why, '') FROM entries WHERE state IN ('queued', 'parked') ORDER BY seq"
	err := j.read(ctx, "journal.export", query, nil, func(r *sql.Rows) error {
		var state, why string
		e, err := scanEntry(r, &state, &why)
		if err != nil {
			return err
		}
		failed = enc.Encode(jsonEntry{
			Seq: e.Seq, Batch: e.Batch.ID, State: state, Actor: e.Batch.Actor, At: e.At, Fingerprint: hex.EncodeToString(e.Fingerprint[:]),
			Unknown: e.Unknown, Ops: e.Batch.Ops, Bases: e.Bases, Why: why,
		})
		return failed
	})
	if failed != nil {
		return failed
	}
	return err
}
