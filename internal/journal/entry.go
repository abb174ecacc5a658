package journal

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// documentSchema is the version of the document format in which entries are written.
const documentSchema = 1

// jsonLeft is the result of an op, as the journal stores it.
type jsonLeft struct {
	knowledge.Key
	Document json.RawMessage `json:"document"`
}

// entryRow is an entry as a row of the table.
type entryRow struct {
	e                *store.Entry
	ops, bases, left string
	form             int // format of its documents
	bytes            int64
}

func encodeEntry(e *store.Entry) (*entryRow, error) {
	left := make([]jsonLeft, len(e.Left))
	for i, l := range e.Left {
		left[i] = jsonLeft{Key: l.Key}
		if l.Record != nil {
			left[i].Document = l.Record.JSON
		}
	}
	r := &entryRow{e: e, form: documentSchema}
	ops, err := encodeOps(e.Batch.Ops)
	if err != nil {
		return nil, fmt.Errorf("encode batch %s for the journal: %w", e.Batch.ID, err)
	}
	for _, part := range []struct {
		into *string
		from any
	}{{&r.ops, ops}, {&r.bases, e.Bases}, {&r.left, left}} {
		text, err := plainJSON(part.from)
		if err != nil {
			return nil, fmt.Errorf("encode batch %s for the journal: %w", e.Batch.ID, err)
		}
		*part.into = text
		r.bytes += int64(len(text))
	}
	return r, nil
}

// plainJSON encodes without escaping for HTML, so that the bytes of documents do not change.
func plainJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.String(), err
}

func (r *entryRow) insert(ctx context.Context, t *sqlite.Tx) error {
	const next = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'entries'"
	if _, err := t.One(ctx, next, nil, &r.e.Seq); err != nil {
		return err
	}
	return t.Exec(ctx, "INSERT INTO entries (id, fingerprint, state, actor, caller, taken_at, batch_at, origin, "+
		"unknown, document_schema, ops, bases, left_behind, message, bytes, sum, seq) "+
		"VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		append(r.columns(), r.bytes, r.sum(), r.e.Seq)...)
}

// scanEntry reads an entry from a row of entryColumns, and the columns after it into more.
func scanEntry(r *sql.Rows, more ...any) (store.Entry, error) {
	var e store.Entry
	row := entryRow{e: &e}
	var id, fingerprint, origin, sum []byte
	var taken int64
	var at *int64
	err := r.Scan(append([]any{
		&e.Seq, &id, &fingerprint, &e.Batch.Actor, &e.Caller, &taken, &at, &origin, &e.Unknown, &row.form, &row.ops,
		&row.bases, &row.left, &e.Batch.Message, &sum,
	}, more...)...)
	if err != nil {
		return e, err
	}
	e.Newer = row.form > documentSchema
	copy(e.Batch.ID[:], id)
	copy(e.Fingerprint[:], fingerprint)
	copy(e.Batch.Origin[:], origin)
	if e.Caller != e.Batch.Actor {
		e.Batch.EnteredBy = e.Caller
	}
	e.At, e.Batch.At = moment(taken), maybe(at)
	if err := decodeEntry(&e, row.ops, row.bases, row.left); err != nil || len(e.Bases) != len(e.Batch.Ops) ||
		!row.intact(sum) {
		row.damage()
	}
	return e, nil
}

func decodeEntry(e *store.Entry, ops, bases, left string) error {
	var stored []storedOp
	var leaves []jsonLeft
	err := errors.Join(json.Unmarshal([]byte(ops), &stored), json.Unmarshal([]byte(bases), &e.Bases),
		json.Unmarshal([]byte(left), &leaves))
	if err != nil {
		return err
	}
	e.Batch.Ops = make([]knowledge.Op, len(stored))
	for i := range stored {
		if e.Batch.Ops[i], err = stored[i].op(); err != nil {
			return err
		}
	}
	e.Left = make([]store.Left, len(leaves))
	for i, l := range leaves {
		e.Left[i].Key = l.Key
		if len(l.Document) == 0 || string(l.Document) == "null" {
			continue
		}
		rec, err := knowledge.RecordOf(l.Kind, l.Document)
		if err != nil {
			return err
		}
		rec.Source, rec.Pending = knowledge.SourceMirror, e.Batch.ID
		e.Left[i].Record = rec
	}
	return nil
}

// storedOp is an op as the journal stores it. The bytes of its texts do not change; [knowledge.Op] would escape some
// for HTML.
type storedOp struct {
	Verb      knowledge.Verb  `json:"verb"`
	Kind      knowledge.Kind  `json:"kind"`
	ID        string          `json:"id"`
	IfVersion int64           `json:"if_version,omitempty"`
	IfBatch   *uuid.UUID      `json:"if_batch,omitempty"`
	Document  json.RawMessage `json:"document,omitempty"`
	Patch     json.RawMessage `json:"patch,omitempty"`
}

func encodeOps(ops []knowledge.Op) ([]storedOp, error) {
	list := make([]storedOp, len(ops))
	for i, op := range ops {
		list[i] = storedOp{Verb: op.Verb, Kind: op.Key.Kind, ID: op.Key.ID, IfVersion: op.IfVersion, Patch: op.Patch}
		if op.IfBatch != (knowledge.BatchID{}) {
			list[i].IfBatch = &ops[i].IfBatch
		}
		if op.Doc != nil {
			var err error
			if list[i].Document, err = knowledge.Canonical(op.Doc); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// op decodes an op that was valid when it was accepted. Unknown fields, written by a newer program, are ignored and not
// refused: every entry must be readable.
func (o *storedOp) op() (knowledge.Op, error) {
	op := knowledge.Op{Verb: o.Verb, Key: knowledge.Key{Kind: o.Kind, ID: o.ID}, IfVersion: o.IfVersion, Patch: o.Patch}
	if o.IfBatch != nil {
		op.IfBatch = *o.IfBatch
	}
	if len(o.Document) == 0 {
		return op, nil
	}
	var err error
	op.Doc, err = knowledge.DecodeStored(o.Kind, o.Document)
	return op, err
}

// jsonVersion is the version of a document after a batch.
type jsonVersion struct {
	knowledge.Key
	Version int64 `json:"version"`
}

func encodeVersions(versions map[knowledge.Key]int64) (string, error) {
	list := make([]jsonVersion, 0, len(versions))
	for k, v := range versions {
		list = append(list, jsonVersion{k, v})
	}
	return plainJSON(list)
}

func decodeVersions(text string) (map[knowledge.Key]int64, error) {
	versions := map[knowledge.Key]int64{}
	if text == "" {
		return versions, nil
	}
	var list []jsonVersion
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	for _, v := range list {
		versions[v.Key] = v.Version
	}
	return versions, nil
}
